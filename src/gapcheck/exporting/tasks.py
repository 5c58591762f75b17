"""Changes of a node as tasks of a playbook, of Ansible's built-in modules alone. Pure.

Paths stand behind the variable `gapcheck_root`, which is empty on a running machine. A file
that is written whole is compared first: it has to be the one that was measured, or the one
that is to be.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.exporting.text import Unsafe
from gapcheck.fixtures.facts import FileFact
from gapcheck.fixtures.trust_store import FAMILIES
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import (
    EditBlock,
    FileChange,
    Literal,
    RefreshTrustStore,
    RemoveFile,
    RestartUnit,
    SetMode,
    WriteFile,
)

ROOT = "gapcheck_root"
Task = dict[str, Any]
_LIVE = f"{ROOT} == ''"
_BRACES = ("{{", "{%", "{#", "#jinja2:")
_CONTAINERD = "/etc/containerd/config.toml"
# Constant text; without containerd there, as on the root of an image, nothing can be asked.
_VALIDATE = (
    "/bin/sh -c 'command -v containerd >/dev/null || exit 0; "
    'exec containerd -c "$1" config dump >/dev/null\' sh %s'
)
_TOOLS: Mapping[str, list[str]] = {
    "debian": ["update-ca-certificates", "--fresh"],
    "alpine": ["update-ca-certificates", "--fresh"],
    "suse": ["update-ca-certificates"],
    "rhel": ["update-ca-trust"],
    "arch": ["update-ca-trust"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTasks:
    """The tasks of one file; `allowed` are the digests it may have before them, () = any."""

    path: str
    tasks: list[Task]
    allowed: tuple[str, ...] = ()


def file_tasks(change: FileChange, fact: FileFact | None, content: bytes | None) -> FileTasks:
    """The tasks of one file; raises CannotPlan where a playbook cannot carry the change.

    `fact` is the measured file (None = absent), `content` what of it was taken along.
    """
    if "\n" in change.path or any(mark in change.path for mark in _BRACES):
        reason = f"{change.path!r} is a path that no playbook can hold"
        raise CannotPlan(reason)
    match change:
        case SetMode():
            mode = _task(change.path, "file", path=_at(change), mode=f"{change.mode:04o}")
            return FileTasks(path=change.path, tasks=[mode])
        case RemoveFile():
            gone = _task(f"No {change.path}", "file", path=_at(change), state="absent")
            return _compared(change, gone, "absent")
        case EditBlock() if _is_plain(change, fact, content):
            return FileTasks(path=change.path, tasks=[*_block(change)])
        case _:
            return _written(change, fact, content)


def _compared(change: FileChange, task: Task, after: str) -> FileTasks:
    allowed = (change.before_sha256 or "absent", after)
    return FileTasks(path=change.path, tasks=[task], allowed=allowed)


def _written(change: FileChange, fact: FileFact | None, content: bytes | None) -> FileTasks:
    """The file whole, as it is to be."""
    after = _content(change, fact, content)
    try:
        text = after.decode()
    except UnicodeDecodeError as bad:
        reason = f"{change.path} is no text"
        raise CannotPlan(reason) from bad
    ours = isinstance(change, WriteFile)
    more: Task = {"follow": True} if ours else {"follow": True, "backup": True}
    if change.before_sha256 is None or ours:
        more["mode"] = f"{change.mode if isinstance(change, WriteFile) else 0o644:04o}"
    if change.path == _CONTAINERD:
        more["validate"] = _VALIDATE
    if isinstance(change, EditBlock) and change.in_place:
        more["unsafe_writes"] = True
    task = _task(change.path, "copy", dest=_at(change), content=_text(text), **more)
    return _compared(change, task, hashlib.sha256(after).hexdigest())


def _content(change: FileChange, fact: FileFact | None, content: bytes | None) -> bytes:
    if isinstance(change, WriteFile):
        if not isinstance(change.content, Literal):
            reason = f"{change.path} holds what {change.content.change} makes: apply that first"
            raise CannotPlan(reason)
        return change.content.data
    if fact is not None and (content is None or fact.redacted):
        reason = f"parts of {change.path} were not taken when it was measured"
        raise CannotPlan(reason)
    return apply_edit(change, content) or b""


def guard_tasks(files: Sequence[FileTasks]) -> Iterator[Task]:
    """Before the first file is touched: each is as it was measured, or as it is to be."""
    compared = [each for each in files if each.allowed]
    if not compared:
        return
    look = _task(
        "Look at the files",
        "stat",
        path=f"{{{{ {ROOT} }}}}{{{{ item.path }}}}",
        follow=True,
        checksum_algorithm="sha256",
        get_attributes=False,
        get_mime=False,
    )
    yield look | {
        "loop": [{"path": each.path, "sha256": list(each.allowed)} for each in compared],
        "loop_control": {"label": "{{ item.path }}"},
        "register": "gapcheck_files",
    }
    same = _task(
        "Every file is as it was measured, or as it is to be",
        "assert",
        that=["item.stat.checksum | default('absent') in item.item.sha256"],
        fail_msg="{{ item.item.path }} has changed since it was measured: measure and export again",
        quiet=True,
    )
    yield same | {
        "loop": "{{ gapcheck_files.results }}",
        "loop_control": {"label": "{{ item.item.path }}"},
    }


def _is_plain(change: EditBlock, fact: FileFact | None, content: bytes | None) -> bool:
    """Whether line-wise modules do the same: no line that goes is also one that comes."""
    if fact is not None and fact.redacted and change.line_edits:
        return False  # a line may not be what was measured of it
    gone = {edit.before for edit in change.line_edits}
    coming = {*change.lines, *(edit.after for edit in change.line_edits)}
    return not gone & coming and b"\r" not in (content or b"")


def _block(change: EditBlock) -> Iterator[Task]:
    common = {"unsafe_writes": True} if change.in_place else {}
    for edit in change.line_edits:
        pattern = f"^{re.escape(edit.before)}$"
        if edit.after is None:
            yield _task(
                f"{change.path} without a line that the block replaces",
                "lineinfile",
                path=_at(change),
                regexp=_text(pattern),
                state="absent",
                **common,
            )
        else:
            yield _task(
                f"A line of {change.path}",
                "replace",
                path=_at(change),
                regexp=_text(pattern),
                replace=_text(edit.after.replace("\\", "\\\\")),
                **common,
            )
    yield _task(
        f"Managed block of {change.path}",
        "blockinfile",
        path=_at(change),
        marker=_text(f"# {{mark}} gapcheck {change.marker}"),
        block=_text("\n".join(change.lines)),
        state="present" if change.lines else "absent",
        create=change.before_sha256 is None,
        backup=True,
        **common,
    )


def folder_tasks(paths: Sequence[str]) -> Iterator[Task]:
    """The folders of new files, made where they are absent and otherwise left alone."""
    folders = list(dict.fromkeys(posixpath.dirname(path) for path in paths))
    if not folders:
        return
    look = _task("Look at the folders", "stat", path=f"{{{{ {ROOT} }}}}{{{{ item }}}}")
    yield look | {"loop": folders, "register": "gapcheck_folders"}
    path = f"{{{{ {ROOT} }}}}{{{{ item.item }}}}"
    made = _task("Folders", "file", path=path, state="directory", mode="0755")
    yield made | {
        "loop": "{{ gapcheck_folders.results }}",
        "loop_control": {"label": "{{ item.item }}"},
        "when": "not item.stat.exists",
    }


def confined_tasks(paths: Sequence[str]) -> Iterator[Task]:
    """Refuse a link inside `gapcheck_root` that leads out of it."""
    if not paths:
        return
    real = f"({ROOT} ~ item) | realpath"
    yield _task(
        "No path leads out of the root",
        "assert",
        that=[f"({real}).startswith(({ROOT} | realpath) ~ '/')"],
        fail_msg=f"{{{{ item }}}} leads out of {{{{ {ROOT} }}}}",
        quiet=True,
    ) | {"loop": list(dict.fromkeys(paths)), "when": f"{ROOT} != ''"}


def refresh_tasks(change: RefreshTrustStore) -> list[Task]:
    """Rebuild the system's trust store; a change is what its bundle shows."""
    tool = _TOOLS[change.family]
    argv = tool if change.fresh else tool[:1]
    bundle = FAMILIES[change.family].bundle
    look = {"path": bundle, "follow": True, "checksum_algorithm": "sha256"}
    before, after = "gapcheck_before.stat.checksum", "gapcheck_after.stat.checksum"
    return [
        _task("Look at the trust store", "stat", **look)
        | {"register": "gapcheck_before", "when": _LIVE},
        _task("Rebuild the trust store from its anchors", "command", argv=list(argv))
        | {"changed_when": False, "when": _LIVE},
        _task("Look at what was built", "stat", **look)
        | {"register": "gapcheck_after", "when": _LIVE},
        _task("The trust store has changed", "debug", msg=bundle)
        | {
            "when": _LIVE,
            "changed_when": f"{before} | default('') != {after} | default('')",
        },
    ]


