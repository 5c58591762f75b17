"""Writes docs/checks.md and docs/faults.md: `python -m gapcheck.catalogue_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from gapcheck.faults import FAULTS
from gapcheck.registry import Check, catalogue

_LAYERS = {
    "C": "Certificate", "R": "Registry", "N": "Node trust", "K": "Runtime", "D": "Names",
    "S": "Secret", "H": "Release",
}  # fmt: skip
_NOTE = "<!-- Generated: python -m gapcheck.catalogue_page -->"


def checks_page() -> str:
    """The check catalogue, in catalogue order."""
    return "\n".join(_checks()) + "\n"


def faults_page() -> str:
    """Every fault, with the checks that find it."""
    return "\n".join(_faults()) + "\n"


def _checks() -> Iterator[str]:
    yield from ("# Checks", _NOTE, "")
    yield "Every check by its id, with what it requires, where it comes from and what is done."
    yield "`gapcheck explain ID` prints the same. Fault ids lead to [the fault page](faults.md)."
    for check in catalogue().checks.values():
        yield from ("", f"## {check.id}", check.doc, "")
        yield f"- Severity {check.severity.value}, judged of: {check.scope.value}."
        yield f"- Source: {_source(check)}."
        if check.after:
            yield f"- After: {', '.join(check.after)}."
        yield f"- {_remedy(check)}"


def _source(check: Check) -> str:
    step = f"guide step {check.source.step}" if check.source.step else "no step of the guide"
    links = [f"[{fault}](faults.md#{fault.lower()})" for fault in check.source.fault]
    return ", ".join([step, *links])


def _remedy(check: Check) -> str:
    found = catalogue().remedies.get(check.id)
    if found is None:
        return f"By hand: {check.manual}."
    return f"Remedy, risk {found.risk.value}: {' '.join(found.doc.split())}"


def _faults() -> Iterator[str]:
    yield from ("# Faults", _NOTE, "")
    yield "What can be wrong between a certificate and a running release, by stable ids."
    yield "**Guide** marks what following the guide as written produces."
    finders: dict[str, list[str]] = {}
    for check in catalogue().checks.values():
        for cited in check.source.fault:
            finders.setdefault(cited, []).append(f"[{check.id}](checks.md#{check.id.lower()})")
    for letter, members in groupby(FAULTS.items(), key=lambda item: item[0][0]):
        yield from ("", f"## {_LAYERS[letter]}")
        for name, fault in members:
            guide = " **Guide.**" if fault.guide else ""
            yield from ("", f"### {name}", f"{fault.title}.{guide}", "")
            yield f"- Seen as: {fault.seen}"
            yield f"- Found by: {', '.join(finders.get(name, ['no check of its own yet']))}"
            yield f"- Repair: {fault.repair}"


def main(folder: Path) -> None:
    """Write both pages into `folder`."""
    (folder / "checks.md").write_text(checks_page(), encoding="utf-8")
    (folder / "faults.md").write_text(faults_page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
