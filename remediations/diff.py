"""What a change does to a file, as a unified diff of what was measured. Pure.

The measured content holds no private key and no password, so the diff holds none.
"""

from __future__ import annotations

import difflib

from gapcheck.errors import EditRefused
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import ContainerFact, Present, RegistryFacts
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import (
    FileChange,
    Output,
    RecreateContainer,
    SetMode,
    WriteFile,
)


def file_diff(change: FileChange, content: bytes | None, *, redacted: bool = False) -> str:
    """The unified diff of `change` on `content`, or one line where text says more.

    `redacted`: parts of the measured content were left out when it was taken.
    """
    if isinstance(change, SetMode):
        return f"mode {change.before_mode:04o} -> {change.mode:04o} {change.path}\n"
    if isinstance(change, WriteFile) and isinstance(change.content, Output):
        made = f"{change.content.name} made by {change.content.change}"
        return f"--- {_old(change)}\n+++ {change.path}\n+({made})\n"
    try:
        after = apply_edit(change, content)
    except EditRefused as refused:
        if redacted:
            return f"(no diff: parts of {change.path} were not taken: {refused.why})\n"
        raise
    return unified(change.path, content, after)


def unified(path: str, before: bytes | None, after: bytes | None) -> str:
    """Unified diff of two contents; None = absent. Bytes that are no text are named by size.

    Single bytes that are no UTF-8 are shown by their number.
    """
    old, new = ((each or b"").decode(errors="backslashreplace") for each in (before, after))
    if any(each is not None and b"\0" in each for each in (before, after)):
        return f"(binary file {path}: {len(before or b'')} -> {len(after or b'')} bytes)\n"
    lines = difflib.unified_diff(
        _lines(old),
        _lines(new),
        "/dev/null" if before is None else path,
        "/dev/null" if after is None else path,
    )
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """Lines with their ends; a last one without gets the mark that diff prints."""
    lines = [f"{line}\n" for line in text.split("\n")]
    if text.endswith("\n") or not text:
        return lines[:-1]
    lines[-1] = f"{lines[-1]}\\ No newline at end of file\n"
    return lines


def _old(change: FileChange) -> str:
    return "/dev/null" if change.before_sha256 is None else change.path


def container_diff(change: RecreateContainer, facts: FactSet) -> str:
    """The settings of a container that `change` alters, line by line.

    Values that were not measured, as they may be secret, are masked.
    """
    container = _container(change, facts)
    environment = container.environment if container else {}
    lines = [f"--- container {change.name}", f"+++ container {change.name}"]
    asked = dict(change.set_env)
    gone = (*change.unset_env, *(name for name in asked if name in environment))
    lines += [f"-env {name}={environment.get(name, '***')}" for name in gone]
    lines += [f"+env {name}={value}" for name, value in asked.items()]
    for volume in change.volumes:
        mounts = container.mounts if container else ()
        lines += [
            f"-mount {each.type} {each.name or each.source} {each.destination}"
            for each in mounts
            if each.destination == volume.destination
        ]
        lines.append(f"+mount volume {volume.name} {volume.destination} (with a copy of its data)")
    if change.restart_policy:
        lines.append(f"+restart policy {change.restart_policy}")
    return "\n".join((*lines, ""))


def container_note(change: RecreateContainer) -> str:
    """What making it anew costs."""
    copied = ", and for as long as its data is copied" if change.volumes else ""
    return f"the registry is away for seconds{copied}; the former container is kept, stopped"


def _container(change: RecreateContainer, facts: FactSet) -> ContainerFact | None:
    match facts.by_subject.get(change.target):
        case RegistryFacts(machine=Present(value=machine)):
            return machine.container.value if isinstance(machine.container, Present) else None
    return None
