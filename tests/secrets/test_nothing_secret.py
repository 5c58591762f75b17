"""Everything the product writes, on a site full of secrets: none of them is in it.

Backups are the exception that a repair needs: the former bytes of a file, where only its owner
may read them.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.apiserver import api_server
from support.scanner import Scanner
from support.seeded import Seeds, live_answers, seed_credentials, seed_nodes, seed_release

from gapcheck.demo import guide
from gapcheck.demo.registry import Served, running

# Some thirty commands, the repair among them.
pytestmark = pytest.mark.timeout(900)

REPORTS = ("json", "junit", "html", "sarif", "openmetrics", "policyreport")


class World:
    """The seeded site, what was run on it, and all that was said."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "site"
        self.state = home / "state"
        self.out = home / "out"
        for each in (self.folder, self.out):
            each.mkdir()
        self.seeds = Seeds({})
        self.env: dict[str, str] = {}
        self.ran: dict[str, int] = {}

    def run(self, *words: object, name: str = "", program: str = "gapcheck") -> None:
        """Run it as loud as it gets; what it said is a file of `out`."""
        name = name or "-".join(map(str, words[:2]))
        flags = ["-vv"] if program == "gapcheck" else []
        done = subprocess.run(
            [sys.executable, "-m", program, *flags, *map(str, words)],
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            env={**os.environ, **self.env, "GAPCHECK_STATE": str(self.state)}, timeout=120,
        )  # fmt: skip
        (self.out / f"{name}.stdout").write_bytes(done.stdout)
        (self.out / f"{name}.stderr").write_bytes(done.stderr)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        self.ran[name] = done.returncode

    def files(self, name: str) -> list[str]:
        return [word for form in REPORTS
                for word in ("--report", f"{form}:{self.out}/{name}.{form}")]  # fmt: skip

    def remember_keys(self) -> None:
        """Keys of the site as they are now: the guide's, and later those that a repair made."""
        for path in sorted(self.folder.rglob("*.key")):
            name = f"{path.relative_to(self.folder)} #{len(self.seeds.parts)}"
            self.seeds.key(name, path.read_bytes())

    @property
    def scanner(self) -> Scanner:
        return Scanner(self.seeds.parts)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The whole life of a site: measured, reported, exported, repaired, undone."""
    made = World(tmp_path_factory.mktemp("secret"))
    folder = made.folder
    served = Served(
        certificate=folder / "registry/certs/registry.crt",
        key=folder / "registry/certs/registry.key",
        store=guide.images(),
    )
    with running(served) as server:
        site = guide.build(folder, server.port, now=datetime.now(UTC))
        seed_nodes(folder, site.netloc, made.seeds)
        seed_release(folder, made.seeds)
        made.env = seed_credentials(folder, made.seeds)
        made.remember_keys()
        _look(made)
        made.run("fix", "--yes", "--site", "site.yaml", name="fix")
        made.remember_keys()
        made.run("check", "--site", "site.yaml", *made.files("after"), name="after")
        made.run("drift", "--site", "site.yaml", *made.files("drift-after"), name="drift-after")
        run = max(path.name for path in (made.state / "runs").iterdir())
        made.run("undo", run, "--yes", "--site", "site.yaml", name="undo")
    (made.home / "api").mkdir()
    with api_server(made.home / "api", live_answers(made.seeds)) as api:
        made.seeds.parts["token of the kubeconfig"] = (b"bearer-s3cret",)
        _look_live(made, api.kubeconfig)
    return made


def _look(made: World) -> None:
    """All that changes nothing."""
    evidence = ("--evidence", made.out / "evidence.tar.gz")
    made.run("check", "--site", "site.yaml", *made.files("check"), *evidence, name="check")
    made.run("collect", "--site", "site.yaml", "-o", made.out / "bundle.tar.gz", name="collect")
    made.run("collect", "--show", made.out / "bundle.tar.gz", name="show")
    made.run("check", "--bundle", made.out / "evidence.tar.gz", name="check-bundle")
    made.run("plan", "--site", "site.yaml", name="plan")
    made.run("drift", "--site", "site.yaml", *made.files("drift"), name="drift")
    made.run("history", "--site", "site.yaml", "--format", "json", name="history")
    accepted = ("-o", made.out / "accepted.json", "--reason", "reviewed")
    made.run("baseline", "accept", "--site", "site.yaml", *accepted, name="baseline")
    for what in ("values", "manifests", "ansible", "node-init"):
        made.run("export", what, "--site", "site.yaml", name=f"export-{what}")
    made.run("export", "systemd", "--site", "site.yaml", name="export-systemd")
    words = ("--pyargs", "gapcheck.checks", "-q", "-rA", "--site", "site.yaml")
    made.run(*words, f"--junitxml={made.out}/pytest.xml", name="pytest", program="pytest")


def _look_live(made: World, kubeconfig: Path) -> None:
    """The same of a live cluster, whose account is known by a token."""
    site = made.folder / "live.yaml"
    site.write_text(
        "version: 1\nname: live\nregistry: {host: 127.0.0.1, port: 1}\n"
        f"cluster: {{kubeconfig: {kubeconfig}}}\n"
        "release: {name: coder, namespace: coder, secret: {name: local-registry-cert}}\n"
    )
    evidence = ("--evidence", made.out / "live.tar.gz")
    made.run("check", "--site", site, *made.files("live"), *evidence, name="live")
    made.run("drift", "--site", site, *made.files("live-drift"), name="live-drift")
    made.run("plan", "--site", site, name="live-plan")
    for what in ("values", "manifests", "rbac", "cronjob"):
        more = {"rbac": ("--for", "fix"), "cronjob": ("--image", "r/g:1")}.get(what, ())
        made.run("export", what, "--site", site, *more, name=f"live-{what}")


def backups(made: World) -> list[Path]:
    """Files that hold the former bytes of a target's file, and nothing else does."""
    return [each for each in (made.state / "runs").glob("*/backup/*") if each.is_file()]


