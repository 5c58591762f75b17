"""`gapcheck man`: the manual page, made of what the command line says of itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from gapcheck import __version__
from gapcheck.exits import Exit

_WIDTH = 66  # dashes become two characters; 80 is what a page's lines may have
_FILES = (
    ("site.yaml", "The site file, where --site names no other."),
    ("~/.local/state/gapcheck", "Runs, their backups and the history; of root: /var/lib/gapcheck."),
)
_ENVIRONMENT = (
    ("GAPCHECK_STATE", "Folder to keep runs and history in."),
    ("NO_COLOR", "No colour, where it is set and not empty."),
)


@click.command("man", epilog="\b\nExample:\n  gapcheck man > gapcheck.1 && man ./gapcheck.1")
@click.pass_context
def manual(context: click.Context) -> int:
    """Print the manual page, for man(1)."""
    click.echo("\n".join(_page(context.find_root())))
    return Exit.OK


def _page(root: click.Context) -> Iterator[str]:
    command = root.command
    yield f'.TH GAPCHECK 1 "" "gapcheck {__version__}" "User Commands"'
    yield ".SH NAME"
    yield from _wrapped(f"gapcheck - {(command.help or '').rstrip('.')}")
    yield ".SH SYNOPSIS"
    yield ".B gapcheck"
    yield _escaped(" ".join(command.collect_usage_pieces(root)))
    yield ".br"
    yield ".B kubectl gapcheck"
    yield _escaped(" ".join(command.collect_usage_pieces(root)))
    yield ".SH OPTIONS"
    yield from _options(root)
    yield ".SH COMMANDS"
    yield from _commands(root, "gapcheck")
    yield from _words("FILES", _FILES)
    yield from _words("ENVIRONMENT", _ENVIRONMENT)
    yield ".SH NOTES"
    yield "In short:"
    yield from _text(command.epilog or "")


def _commands(context: click.Context, path: str) -> Iterator[str]:
    assert isinstance(context.command, click.Group)  # only groups are walked
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None  # it was listed
        inner = click.Context(command, info_name=name, parent=context)
        yield f".SS {_escaped(f'{path} {name}')}"
        yield f".B {_escaped(f'{path} {name}')}"
        yield _escaped(" ".join(command.collect_usage_pieces(inner)))
        yield from _text(command.help or "")
        yield from _options(inner)
        yield from _text(command.epilog or "")
        if isinstance(command, click.Group):
            yield from _commands(inner, f"{path} {name}")


def _options(context: click.Context) -> Iterator[str]:
    for option in context.command.get_params(context):
        record = option.get_help_record(context)
        if record is not None and record[1]:
            yield from _word(*record)


def _words(title: str, words: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f".SH {title}"
    for word, meaning in words:
        yield from _word(word, meaning)


def _word(word: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_escaped(word)}"
    yield from _wrapped(meaning)


def _text(text: str) -> Iterator[str]:
    """Paragraphs; one that begins with click's mark stays as it is set."""
    for paragraph in filter(str.strip, text.split("\n\n")):
        yield ".PP"
        if not paragraph.lstrip("\n").startswith("\b"):
            yield from _wrapped(paragraph)
            continue
        yield ".nf"
        yield from map(_escaped, paragraph.strip("\n\b").splitlines())
        yield ".fi"


def _wrapped(text: str) -> Iterator[str]:
    yield from map(_escaped, textwrap.wrap(" ".join(text.split()), _WIDTH, break_on_hyphens=False))


def _escaped(text: str) -> str:
    """`text` as one line that is no request and whose dashes can be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
