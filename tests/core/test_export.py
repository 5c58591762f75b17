from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import (
    ADDRESS,
    CONFIG_1,
    CONFIG_2,
    HOST,
    ca,
    healthy,
    other_ca,
    site,
    with_facts,
)
from support.nodes import BARE_1, guide
from support.repair import failing

from gapcheck.errors import UsageError
from gapcheck.export import node_init
from gapcheck.fixtures.probes.rootdir import probe_root
from gapcheck.fixtures.targets.root import RootTarget
from gapcheck.model import SubjectId

CONFIG = "etc/containerd/config.toml"
FOLDER = f"etc/containerd/certs.d/{HOST}"


@pytest.fixture(params=["dash", "busybox"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], str]:
    """A POSIX shell, and a PATH on which busybox finds only itself."""
    program = shutil.which(request.param)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(f"{request.param} is not installed")
        pytest.skip(f"{request.param} is not installed")
    if request.param == "dash":
        return [program], os.environ["PATH"]
    own = tmp_path / "bin"
    own.mkdir()
    for name in ("awk", "sed", "grep", "cmp", "mv", "rm", "cat", "chmod", "mkdir", "mktemp",
                 "sort", "head", "tr", "cp", "sh"):  # fmt: skip
        (own / name).symlink_to(program)
    return [program, "sh"], str(own)


def root_with(folder: Path, config: str | None, os_id: str = "debian") -> Path:
    root = folder / "root"
    (root / "etc/containerd").mkdir(parents=True)
    (root / "etc/ssl/certs").mkdir(parents=True)
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(other_ca().pem)
    (root / "etc/os-release").write_text(f"ID={os_id}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n10.0.0.9 {HOST} other # note\n")
    if config is not None:
        (root / CONFIG).write_text(config)
    return root


def run(shell: tuple[list[str], str], script: str, root: Path) -> subprocess.CompletedProcess[str]:
    command, path = shell
    return subprocess.run(
        [*command, "-s"],
        input=script,
        env={"PATH": path, "GAPCHECK_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def snapshot(root: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode,
        )
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def failing_in(root: Path) -> set[str]:
    probed = probe_root(RootTarget("rootdir://root", root))
    _, facts = healthy()
    node: Any = probed.facts
    facts = with_facts(facts, "node/debian", probed.blobs)
    by_subject = {**facts.by_subject, SubjectId("node/debian"): node}
    facts = msgspec.structs.replace(facts, by_subject=by_subject)
    of = site(cluster=None, nodes=[{"name": "debian", "target": "rootdir://./root"}])
    return {each for each in failing(facts, of, "node/debian") if each.startswith(("NODE", "RUN"))}


CONFIGS = {
    "absent": None,
    "empty": "",
    "healthy-1": CONFIG_1,
    "healthy-2": CONFIG_2,
    "guide": f"version = 2\n{guide()}",
    "guide-empty-name": BARE_1 + guide(""),
    "guide-no-version": guide(),
    "guide-on-2": CONFIG_2 + guide(),
    "docker-packaged": 'disabled_plugins = ["cri"]\n#root = "/var/lib/containerd"\n',
    "own-mirror": BARE_1
    + f'[plugins."io.containerd.grpc.v1.cri".registry.mirrors."{HOST}"]\nendpoint = ["https://{HOST}"]\n',
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_new_node_passes_and_a_second_run_changes_nothing(
    name: str, shell: tuple[list[str], str], tmp_path: Path
) -> None:
    root = root_with(tmp_path, CONFIGS[name])
    script = node_init(site(), ca().pem)
    first = run(shell, script, root)
    assert (first.returncode, first.stdout) == (0, "")
    assert failing_in(root) == set()
    before = snapshot(root)
    second = run(shell, script, root)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert snapshot(root) == before
    text = (root / CONFIG).read_text()
    assert "skip_verify" not in text
    assert text.count("config_path") == 1


def test_unprepared_node_fails_so_that_the_script_has_something_to_do(tmp_path: Path) -> None:
    root = root_with(tmp_path, f"version = 2\n{guide()}")
    assert {"NODE-TRUST-001", "RUN-TLS-001"} <= failing_in(root)


def test_name_moves_into_one_managed_block(shell: tuple[list[str], str], tmp_path: Path) -> None:
    root = root_with(tmp_path, CONFIG_1)
    run(shell, node_init(site(), ca().pem), root)
    assert (root / "etc/hosts").read_text() == (
        "127.0.0.1 localhost\n10.0.0.9 other # note\n"
        f"# BEGIN gapcheck registry\n{ADDRESS} {HOST}\n# END gapcheck registry\n"
    )


def test_settings_of_another_registry_are_left_and_said(
    shell: tuple[list[str], str], tmp_path: Path
) -> None:
    table = '[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\n'
    config = f'{BARE_1}{table}endpoint = ["https://mirror"]\n'
    root = root_with(tmp_path, config)
    ran = run(shell, node_init(site(), ca().pem), root)
    assert ran.returncode == 1
    assert "registry.mirrors of another registry" in ran.stderr
    assert (root / CONFIG).read_text() == config


def test_file_that_cannot_be_written_stops_the_script(
    shell: tuple[list[str], str], tmp_path: Path
) -> None:
    root = root_with(tmp_path, CONFIG_1)
    (root / "etc/containerd/certs.d").write_text("a file where a folder belongs")
    ran = run(shell, node_init(site(), ca().pem), root)
    assert ran.returncode == 2
    assert "cannot be made" in ran.stderr


@pytest.mark.parametrize(
    ("os_id", "anchors"),
    [
        ("debian", "usr/local/share/ca-certificates"),
        ("rocky", "etc/pki/ca-trust/source/anchors"),
    ],
)
def test_policy_os_writes_one_anchor_a_certificate(
    os_id: str, anchors: str, shell: tuple[list[str], str], tmp_path: Path
) -> None:
    root = root_with(tmp_path, CONFIG_1, os_id)
    if os_id == "rocky":
        (root / "etc/os-release").write_text('ID="rocky"\nID_LIKE="rhel centos fedora"\n')
    of = site(policy={"trust": "os"})
    ran = run(shell, node_init(of, ca().pem + other_ca().pem), root)
    assert ran.returncode == 1  # an image's own tool has to rebuild the bundle
    assert len(list((root / anchors).glob("gapcheck-*.crt"))) == 2
    assert not (root / FOLDER).exists()


def test_former_configuration_is_kept_beside_the_new_one(
    shell: tuple[list[str], str], tmp_path: Path
) -> None:
    root = root_with(tmp_path, guide())
    run(shell, node_init(site(), ca().pem), root)
    assert (root / f"{CONFIG}.before-gapcheck").read_text() == guide()


def test_ca_file_without_certificate_gives_no_script() -> None:
    with pytest.raises(UsageError, match="no certificate"):
        node_init(site(), ca().der)


@pytest.mark.parametrize("host", ["$(id)", "a'b", 'a"b', "a`b`", "a;b"])
def test_name_with_odd_characters_gives_no_script(host: str) -> None:
    of = site()
    registry = of.registry.model_copy(update={"host": host})
    with pytest.raises(UsageError, match="odd characters"):
        node_init(of.model_copy(update={"registry": registry}), ca().pem)


def test_registry_that_is_named_by_its_address_gets_no_hosts_line() -> None:
    script = node_init(site(registry={"host": "10.0.0.2:5000", "ca_file": "ca.crt"}), ca().pem)
    assert "\naddress=''\n" in script
    assert "\nnetloc=10.0.0.2:5000\n" in script
