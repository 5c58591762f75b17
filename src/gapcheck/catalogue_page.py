"""Writes the generated pages of docs/: `python -m gapcheck.catalogue_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from gapcheck.faults import FAULTS
from gapcheck.model import Risk, Scope
from gapcheck.registry import Check, catalogue
from gapcheck.remedy_reach import Reach, reach_of

_LAYERS = {
    "C": "Certificate", "R": "Registry", "N": "Node trust", "K": "Runtime", "D": "Names",
    "S": "Secret", "H": "Release",
}  # fmt: skip
_NOTE = "<!-- Generated: python -m gapcheck.catalogue_page -->"


_PLACES: Mapping[Scope, str] = {
    Scope.SITE: "files of this machine",
    Scope.REGISTRY: "the registry's machine",
    Scope.CLUSTER: "the cluster",
    Scope.DNS: "the cluster's name service and the release's pods",
    Scope.NODE: "one node",
    Scope.NODES: "the nodes",
    Scope.RELEASE: "the release",
    Scope.SERVICE: "the release's pods",
}
# By the kind of change: what it touches, and how it is undone; in this order.
_KINDS: Mapping[str, tuple[str, str]] = {
    "IssueCertificate": ("a new certificate beside the served one", "the new one is removed"),
    "SwitchCertificate": ("the served certificate", "the former pair is served again"),
    "WriteFile": ("a file of gapcheck's own", "same bytes"),
    "EditToml": ("keys of a file", "same bytes"),
    "EditYaml": ("keys of a file", "same bytes"),
    "EditJson": ("keys of a file", "same bytes"),
    "EditBlock": ("lines of a file", "same bytes"),
    "RemoveFile": ("a file goes", "same bytes"),
    "SetMode": ("permission bits", "former bits"),
    "RefreshTrustStore": ("the system's trust store", "same bytes of what its tool made"),
    "RestartUnit": ("", "restarted again"),
    "SetContainer": ("the container's restart policy", "former policy"),
    "RestartContainer": ("", "restarted again"),
    "RecreateContainer": (
        "the container, made anew with its data",
        "the former container is put back",
    ),
    "PatchObject": ("objects of the cluster", "former data"),
    "UpgradeRelease": ("what the chart renders", "helm rollback"),
}


def checks_page() -> str:
    """The check catalogue, in catalogue order."""
    return "\n".join(_checks()) + "\n"


def faults_page() -> str:
    """Every fault, with the checks that find it."""
    return "\n".join(_faults()) + "\n"


def remedies_page() -> str:
    """Every remedy, with what it may cost and how it is undone."""
    return "\n".join(_remedies()) + "\n"


def _remedies() -> Iterator[str]:
    yield from ("# Remedies", _NOTE, "")
    yield "What a repair may cost, at most, and how it is undone."
    yield "`gapcheck plan` shows what it is in one case; [safety](safety.md) says how it is done."
    yield "A file that is changed is changed whole or not at all, and only while it is as measured."
    yield from ("", "| remedy | risk | blast radius | what restarts | undo |", "| --- " * 5 + "|")
    known = catalogue()
    for check in known.checks.values():
        found = known.remedies.get(check.id)
        if found is not None:
            reach = reach_of(found)
            touched, undo = _words(reach, 0), _words(reach, 1)
            cells = (
                f"[{check.id}](checks.md#{check.id.lower()})",
                found.risk.value,
                f"{_PLACES[check.scope]}: {touched or 'nothing else'}",
                _restarts(reach, check.scope, found.risk) or "nothing",
                f"{undo}; a leaked key that is taken out stays out" if reach.final else undo,
            )
            yield f"| {' | '.join(cells)} |"


def _restarts(reach: Reach, scope: Scope, risk: Risk) -> str:
    names = {each.__name__ for each in reach.kinds}
    if scope is Scope.REGISTRY and names & {"RestartUnit", "RestartContainer"}:
        return "the registry, for seconds"
    if "RecreateContainer" in names:
        return "the registry, for seconds or for as long as its data is copied"
    if "RestartUnit" in names:
        return "the container runtime; pods keep running"
    if "UpgradeRelease" in names:
        return "pods of the release, with --max-risk outage"
    patched = "PatchObject" in names and risk is not Risk.SAFE
    return "pods of the patched workloads" if patched else ""


def _words(reach: Reach, part: int) -> str:
    """One column's words for all that a remedy may do, in the order of the table of kinds."""
    names = {each.__name__ for each in reach.kinds}
    found = [words[part] for kind, words in _KINDS.items() if kind in names]
    new = sorted(names - set(_KINDS))
    return ", ".join(dict.fromkeys(each for each in (*found, *new) if each))


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
        return f"By hand: {check.manual.removesuffix('.')}."
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
    """Write the pages into `folder`."""
    (folder / "checks.md").write_text(checks_page(), encoding="utf-8")
    (folder / "faults.md").write_text(faults_page(), encoding="utf-8")
    (folder / "remedies.md").write_text(remedies_page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
