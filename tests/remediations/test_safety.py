"""What a repair can do is a closed set; what it must not do is refused before the first change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from support import needs
from support.certs import authority
from support.places import NODE, places, plan_of, sha, snapshot
from support.small_site import SmallSite, small_site

from gapcheck.fixtures.targets.base import OUTPUT_CAP, Ran
from gapcheck.fixtures.targets.process import Processes
from gapcheck.model import SITE
from gapcheck.remediations.plan import AnyChange, Literal, WriteFile

ROOT = Path(__file__).parents[2]
CHANGES = {
    "EditToml", "EditYaml", "EditJson", "EditBlock", "WriteFile", "RemoveFile", "SetMode",
    "RefreshTrustStore", "RestartUnit", "SetContainer", "RestartContainer", "RecreateContainer",
    "PatchObject", "UpgradeRelease", "IssueCertificate", "SwitchCertificate", "DrainNode",
    "UncordonNode",
}  # fmt: skip
# The functions of the one program that a machine is sent; whatever is new here is new power.
OPERATIONS = {
    "refuse", "fail", "b64", "settle", "sum_of", "state", "states", "look", "tree", "private",
    "touch_lock", "save", "fill", "kept", "sweep", "overwrite", "put", "put_file", "dress",
    "remove_folder", "lock", "unlock", "renew", "validate_containerd", "refresh", "restart_unit",
    "answers", "set_restart_policy", "restart_container", "whoami_not",
    "docker_here", "container_id", "container_look", "engine_call", "container_sweep",
    "volumes_absent", "container_discard", "container_stop", "data_sum", "container_copy",
    "container_runs", "last_word", "container_switch", "container_restore", "never_ran",
    "container_runs_again", "container_foreign",
}  # fmt: skip


def test_the_applier_knows_these_changes_and_no_other() -> None:
    known = {each.__name__ for each in get_args(AnyChange)}
    assert known == CHANGES
    table = (ROOT / "docs/safety.md").read_text()
    for name in CHANGES:
        assert re.search(rf"^\| .*\b{name}\b", table, re.MULTILINE), name


def test_no_change_has_a_field_for_a_command() -> None:
    fields = {each.name for kind in get_args(AnyChange) for each in msgspec.structs.fields(kind)}
    assert not [
        each for each in fields if re.search("command|shell|script|argv|exec|password", each)
    ]


def test_a_machine_is_sent_these_operations_and_no_other() -> None:
    folder = ROOT / "remediations/machines"
    text = "".join(each.read_text() for each in sorted(folder.glob("*.sh")))
    assert set(re.findall(r"^(\w+)\(\) \{", text, re.MULTILINE)) == OPERATIONS
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"\beval\b", code)


class Nobody:
    """`sh -s` of this machine as a user without any rights."""

    hostspec = "local://"
    running = True
    read_only = ""

    def run(self, program: bytes, *, timeout_s: float, cap: int = OUTPUT_CAP) -> Ran:
        argv = (needs.program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups")
        return Processes().run((*argv, "sh", "-s"), program, timeout_s=timeout_s, cap=cap)

    def close(self) -> None:
        """Nothing is held."""


def test_missing_rights_are_said_before_the_first_change_anywhere(tmp_path: Path) -> None:
    here = places(tmp_path, Nobody())
    (tmp_path / "there").mkdir(mode=0o700)
    before = snapshot(here.root, here.site)
    first = WriteFile(target=SITE, path="a", before_sha256=None, content=Literal(b"a"))
    second = WriteFile(target=NODE, path="/etc/b", before_sha256=None, content=Literal(b"b"))

    results = here.apply(plan_of(first, second))

    assert [each.state for each in results] == ["skipped", "failed"]
    assert "by nobody, who is not root: sudo: true in the site file" in results[1].detail
    assert "nothing was written there" in results[1].detail
    assert snapshot(here.root, here.site) == before


@pytest.fixture
def site(tmp_path: Path) -> SmallSite:
    return small_site(tmp_path / "site", nodes=1)


def test_a_link_that_leads_nowhere_is_refused_by_the_plan_already(site: SmallSite) -> None:
    folder = site.root("n0") / "etc/containerd/certs.d/registry.local:9"
    (folder / "ca.crt").unlink()
    (folder / "ca.crt").symlink_to("/gone/ca.crt")
    (site.root("n0") / "etc/ssl/certs/ca-certificates.crt").write_bytes(authority("other").pem)
    (site.root("n0") / "usr/local/share/ca-certificates/registry.crt").unlink()

    shown = site.run("plan", "--site", "site.yaml")

    assert "ca.crt is a link to /gone/ca.crt, which leads nowhere" in shown.out, shown.out
    assert (
        "write file  node/n0 /etc/containerd/certs.d/registry.local:9/hosts.toml" not in shown.out
    )


def test_a_hosts_file_in_latin_1_is_repaired_and_its_bytes_are_kept(site: SmallSite) -> None:
    content = "127.0.0.1 localhost # Büro\n".encode("latin-1")
    site.hosts("n0").write_bytes(content)

    fixed = site.run("fix", "--site", "site.yaml")

    assert site.hosts("n0").read_bytes() == (
        content + b"# BEGIN gapcheck registry\n127.0.0.1\tregistry.local\n# END gapcheck registry\n"
    ), fixed.err
    assert "+127.0.0.1\tregistry.local" in fixed.err
    assert site.run("undo", site.last_run(), "--site", "site.yaml").code == 0
    assert site.hosts("n0").read_bytes() == content


def test_a_key_that_leaked_into_the_ca_file_is_not_kept_and_not_put_back(site: SmallSite) -> None:
    leaked = authority("leaked")
    file = site.folder / "ca.crt"
    clean = file.read_bytes()
    file.write_bytes(clean + leaked.key_pem)

    fixed = site.run("fix", "--site", "site.yaml")

    assert "final: the private key in it counts as leaked" in fixed.err
    assert file.read_bytes() == clean
    kept = [each for each in site.state.rglob("*") if each.is_file()]
    assert kept
    assert not [each for each in kept if b"PRIVATE KEY" in each.read_bytes()]
    undone = site.run("undo", site.last_run(), "--site", "site.yaml")
    assert undone.code == 0, undone.err
    assert "what was removed for good is not put back" in undone.err
    assert sha(file.read_bytes()) == sha(clean)