def test_every_command_did_its_work(world: World) -> None:
    """Else there would be nothing to scan."""
    wrong = {name: code for name, code in world.ran.items() if code not in (0, 1, 5, 6, 8)}
    assert wrong == {}
    assert world.ran["undo"] == 0
    assert len(world.seeds.parts) > 35
    names = {path.name for path in world.out.iterdir()}
    assert {f"check.{form}" for form in REPORTS} <= names
    assert {"evidence.tar.gz", "bundle.tar.gz", "live.tar.gz", "accepted.json"} <= names
    assert (world.state / "history.db").stat().st_size > 4096
    assert list(world.state.glob("runs/*/journal.jsonl"))
    assert backups(world)


def test_the_seeds_are_there_to_be_found(world: World) -> None:
    """Every secret is where it was put, or in a file that the repair has since put back.

    The key in a trust folder was taken out for good, and is nowhere: in no backup either.
    """
    found = world.scanner.found_below(world.folder)
    names = {name for each in found.values() for name in each}
    leaked = "key in the trust folder"
    assert leaked not in names
    assert leaked in world.seeds.parts
    elsewhere = ("live ", "Helm ", "last ", "user ", "stray ", "token of")
    on_disk = {
        name for name in world.seeds.parts if not name.startswith(elsewhere) and "#" not in name
    }
    assert on_disk - names == {leaked}


def test_no_report_bundle_export_or_line_of_output_holds_a_secret(world: World) -> None:
    assert world.scanner.found_below(world.out) == {}


def test_no_plan_journal_record_or_history_holds_a_secret(world: World) -> None:
    assert world.scanner.found_below(world.state, but=backups(world)) == {}


def test_backups_are_closed_and_hold_no_more_than_their_file_did(world: World) -> None:
    for path in backups(world):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = world.scanner.found_below(world.state)
    held = {name for each in found.values() for name in each}
    # What was undone stands again as it was, so that a backup may hold what its file holds now;
    # keys that the repair made ("#") went away with the undo, which keeps them as it found them.
    there = {name for each in world.scanner.found_below(world.folder).values() for name in each}
    assert {name for name in held if "#" not in name} <= there


def test_no_copy_is_kept_of_a_leaked_key_that_was_taken_out_of_a_secret(world: World) -> None:
    leaked = (world.folder / "manifests/local-registry-cert.yaml").read_text()
    assert "registry.crt:" in leaked
    assert "registry.key:" not in leaked  # taken out for good: not even undo brings it back
    for path in backups(world):
        assert b"registry.key:" not in path.read_bytes()
