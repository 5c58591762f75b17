"""The terminal report: root causes first, each with evidence, consequence and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, TextIO

from gapcheck.model import Cause, Finding, Risk, Severity, Status, SubjectId, Verdict
from gapcheck.record import Record
from gapcheck.reports.unmeasured import behind_gaps, gap_groups
from gapcheck.reports.wording import counted, evidence_line, headline, printable, reason_of, wrapped

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST = 100
_EXAMPLES = 4
_LABEL = 14
_COLOURS = {
    Severity.CRITICAL: "bold red",
    Severity.MAJOR: "red",
    Severity.MINOR: "yellow",
    Severity.INFO: "cyan",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and the colour of its first words, or of the `whole` line (a rich style)."""

    text: str
    style: str = ""
    whole: bool = False


def write(record: Record, out: TextIO, *, colour: bool = False, verbose: bool = False) -> None:
    """Write `record` for reading; `verbose` adds every passed and not applicable check."""
    write_lines(lines(record, verbose=verbose), out, colour=colour)


def write_lines(lines: Iterable[Line], out: TextIO, *, colour: bool) -> None:
    """Write `lines`; in colour only the first words of each take its style."""
    if not colour:
        out.writelines(f"{line.text}\n" for line in lines)
        return
    painted = cache(partial(_paint, _console(out)))
    for line in lines:
        text = line.text
        start = len(text) - len(text.lstrip())
        end = len(text) if line.whole else start + len(text.lstrip().split("  ")[0])
        before, after = painted(line.style)
        out.write(f"{text[:start]}{before}{text[start:end]}{after}{text[end:]}\n")


def _console(out: TextIO) -> Console:
    from rich.console import Console

    return Console(file=out, force_terminal=True, highlight=False, soft_wrap=True)


def _paint(console: Console, style: str) -> tuple[str, str]:
    """What rich writes before and after words of `style`; once a style, as it takes its time."""
    from rich.text import Text

    with console.capture() as captured:
        console.print(Text("x", style), end="")
    before, _, after = captured.get().partition("x")
    return before, after


def lines(record: Record, *, verbose: bool = False) -> Iterator[Line]:
    """The whole report."""
    yield from _header(record)
    roots = record.root_verdicts()
    failed = [verdict for verdict in roots if verdict.status is Status.FAIL]
    unmeasured = [verdict for verdict in roots if verdict.status is Status.ERROR]
    explained = _explained(record.verdicts)
    if failed:
        groups = _groups(failed)
        yield Line("")
        yield Line(counted(len(groups), "root cause"), "bold")
        for group in groups:
            yield from _finding_block(group, record, explained)
    yield from _consequences(record)
    yield from _warnings(record)
    yield from _unmeasured(unmeasured, record)
    if verbose:
        yield from _rest(record)
    yield from _summary(record)


def _header(record: Record) -> Iterator[Line]:
    run = record.run
    name = f" {run.site}:" if run.site else ""
    checks = len({verdict.check for verdict in record.verdicts})
    subjects = len({verdict.subject for verdict in record.verdicts})
    over = f"{counted(checks, 'check')} over {counted(subjects, 'subject')}"
    yield Line(f"gapcheck {run.version}{name} {over}")
    if run.bundle:
        age = (run.finished - run.taken_at).total_seconds() / 86_400
        yield Line(
            f"  from bundle {run.bundle}, measured {run.taken_at:%Y-%m-%d %H:%M} UTC"
            f" ({age:.1f} days ago), judged for {run.now:%Y-%m-%d %H:%M} UTC"
        )
    for note in record.notes:
        yield from _wrapped("note", note)


def _explained(verdicts: Iterable[Verdict]) -> dict[Cause, list[Verdict]]:
    found: dict[Cause, list[Verdict]] = {}
    for verdict in verdicts:
        for cause in verdict.root_causes:
            found.setdefault(cause, []).append(verdict)
    return found


