"""Exported playbooks run by the real Ansible, on roots of images and on stand-ins for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from support.ansible import Ran, run
from support.certs import NOW
from support.healthy import CONFIG_1, HOST, ca, healthy, other_ca, site, with_facts
from support.nodes import guide, unit, untrusting
from support.places import snapshot
from support.repair import failing

from gapcheck.engine import Evaluation
from gapcheck.exporting.playbook import playbook
from gapcheck.exporting.source import Export, Source
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.probes.rootdir import probe_root
from gapcheck.fixtures.targets.root import RootTarget
from gapcheck.model import SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import FileChange
from gapcheck.remediations.planner import Wanted, build_plan
from gapcheck.site import Site

NODE = SubjectId("node/debian")
OF_ROOT = site(cluster=None, nodes=[{"name": "debian", "target": "rootdir://./root"}])


def made_root(folder: Path) -> Path:
    """The root of a Debian node as the guide leaves it, its hosts file led astray."""
    root = folder / "root"
    for path, content in {
        "etc/os-release": b"ID=debian\n",
        "etc/hosts": f"127.0.0.1 localhost\n10.0.0.9 {HOST} other # note\n".encode(),
        "etc/nsswitch.conf": b"hosts: files dns\n",
        "etc/ssl/certs/ca-certificates.crt": other_ca().pem,
        "etc/containerd/main.toml": (CONFIG_1 + guide()).encode(),
        "etc/pki/tls/registry.crt": ca().pem,
    }.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    (root / "etc/containerd/main.toml").chmod(0o600)
    (root / "etc/containerd/config.toml").symlink_to("main.toml")
    return root


def measured(root: Path) -> FactSet:
    probed = probe_root(RootTarget("rootdir://root", root))
    facts = with_facts(healthy()[1], NODE, probed.blobs)
    by_subject: dict[Any, Any] = {**facts.by_subject, NODE: probed.facts}
    by_subject.pop("node/rhel")
    return msgspec.structs.replace(facts, by_subject=by_subject)


def judged(facts: FactSet, of: Site) -> Evaluation:
    return Evaluation(of, facts, catalogue(), now=NOW)


def exported(evaluation: Evaluation) -> Export:
    return playbook(Source(evaluation=evaluation, wanted=Wanted(), asked=lambda _c, _s: True))


def written(folder: Path, text: str) -> Path:
    path = folder / "nodes.yml"
    path.write_text(text)
    return path


def test_root_holds_the_bytes_of_a_fix_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    root = made_root(tmp_path)
    evaluation = judged(measured(root), OF_ROOT)
    assert {"RUN-TLS-001"} <= failing(evaluation.facts, OF_ROOT, NODE).keys()
    expected: dict[str, bytes | None] = {}
    for each in build_plan(evaluation).changes:
        if each.change.target == NODE and isinstance(each.change, FileChange):
            place = root / each.change.path.lstrip("/")
            content = place.read_bytes() if place.exists() else None
            expected[each.change.path] = apply_edit(each.change, content)
    assert len(expected) >= 4
    path = written(tmp_path, exported(evaluation).text)

    tried = run(path, "debian", "--check", "--diff")
    assert (tried.code, tried.changed > 0) == (0, True), tried.out
    assert not (root / f"etc/containerd/certs.d/{HOST}").exists()

    first = run(path, "debian")
    assert first.code == 0, first.out
    for name, content in expected.items():
        place = root / name.lstrip("/")
        assert (place.read_bytes() if place.exists() else None) == content, name
    assert (root / "etc/containerd/config.toml").is_symlink()
    assert (root / "etc/containerd/main.toml").stat().st_mode & 0o777 == 0o600
    assert (root / f"etc/containerd/certs.d/{HOST}").stat().st_mode & 0o777 == 0o755
    wrong = {each for each in failing(measured(root), OF_ROOT, NODE) if each.startswith("RUN")}
    assert wrong == set()

    before = snapshot(root)
    second = run(path, "debian")
    assert (second.code, second.changed) == (0, 0), second.out
    assert snapshot(root) == before


def test_a_file_that_has_changed_since_stops_the_run_before_anything_is_written(
    tmp_path: Path,
) -> None:
    root = made_root(tmp_path)
    path = written(tmp_path, exported(judged(measured(root), OF_ROOT)).text)
    with (root / "etc/containerd/config.toml").open("a") as file:
        file.write("# edited\n")
    before = snapshot(root)
    ran = run(path, "debian")
    assert ran.code != 0
    assert "/etc/containerd/config.toml has changed since it was measured" in ran.out
    assert snapshot(root) == before


def test_a_link_that_leads_out_of_the_root_stops_the_run(tmp_path: Path) -> None:
    root = made_root(tmp_path)
    path = written(tmp_path, exported(judged(measured(root), OF_ROOT)).text)
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "etc/containerd/certs.d").symlink_to(outside)
    ran = run(path, "debian")
    assert ran.code != 0
    assert "leads out of" in ran.out
    assert list(outside.iterdir()) == []


_TOOL = """#!/bin/sh
cat {anchors}/*.crt > {bundle}
"""
_SYSTEMCTL = """#!/bin/sh
case $* in
"show --property=MainPID --value containerd.service") cat {pid} ;;
"restart containerd.service") echo restarted >> {log}; echo 999 > {pid} ;;
"show containerd.service") printf 'LoadState=loaded\\nActiveState=active\\n' ;;
esac
"""


class Machine:
    """A running node whose store, tool and systemctl are stand-ins in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle, self.anchors = folder / "bundle.crt", folder / "anchors"
        self.log, self.pid, self.bin = folder / "log", folder / "pid", folder / "bin"
        self.anchors.mkdir()
        self.bin.mkdir()
        self.bundle.write_bytes(other_ca().pem)
        self.log.touch()
        self.pid.write_text("412\n")
        self._program("update-ca-certificates", _TOOL)
        self._program("systemctl", _SYSTEMCTL)

    def _program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(
            text.format(anchors=self.anchors, bundle=self.bundle, pid=self.pid, log=self.log)
        )
        path.chmod(0o755)

    def placed(self, text: str) -> Path:
        """The playbook with the places of this machine."""
        for place, there in (
            ("/etc/ssl/certs/ca-certificates.crt", self.bundle),
            ("/usr/local/share/ca-certificates", self.anchors),
        ):
            text = text.replace(place, str(there))
        return written(self.folder, text)

    def run(self, path: Path) -> Ran:
        return run(path, "debian", programs=str(self.bin))


def test_a_rebuilt_store_restarts_the_runtime_once(tmp_path: Path) -> None:
    facts, _ = untrusting("debian", folder=False)
    of = site(policy={"trust": "os"}, nodes=[{"name": "debian", "target": "local://"}])
    machine = Machine(tmp_path)
    text = exported(judged(facts, of)).text
    assert "/etc/containerd" not in text
    path = machine.placed(text)

    first = machine.run(path)
    assert first.code == 0, first.out
    assert machine.bundle.read_bytes().split() == ca().pem.split()
    assert machine.log.read_text() == "restarted\n"

    second = machine.run(path)
    assert (second.code, second.changed) == (0, 0), second.out
    assert machine.log.read_text() == "restarted\n"


def test_a_restart_alone_happens_once(tmp_path: Path) -> None:
    facts = unit(healthy()[1], NODE, started=NOW.timestamp() - 10 * 86_400, pid=412)
    of = site(policy={"trust": "os"}, nodes=[{"name": "debian", "target": "local://"}])
    machine = Machine(tmp_path)
    path = machine.placed(exported(judged(facts, of)).text)
    first = machine.run(path)
    assert (first.code, first.changed) == (0, 1), first.out
    second = machine.run(path)
    assert (second.code, second.changed) == (0, 0), second.out
    assert machine.log.read_text() == "restarted\n"


def test_ansible_takes_a_playbook_of_every_kind_of_task_for_one(tmp_path: Path) -> None:
    facts, _ = untrusting("debian", folder=False)
    text = exported(judged(facts, site(policy={"trust": "both"}))).text
    ran = run(written(tmp_path, text), "debian,rhel", "--syntax-check")
    assert ran.code == 0, ran.out


def test_nothing_to_change_is_a_playbook_too(tmp_path: Path) -> None:
    ran = run(written(tmp_path, exported(judged(healthy()[1], site())).text), "debian")
    assert (ran.code, ran.changed) == (0, 0), ran.out