def restart_handler(change: RestartUnit) -> Task:
    """The restart that changed files notify."""
    return _restart(change) | {"when": _LIVE}


def restart_tasks(change: RestartUnit, pid: int) -> list[Task]:
    """A restart of its own, done once: while the unit still is the process that was measured."""
    argv = ["systemctl", "show", "--property=MainPID", "--value", change.unit]
    return [
        _task(f"Look at {change.unit}", "command", argv=argv)
        | {"register": "gapcheck_unit", "changed_when": False, "check_mode": False, "when": _LIVE},
        _restart(change) | {"when": [_LIVE, f"gapcheck_unit.stdout | trim == '{pid}'"]},
    ]


def _restart(change: RestartUnit) -> Task:
    return _task(
        handler_name(change), "systemd", name=change.unit, state="restarted", daemon_reload=True
    )


def changes_something(task: Task) -> bool:
    """Whether a task is one that may change the node, by its module."""
    silent = ("stat", "assert", "command")
    return not any(f"ansible.builtin.{module}" in task for module in silent)


def handler_name(change: RestartUnit) -> str:
    """How tasks name the restart that they notify."""
    return f"Restart {change.unit}"


def _task(name: str, module: str, /, **arguments: Any) -> Task:  # noqa: ANN401 - a module's own arguments
    return {"name": name, f"ansible.builtin.{module}": arguments}


def _at(change: FileChange) -> str:
    return f"{{{{ {ROOT} }}}}{change.path}"


def _text(text: str) -> str | Unsafe:
    """Text that Ansible would take for a template, marked as none."""
    return Unsafe(text) if any(mark in text for mark in _BRACES) else text