def _groups(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """Verdicts of one check that say the same of several subjects, together."""
    groups: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in verdicts:
        said = tuple((finding.problem, finding.locus) for finding in verdict.findings)
        groups.setdefault((verdict.check, verdict.status, verdict.reason, said), []).append(verdict)
    return list(groups.values())


def _finding_block(
    group: list[Verdict], record: Record, explained: dict[Cause, list[Verdict]]
) -> Iterator[Line]:
    first = group[0]
    who = _subjects([verdict.subject for verdict in group])
    for index, finding in enumerate(first.findings):
        severity = finding.severity or first.severity
        head = f"{first.check} {severity.value}" if index == 0 else f"{'':{len(first.check)}} also"
        yield Line("")
        yield from _hanging(f"{head}  {who}: {finding.problem}", 2, _COLOURS[severity])
        yield from _support(finding)
    yield from _wrapped("remedy", _remedy(first, group, record))
    yield from _wrapped("source", _source(first, record))
    behind = [each for verdict in group for each in explained.get(verdict.cause, ())]
    if behind:
        yield from _wrapped("explains", _count_statuses(behind))


def _support(finding: Finding) -> Iterator[Line]:
    for index, evidence in enumerate(finding.evidence):
        yield from _wrapped("evidence" if index == 0 else "", evidence_line(evidence))
    if finding.consequence:
        yield from _wrapped("consequence", finding.consequence)
    if finding.remedy_hint:
        yield from _wrapped("hint", finding.remedy_hint)


def _remedy(verdict: Verdict, group: list[Verdict], record: Record) -> str:
    remedy = verdict.remedy
    if remedy is None:
        return ""
    if remedy.risk is Risk.MANUAL:
        return f"by hand: {remedy.why_not}"
    if remedy.why_not:
        return f"not planned: {remedy.why_not}"
    if not record.run.site_file:
        return f"risk {remedy.risk.value}; needs a site file: gapcheck init writes one"
    target = f" --target {verdict.subject.partition('/')[2]}" if len(group) == 1 else ""
    target = target if verdict.subject.startswith("node/") else ""
    command = f"gapcheck fix --site {record.run.site_file} --select {verdict.check}{target}"
    return f"{command}   (risk: {remedy.risk.value})"


def _source(verdict: Verdict, record: Record) -> str:
    described = record.catalogue.get(verdict.check)
    if described is None:
        return ""
    step = f"guide step {described.step}" if described.step else "no step of the guide"
    faults = f", {', '.join(described.fault)}" if described.fault else ""
    return f"{step}{faults}; more: gapcheck explain {verdict.check}"


def _consequences(record: Record) -> Iterator[Line]:
    behind = [v for v in record.verdicts if v.status is Status.FAIL and v.root_causes]
    blocked = [v for v in record.verdicts if v.status is Status.BLOCKED]
    if not behind and not blocked:
        return
    yield Line("")
    yield Line("consequences of the above", "bold")
    for group in _groups(behind):
        who = _subjects([verdict.subject for verdict in group])
        causes = ", ".join(map(str, group[0].root_causes))
        text = f"{group[0].check}  {who}: {headline(group[0])} (because of {causes})"
        yield from _hanging(f"  {text}", 4, _COLOURS[group[0].severity])
    for causes_of, count in Counter(v.root_causes for v in blocked).items():
        names = ", ".join(map(str, causes_of[:_EXAMPLES]))
        more = f" and {len(causes_of) - _EXAMPLES} more" if len(causes_of) > _EXAMPLES else ""
        yield from _hanging(f"  {counted(count, 'check')} not judged, behind {names}{more}", 4, "")


def _warnings(record: Record) -> Iterator[Line]:
    warned = [verdict for verdict in record.verdicts if verdict.status is Status.WARN]
    waived = [verdict for verdict in record.verdicts if verdict.status is Status.WAIVED]
    if warned:
        yield Line("")
        yield Line("warnings", "bold")
    for group in _groups(warned):
        who = _subjects([verdict.subject for verdict in group])
        for finding in group[0].findings:
            style = _COLOURS[finding.severity or group[0].severity]
            yield from _hanging(f"  {group[0].check}  {who}: {finding.problem}", 4, style)
    if waived:
        yield Line("")
        yield Line("waived", "bold")
    for group in _groups(waived):
        who = _subjects([verdict.subject for verdict in group])
        yield from _hanging(f"  {group[0].check}  {who}: {reason_of(group[0])}", 4, "")


def _unmeasured(verdicts: Sequence[Verdict], record: Record) -> Iterator[Line]:
    if verdicts or record.gaps:
        yield Line("")
        yield Line("not measured, so neither passed nor failed", "bold")
    groups, behind = gap_groups(record.gaps), behind_gaps(verdicts, record.gaps)
    for said, gaps in groups.items():
        # Many checks ask for what one gap took away: it is said once, with their number.
        count = len(behind.get(said, ()))
        more = f" ({count} checks not judged)" if count > 1 else ""
        who = _subjects([gap.subject for gap in gaps])
        yield from _hanging(f"  {who}  {said[0]}: {said[1]}{more}", 4, "magenta")
    folded = {v.cause for found in behind.values() if len(found) > 1 for v in found}
    for group in _groups([v for v in verdicts if v.cause not in folded]):
        who = _subjects([verdict.subject for verdict in group])
        yield from _hanging(f"  {group[0].check}  {who}: {reason_of(group[0])}", 4, "magenta")


def _rest(record: Record) -> Iterator[Line]:
    yield Line("")
    yield Line("all other checks", "bold")
    for verdict in record.verdicts:
        if verdict.status is Status.PASS:
            said = "; ".join(evidence_line(each) for each in verdict.evidence)
        elif verdict.status is Status.NOT_APPLICABLE:
            said = reason_of(verdict)
        else:
            continue
        text = f"  {verdict.check}  {verdict.subject}: {verdict.status.value.replace('_', ' ')}"
        yield from _hanging(f"{text}  {said}".rstrip(), 4, "")


def _summary(record: Record) -> Iterator[Line]:
    counts = record.counts
    shown = [
        f"{counts[status]} {status.value.replace('_', ' ')}"
        for status in (
            Status.FAIL, Status.ERROR, Status.BLOCKED, Status.WARN, Status.WAIVED, Status.PASS,
            Status.NOT_APPLICABLE,
        )
        if counts[status]
    ]  # fmt: skip
    fixed = sum(verdict.fixed for verdict in record.verdicts)
    repaired = f"; {counted(fixed, 'verdict')} repaired" if fixed else ""
    yield Line("")
    yield Line(
        f"{', '.join(shown) or 'nothing was checked'}{repaired}   exit {record.run.exit}", "bold"
    )


def _subjects(subjects: Sequence[SubjectId]) -> str:
    if len(subjects) == 1:
        return subjects[0]
    kind = subjects[0].partition("/")[0]
    examples = ", ".join(subject.partition("/")[2] or subject for subject in subjects[:_EXAMPLES])
    more = ", ..." if len(subjects) > _EXAMPLES else ""
    return f"{counted(len(subjects), kind)} ({examples}{more})"


def _count_statuses(verdicts: Sequence[Verdict]) -> str:
    failing = sorted({v.check for v in verdicts if v.status is not Status.BLOCKED})
    blocked = sum(verdict.status is Status.BLOCKED for verdict in verdicts)
    said = [f"{len(failing)} failed ({', '.join(failing)})"] if failing else []
    said += [f"{blocked} not judged"] if blocked else []
    return ", ".join(said)


def _wrapped(label: str, text: str) -> Iterator[Line]:
    if text:
        yield from _hanging(f"  {label:<{_LABEL - 2}} {text}", _LABEL + 1, "")


def _hanging(text: str, indent: int, style: str) -> Iterator[Line]:
    """`text` in lines of at most 100 columns; long words (paths, digests) are never broken."""
    for index, line in enumerate(wrapped(printable(text), _WIDEST, indent=indent)):
        yield Line(line, style if index == 0 else "")
