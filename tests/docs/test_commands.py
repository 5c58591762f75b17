"""Every command of the documentation is one: sessions are run, the rest is read by its parser."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from support.pages import DOCS, ROOT, commands, pages, session

from gapcheck.cli import cli
from gapcheck.registry import catalogue

LINES = sorted({(str(page.relative_to(ROOT)), line) for page in pages() for line in commands(page)})
OURS = sorted({line for _, line in LINES if re.match(r"(kubectl )?gapcheck ", line)})
ID = re.compile(r"\b(?:CERT|REG|NODE|RUN|SECRET|REL|DNS|SVC|SITE)-[A-Z]+-\d{3}\b")
# What runs the other programs: tests of the part they belong to.
ELSEWHERE = {
    "docs/install.md": "tests/package",
    "docs/exports.md": "tests/core/exporting",
    "docs/schedules.md": "tests/core/exporting/test_schedules_page.py",
    "CONTRIBUTING.md": "tests/core/test_readme.py",
    "README.md": "tests/core/test_readme.py",
    "docs/tutorial.md": "tests/docs/test_commands.py",
}


@pytest.mark.parametrize("line", OURS)
def test_command_is_one_that_gapcheck_takes(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line.partition("|")[0].partition(">")[0].partition("$(")[0])
    words = words[words.index("gapcheck") + 1 :]
    if "undo" in words and "RUN" not in words:
        words.append("RUN")  # the session's own substitution
    monkeypatch.chdir(tmp_path)
    for word in words:
        if word.endswith((".tar.gz", ".yaml", ".json")) and "/" not in word:
            Path(word).touch()
    parse(words)


def parse(words: list[str]) -> None:
    """Have click read `words` down to the last command without running it; UsageError if not."""
    context = click.Context(cli, info_name="gapcheck")
    while isinstance(context.command, click.Group):
        if not words:
            return
        name, command, words = context.command.resolve_command(context, words)
        assert command is not None
        assert name is not None
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
        else:
            context = command.make_context(name, words, parent=context)


def test_parser_refuses_what_is_no_command() -> None:
    for wrong in (["chek"], ["check", "--sight", "x"], ["export", "helm"]):
        with pytest.raises(click.UsageError):
            parse(wrong)


def test_other_programs_are_run_by_the_tests_of_their_part() -> None:
    left = {page for page, line in LINES if line not in OURS and not line.startswith("pytest ")}
    assert left == set(ELSEWHERE)
    assert all((ROOT / place).exists() for place in ELSEWHERE.values())


@contextmanager
def shell(folder: Path) -> Iterator[subprocess.Popen[str]]:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {**os.environ, "PATH": programs, "HOME": str(folder), "NO_COLOR": "1"}
    settings.pop("GAPCHECK_STATE", None)
    started = subprocess.Popen(
        ["bash", "--norc"], cwd=folder, env=settings, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield started
    finally:
        assert started.stdin is not None
        started.stdin.write("\nkill $(jobs -p)\nwait\nexit\n")
        started.stdin.close()
        started.wait(30)


def answer(started: subprocess.Popen[str], command: str) -> str:
    """What `command` prints in the shell, errors among it."""
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(f"{command}\necho; echo done-$((6*7))\n")
    started.stdin.flush()
    lines = []
    for line in started.stdout:
        if line == "done-42\n":
            return "".join(lines).removesuffix("\n")
        lines.append(line)
    pytest.fail(f"the shell ended at: {command}")


def served(started: subprocess.Popen[str], command: str, folder: Path) -> str:
    """Start `command` in the background; what it prints until it serves."""
    (folder / "served.txt").touch()
    answer(started, f"{command} > {folder}/served.txt 2>&1 &")
    ends = time.monotonic() + 120
    while "until Ctrl-C" not in (shown := (folder / "served.txt").read_text()):
        assert time.monotonic() < ends, shown
        time.sleep(0.3)
    return shown


def fits(shown: str, said: str) -> bool:
    """Whether `said` is `shown`; a line `...` is any lines, `...` in a line any text of it.

    The progress of what takes longer than two seconds is left out: it depends on the machine.
    """
    said = re.sub(r"^measured \d+ of \d+.*\n", "", said, flags=re.MULTILINE)
    pattern = ""
    for line in clean(shown).splitlines():
        if line == "...":
            pattern += r"(?s:.*\n)?"
        else:
            pattern += r".*".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, clean(said) + "\n" if clean(said) else "") is not None


def clean(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_tutorial_shows_what_is_printed(tmp_path: Path) -> None:
    steps = session(DOCS / "tutorial.md")
    assert len(steps) > 10
    with shell(tmp_path) as started:
        for step in steps:
            serve = step.command.endswith("--serve")
            said = (
                served(started, step.command, tmp_path) if serve else answer(started, step.command)
            )
            assert fits(step.shown, said), f"$ {step.command}\n{said}"


def test_a_session_that_shows_something_else_is_found() -> None:
    assert fits("a ... c\n...\ne", "a b c\nd\ne")
    assert fits("...\ne", "e")
    assert fits("a", "measured 1 of 4; dns\na")
    assert not fits("a ... c", "a b\n c")
    assert not fits("a ... d", "a b c")
    assert not fits("", "said")


def test_check_ids_of_the_pages_are_in_the_catalogue() -> None:
    known = set(catalogue().checks)
    for page in pages():
        ids = set(ID.findall(page.read_text()))
        assert ids <= known, page.name
