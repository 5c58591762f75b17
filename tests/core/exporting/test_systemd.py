"""The exported units: taken by systemd's own programs, hardened, and what they run."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from support.command import Ended, gapcheck
from support.needs import program

from gapcheck.errors import UsageError
from gapcheck.exporting.systemd import Units, files, systemd
from gapcheck.reports.writers import Wanted
from gapcheck.site import Node, Registry, Site

REMOTE = "version: 1\nname: plant-7\nregistry: {host: registry.local}\nnodes: [n1]\n"
SEEDED = "s3cret-of-the-registry"
LOCAL = REMOTE.replace("[n1]", "[local]")


def export(folder: Path, text: str, *words: str) -> Ended:
    (folder / "site.yaml").write_text(text)
    return gapcheck(folder, "export", "systemd", *words)


def written(folder: Path, text: str, *words: str) -> Path:
    units = folder / "units"
    units.mkdir()
    found = export(folder, text, "-o", "units", *words)
    assert (found.code, found.out) == (0, ""), found.err
    return units


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("systemd-analyze"), *map(str, words)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip


def value(text: str, key: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(f"{key}=")]
    return found.removeprefix(f"{key}=")


@pytest.mark.parametrize("text", [REMOTE, LOCAL], ids=["remote", "local"])
def test_units_are_taken_by_systemd_without_a_word(text: str, tmp_path: Path) -> None:
    units = written(tmp_path, text, "--user", "root", "--on-failure", "rescue.target",
                    "--report", f"openmetrics:{tmp_path}/m 100%.prom")  # fmt: skip
    found = analyze("verify", "--man=no", "--recursive-errors=no", *sorted(units.iterdir()))
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    broken = units / "gapcheck.service"
    broken.write_text(broken.read_text().replace("Type=oneshot", "Type=oneshoot"))
    assert "oneshoot" in analyze("verify", "--man=no", broken).stderr  # verify does judge


def test_a_site_elsewhere_is_looked_at_from_a_closed_sandbox(tmp_path: Path) -> None:
    units = written(tmp_path, REMOTE)
    service = units / "gapcheck.service"
    found = analyze("security", "--offline=true", "--threshold=35", service)
    assert found.returncode == 0, found.stdout
    service.write_text(service.read_text().replace("ProtectSystem=strict\n", ""))
    service.write_text(service.read_text().replace("CapabilityBoundingSet=\n", ""))
    assert analyze("security", "--offline=true", "--threshold=35", service).returncode != 0


@pytest.mark.parametrize("spec", ["local://", "docker://c", "rootdir:///srv/root"])
def test_a_target_on_this_machine_is_not_seen_through_a_sandbox(spec: str) -> None:
    node = Node(target=spec, name="here")
    site = Site(version=1, registry=Registry(host="r"), nodes=(node,))
    text = files(site, Units(program=("/bin/g",), site_file="/s"))["gapcheck.service"]
    for key in ("PrivateTmp", "PrivateDevices", "NoNewPrivileges", "CapabilityBoundingSet"):
        assert f"{key}=" not in text
    registry = Registry(host="r", target=spec)
    site = Site(version=1, registry=registry)
    again = files(site, Units(program=("/bin/g",), site_file="/s"))["gapcheck.service"]
    assert "PrivateTmp=" not in again


def test_sudo_works_for_another_user_where_this_machine_is_measured() -> None:
    node = Node(target="local://", name="here", sudo=True)
    site = Site(version=1, registry=Registry(host="r"), nodes=(node,))
    for user, is_closed in (("ops", False), ("", True)):
        units = Units(program=("/bin/g",), site_file="/s", user=user)
        text = files(site, units)["gapcheck.service"]
        assert ("RestrictSUIDSGID" in text) == is_closed
        assert "ProtectSystem=strict" in text


def test_schedule_is_one_that_systemd_reads_and_a_missed_run_is_made_up_for(tmp_path: Path) -> None:
    timer = (written(tmp_path, REMOTE) / "gapcheck.timer").read_text()
    found = analyze("calendar", value(timer, "OnCalendar"))
    assert found.returncode == 0, found.stderr
    assert value(timer, "Persistent") == "true"
    assert value(timer, "RandomizedDelaySec") == "30min"


def test_the_command_is_the_one_that_runs_here(tmp_path: Path) -> None:
    """Its words, run by hand with the unit's own state folder, begin and then continue."""
    text = REMOTE.replace("host: registry.local", "host: 127.0.0.1, port: 1")
    text = text.replace("nodes: [n1]\n", "")
    service = (written(tmp_path, text) / "gapcheck.service").read_text()
    words = shlex.split(value(service, "ExecStart"))
    state = "/var/lib/gapcheck"
    assert value(service, "Environment") == f"GAPCHECK_STATE={state}"
    mine = [word.replace(state, str(tmp_path / "state")) for word in words]
    (tmp_path / "state").mkdir(mode=0o700)
    environment = {**os.environ, "GAPCHECK_STATE": str(tmp_path / "state")}
    said = [
        subprocess.run(mine, env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert "nothing to compare with" in said[0].stdout
    assert "since run " in said[1].stdout
    assert (tmp_path / "state/report.html").exists()
    assert {each.returncode for each in said} <= {1, 6}


def test_nothing_that_ends_with_another_code_is_called_a_success(tmp_path: Path) -> None:
    text = export(tmp_path, REMOTE).out
    assert "SuccessExitStatus" not in text
    assert value(text, "ExecStart").startswith("/")  # no "-" in front, which forgives any code


def test_hook_is_named_where_it_is_asked_for(tmp_path: Path) -> None:
    assert "OnFailure" not in export(tmp_path, REMOTE).out
    found = export(tmp_path, REMOTE, "--on-failure", "notify@%n.service").out
    assert value(found, "OnFailure") == "notify@%n.service"


def test_a_further_report_may_be_written_where_it_is_asked_for(tmp_path: Path) -> None:
    text = export(tmp_path, REMOTE, "--report", "openmetrics:/var/lib/metrics/g.prom").out
    assert value(text, "ReadWritePaths") == "/var/lib/metrics"
    assert value(text, "ExecStart").endswith("--report openmetrics:/var/lib/metrics/g.prom")


def test_a_report_into_the_cluster_asks_for_no_folder(tmp_path: Path) -> None:
    text = export(tmp_path, REMOTE, "--report", "policyreport:cluster").out
    assert "ReadWritePaths" not in text
    assert value(text, "ExecStart").endswith("--report policyreport:cluster")


@pytest.mark.parametrize("path", ["/srv/a b/site.yaml", '/srv/"q"/$HOME/100%/s\\.yaml'])
def test_odd_paths_reach_the_program_as_they_are(path: str) -> None:
    site = Site(version=1, registry=Registry(host="r"))
    text = files(site, Units(program=("/bin/g",), site_file=path))["gapcheck.service"]
    (word,) = [w for w in shlex.split(value(text, "ExecStart")) if "site" in w or "s\\" in w
               if w.startswith("/")]  # fmt: skip
    assert word.replace("$$", "$").replace("%%", "%") == path


def test_secrets_of_the_environment_are_asked_for_and_not_printed(tmp_path: Path) -> None:
    text = REMOTE.replace(
        "{host: registry.local}",
        "{host: registry.local, auth: {username: bob, password_env: REGISTRY_PASSWORD}}",
    )
    (tmp_path / "site.yaml").write_text(text)
    found = gapcheck(tmp_path, "export", "systemd", REGISTRY_PASSWORD=SEEDED)
    assert value(found.out, "EnvironmentFile") == "/etc/gapcheck/gapcheck.env"
    assert "REGISTRY_PASSWORD" in found.err
    assert "s3cret" not in found.out + found.err


@pytest.mark.parametrize(
    "words",
    [
        ("--name", "../x"),
        ("--name", "a b"),
        ("--user", "root\nExecStart=/bin/sh"),
        ("--on-failure", "x.timer"),
        ("--on-failure", "a.service b.service"),
        ("--schedule", "daily\n[Service]"),
        ("--report", "json:relative.json"),
        ("--report", "json:-"),
        ("--report", "pdf:/x"),
        ("-o", "absent"),
    ],
)
def test_what_no_unit_may_hold_is_wrong_use(words: tuple[str, ...], tmp_path: Path) -> None:
    found = export(tmp_path, REMOTE, *words)
    assert (found.code, found.out) == (4, "")


def test_a_site_file_that_the_unit_cannot_see_is_said() -> None:
    site = Site(version=1, registry=Registry(host="r"))
    unseen = "/var/tmp/site.yaml"  # noqa: S108 - a path in a text
    for path, is_seen in ((unseen, False), ("/etc/gapcheck/site.yaml", True)):
        found = systemd(site, Units(program=("/usr/bin/gapcheck",), site_file=path))
        assert any(path in note for note in found.notes) != is_seen
        assert f"--site {path} " in found.text


def test_line_breaks_in_a_name_of_the_site_end_no_line() -> None:
    site = Site(version=1, name="a\n[Service]\nExecStartPre=/bin/x\\", registry=Registry(host="r"))
    text = files(site, Units(program=("/bin/g",), site_file="/s"))["gapcheck.service"]
    assert "\nExecStartPre" not in text
    assert value(text, "Description") == (
        "gapcheck: what differs at a?[Service]?ExecStartPre=/bin/x since the last run"
    )


def test_units_that_exist_are_kept_without_force(tmp_path: Path) -> None:
    units = written(tmp_path, REMOTE)
    (units / "gapcheck.timer").unlink()
    (units / "gapcheck.service").write_text("mine\n")
    found = export(tmp_path, REMOTE, "-o", "units")
    assert found.code == 4
    assert (units / "gapcheck.service").read_text() == "mine\n"
    assert not (units / "gapcheck.timer").exists()
    assert export(tmp_path, REMOTE, "-o", "units", "--force").code == 0


def test_a_folder_of_a_report_has_to_be_a_full_path() -> None:
    units = Units(program=("/g",), site_file="/s", reports=(Wanted("json", "x"),))
    with pytest.raises(UsageError, match="give a full path"):
        files(Site(version=1, registry=Registry(host="r")), units)
