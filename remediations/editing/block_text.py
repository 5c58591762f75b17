"""A managed block of lines in a text file such as /etc/hosts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gapcheck.counting import counted
from gapcheck.errors import EditRefused
from gapcheck.remediations.editing.lines import decode, split_lines
from gapcheck.remediations.plan import EditBlock, LineEdit


def edit_block(change: EditBlock, content: bytes | None) -> bytes:
    """`content` with the block holding exactly `change.lines`; no lines = no block.

    Line edits apply to every equal line outside the block; line endings are not compared.
    Replacing a line that is not there raises EditRefused, unless its replacement is.
    """
    _one_line_each(change)
    text = decode(change.path, content, any_bytes=True)
    newline = "\r\n" if not text.crlf and "\r\n" in text.body else "\n"
    lines = split_lines(text.body)
    begin, end = f"# BEGIN gapcheck {change.marker}", f"# END gapcheck {change.marker}"
    before, inside, after = _split(change, lines, begin, end)
    before, after = _edit_lines(change, before, after)
    block = [f"{line}{newline}" for line in (begin, *change.lines, end)] if change.lines else []
    if block and inside is None and before and not before[-1].endswith("\n"):
        before[-1] += newline
    return text.encode("".join((*before, *block, *after)))


def _one_line_each(change: EditBlock) -> None:
    wanted = [change.marker, *change.lines]
    wanted += [line for edit in change.line_edits for line in (edit.before, edit.after or "")]
    if any("\n" in line or "\r" in line for line in wanted):
        raise EditRefused(change.path, "a line of the edit holds a line break")


def _split(
    change: EditBlock, lines: Sequence[str], begin: str, end: str
) -> tuple[list[str], list[str] | None, list[str]]:
    """Lines before the block, in it (None: there is none), and after it."""
    bare = [line.rstrip("\r\n") for line in lines]
    starts = [i for i, line in enumerate(bare) if line == begin]
    ends = [i for i, line in enumerate(bare) if line == end]
    if not starts and not ends:
        return list(lines), None, []
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        raise EditRefused(
            change.path,
            f"{begin!r} stands {counted(len(starts), 'time')} and {end!r} "
            f"{counted(len(ends), 'time')}; one of each, in this order, is a block",
        )
    return (
        list(lines[: starts[0]]),
        list(lines[starts[0] : ends[0] + 1]),
        list(lines[ends[0] + 1 :]),
    )


def _edit_lines(
    change: EditBlock, before: list[str], after: list[str]
) -> tuple[list[str], list[str]]:
    for edit in change.line_edits:
        present = {line.rstrip("\r\n") for line in (*before, *after)}
        if edit.before not in present and edit.after is not None and edit.after not in present:
            raise EditRefused(change.path, f"no line is {edit.before!r}")
        before, after = _replaced(before, edit), _replaced(after, edit)
    return before, after


def _replaced(lines: Sequence[str], edit: LineEdit) -> list[str]:
    result: list[str] = []
    for line in lines:
        bare = line.rstrip("\r\n")
        if bare != edit.before:
            result.append(line)
        elif edit.after is not None:
            result.append(edit.after + line[len(bare) :])
    return result
