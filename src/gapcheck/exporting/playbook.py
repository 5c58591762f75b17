"""`gapcheck export ansible`: the nodes' part of a plan as a playbook. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gapcheck.counting import counted
from gapcheck.errors import CannotPlan, EditRefused
from gapcheck.exporting.source import Export, Remainder, Source
from gapcheck.exporting.tasks import (
    ROOT,
    FileTasks,
    Task,
    changes_something,
    confined_tasks,
    file_tasks,
    folder_tasks,
    guard_tasks,
    handler_name,
    refresh_tasks,
    restart_handler,
    restart_tasks,
)
from gapcheck.exporting.text import comment, document
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import NodeFacts, Present
from gapcheck.hostspec import split_host_port
from gapcheck.model import CheckId, SubjectId, node_subject
from gapcheck.remediations.plan import (
    FileChange,
    PlannedChange,
    RefreshTrustStore,
    RestartUnit,
    WriteFile,
)
from gapcheck.remediations.planner import measured_file
from gapcheck.site import Node

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# A playbook must hold a play.
_NOTHING = {"name": "Nothing to change", "hosts": "all", "gather_facts": False, "tasks": []}


@dataclass(slots=True, kw_only=True)
class _Play:
    """What one node, or several alike, have to get."""

    tasks: list[Task] = field(default_factory=list)
    handlers: list[Task] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        """Equal for nodes that get the same."""
        return repr((self.tasks, self.handlers, self.settings)).encode()

    def body(self) -> dict[str, Any]:
        """As the playbook holds it: one node first, then a tenth at a time."""
        many = {"serial": [1, "10%"]} if len(self.hosts) > 1 else {}
        handlers = {"handlers": self.handlers} if self.handlers else {}
        return {
            "name": f"Registry on {counted(len(self.hosts), 'node')}"
            if many
            else f"Registry on {self.hosts[0]}",
            "hosts": self.hosts,
            "gather_facts": False,
            "any_errors_fatal": True,
            **many,
            **self.settings,
            "tasks": self.tasks,
            **handlers,
        }


def in_part(check: CheckId, subject: SubjectId) -> bool:
    """Whether a verdict is about a node."""
    del check
    return subject.startswith("node/")


def playbook(source: Source) -> Export:
    """Every change that is planned on a node; what is planned elsewhere is only named."""
    plan = source.plan()
    left = source.remainder(in_part, plan)
    left.first(plan)
    plays: dict[bytes, _Play] = {}
    nodes = source.evaluation.site.node_list
    for node in nodes:
        mine = [each for each in plan.changes if each.change.target == node_subject(node.name)]
        if mine and (not _HOST.fullmatch(node.name) or "{" in node.target):
            left.leave(f"node {node.name}: no name for an inventory; name it otherwise in the site")
        elif mine:
            play = _play(node, mine, source.evaluation.facts, left)
            plays.setdefault(play.key, play).hosts.append(node.name)
    with_tasks = [each for each in plays.values() if each.tasks]
    named = {host for play in with_tasks for host in play.hosts}
    head = [*_head(source, [node for node in nodes if node.name in named])]
    return left.export(document(head, [each.body() for each in with_tasks] or [_NOTHING]))


def _head(source: Source, nodes: Sequence[Node]) -> Iterator[str]:
    taken = f"{source.evaluation.facts.taken_at:%Y-%m-%d %H:%M} UTC"
    yield from comment(
        f"Changes of the nodes, by what was measured {taken}. A second run changes nothing. "
        "A file that has changed since stops it. What is edited is kept beside the file; "
        "gapcheck undo knows nothing of it."
    )
    if not nodes:
        yield from comment("Nothing that was judged asks for a change on a node.")
        return
    yield "#   ansible-playbook -i INVENTORY --check --diff FILE"
    yield from comment(f"Root of an image instead: -e {ROOT}=/path. An inventory for it:")
    yield from (f"#   {line}" for line in map(_inventory_line, nodes))


def _inventory_line(node: Node) -> str:
    scheme, _, rest = node.target.partition("://")
    if scheme != "ssh":
        return node.name if scheme in ("rootdir", "local") else f"{node.name}  # {node.target}"
    user, _, netloc = rest.partition("?")[0].partition("/")[0].rpartition("@")
    host, port = split_host_port(unquote(netloc))
    words = [node.name, *([f"ansible_host={host}"] if host != node.name else [])]
    words += [f"ansible_user={user}"] if user else []
    words += [f"ansible_port={port}"] if port else []
    return " ".join(words)


def _play(node: Node, changes: Sequence[PlannedChange], facts: FactSet, left: Remainder) -> _Play:
    play = _Play(settings=_settings(node))
    restarts = [each for each in changes if isinstance(each.change, RestartUnit)]
    files: list[FileTasks] = []
    new: list[str] = []
    tasks: list[Task] = []
    for each in changes:
        try:
            found = _tasks(each, facts)
        except (CannotPlan, EditRefused) as cannot:
            left.leave(f"{each.change.target}: {cannot}; gapcheck fix does it")
            continue
        if isinstance(found, FileTasks):
            files.append(found)
            new += [found.path] if _is_new(each.change) else []
        tasks += _named(found.tasks if isinstance(found, FileTasks) else found, each, restarts)
    paths = [each.path for each in files]
    play.tasks = [*confined_tasks(paths), *guard_tasks(files), *folder_tasks(new), *tasks]
    for each in restarts:
        _add_restart(play, each.change, facts)
    return play


def _settings(node: Node) -> dict[str, Any]:
    scheme, _, path = node.target.partition("://")
    root = ""
    if scheme == "rootdir":
        root = path if path.startswith("/") else f"{{{{ playbook_dir }}}}/{path.removeprefix('./')}"
    become = {"become": True} if node.sudo else {}
    if scheme not in ("rootdir", "local"):
        return {**become, "vars": {ROOT: root}}
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    return {"connection": "local", **become, "vars": {ROOT: root, **python}}


def _is_new(change: object) -> bool:
    return isinstance(change, WriteFile) and change.before_sha256 is None


def _tasks(planned: PlannedChange, facts: FactSet) -> FileTasks | list[Task]:
    change = planned.change
    if isinstance(change, RefreshTrustStore):
        return refresh_tasks(change)
    if isinstance(change, RestartUnit):
        return []
    if not isinstance(change, FileChange):
        reason = f"{type(change).__name__} is no task of a node"
        raise CannotPlan(reason)
    fact = measured_file(facts, change.target, change.path)
    return file_tasks(change, fact, None if fact is None else facts.blobs.get(fact.blob))


def _named(
    tasks: Sequence[Task], planned: PlannedChange, restarts: Sequence[PlannedChange]
) -> Iterator[Task]:
    """The tasks with the checks that ask for them.

    What changes notifies the restarts that the same verdicts ask for.
    """
    why = ", ".join(dict.fromkeys(each.check for each in planned.causes))
    names = [
        handler_name(each.change)
        for each in restarts
        if isinstance(each.change, RestartUnit) and set(each.causes) & set(planned.causes)
    ]
    for task in tasks:
        named = {**task, "name": f"{task['name']} ({why})"}
        yield {**named, "notify": names} if names and changes_something(task) else named


def _add_restart(play: _Play, change: object, facts: FactSet) -> None:
    if not isinstance(change, RestartUnit):
        return
    if any(handler_name(change) in task.get("notify", ()) for task in play.tasks):
        play.handlers.append(restart_handler(change))
        return
    node = facts.by_subject.get(change.target)
    unit = node.units.get(change.unit) if isinstance(node, NodeFacts) else None
    pid = unit.value.pid if isinstance(unit, Present) else 0
    play.tasks += restart_tasks(change, pid)
