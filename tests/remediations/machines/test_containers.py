"""Containers of a real dockerd are made anew with all that they had, or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import dockerd, needs
from support.places import Places, places, plan_of

from gapcheck.errors import RepairRefused
from gapcheck.fixtures.targets.base import OUTPUT_CAP, Ran
from gapcheck.fixtures.targets.process import Processes
from gapcheck.model import CLUSTER, REGISTRY, SITE, SubjectId
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.machines.shell import ShellMachine
from gapcheck.remediations.plan import (
    NewVolume,
    RecreateContainer,
    RestartContainer,
    SetContainer,
)
from gapcheck.remediations.undo import plan_undo
from gapcheck.site import Cluster

if TYPE_CHECKING:
    from support.dockerd import Docker

STORAGE = "/var/lib/registry"
LAYER = "/tmp/images"  # noqa: S108 - a folder of the container
TLS = ("REGISTRY_HTTP_TLS_KEY", "/certs/registry.key")
# What every container has of its own: state, its files in the engine, addresses it was given.
OWN = ("Id", "Created", "State", "LogPath", "HostsPath", "HostnamePath", "ResolvConfPath")
GIVEN = ("NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress")


class Engine:
    """`sh -s` of this machine, with the engine's socket in its environment."""

    hostspec = "local://"
    running = True
    read_only = ""

    def __init__(self, docker: Docker, tools: Path | None = None) -> None:
        path = ":".join(map(str, (*([tools] if tools else []), os.environ["PATH"])))
        self._argv = ("env", f"DOCKER_HOST={docker.host}", f"PATH={path}", "sh", "-s")

    def run(self, program: bytes, *, timeout_s: float, cap: int = OUTPUT_CAP) -> Ran:
        return Processes().run(self._argv, program, timeout_s=timeout_s, cap=cap)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Docker]:
    with dockerd.running(alone=True) as docker:
        yield docker


@pytest.fixture
def docker(daemon: Docker) -> Iterator[Docker]:
    yield daemon
    daemon.clear()


def machine(docker: Docker, folder: Path) -> ShellMachine:
    return ShellMachine(REGISTRY, Engine(docker), state_dir=str(folder / "there"))


def recreation(docker: Docker, **changes: Any) -> RecreateContainer:
    before = docker.inspect("registry")["Id"]
    return RecreateContainer(target=REGISTRY, name="registry", before_id=before, **changes)


def made_anew(docker: Docker, folder: Path, **changes: Any) -> dict[str, str]:
    there, change = machine(docker, folder), recreation(docker, **changes)
    effect = there.look_container(change)
    return effect | there.recreate_container(change, effect, timeout_s=20)


def settings(container: dict[str, Any]) -> dict[str, Any]:
    """All that inspect tells of a container, but for what each has of its own."""
    kept = {key: value for key, value in container.items() if key not in OWN}
    kept["Mounts"] = sorted(kept["Mounts"], key=lambda each: str(each["Destination"]))
    short = container["Id"][:12]
    kept["NetworkSettings"] = {
        name: {
            key: [each for each in value if each != short] if key == "Aliases" else value
            for key, value in each.items()
            if key not in GIVEN and value
        }
        for name, each in container["NetworkSettings"]["Networks"].items()
    }
    return kept


EVERYTHING = (
    "--restart=on-failure:3", "--network=front", "--ip=10.77.1.9", "--network-alias=images",
    "-p", "127.0.0.1:5443:5000", "-p", "[::1]:5443:5000/tcp", "--expose=5001",
    "--hostname=reg", "--domainname=example", "--user=0:0", "--workdir=/tmp",
    "--memory=200m", "--memory-swappiness=0", "--cpus=0.5", "--pids-limit=90", "--shm-size=32m",
    "--cap-drop=ALL", "--cap-add=CHOWN", "--security-opt=no-new-privileges", "--read-only",
    "--log-opt=max-size=5m", "--log-opt=max-file=2", "--label=site=a b \"c\" $(id)",
    "--add-host=idp.local:10.0.0.9", "--dns=10.0.0.53", "--dns-search=local",
    "--ulimit=nofile=4096:8192", "--tmpfs=/run:size=1m", "--sysctl=net.ipv4.tcp_syncookies=0",
    "--health-cmd=exit 0", "--health-interval=30s", "--stop-timeout=3", "--stop-signal=SIGINT",
    "--oom-score-adj=7", "--init", "--group-add=12", "--device=/dev/null:/dev/odd",
    "-v", "kept:/kept:ro", "-v", "/anonymous", "--mount", "type=volume,dst=/other",
)  # fmt: skip


def test_everything_but_the_change_is_as_it_was(docker: Docker, tmp_path: Path) -> None:
    docker("network", "create", "--subnet=10.77.1.0/24", "front")
    docker("network", "create", "--subnet=10.77.2.0/24", "back")
    (tmp_path / "certs").mkdir()
    bound = ("--mount", f"type=bind,src={tmp_path}/certs,dst=/certs,ro")
    odd = {
        "SECRET": 'it\'s "a" $secret\nof ünïcode lines',
        "REGISTRY_HTTP_TLS_KEI": "/k",
        "EMPTY": "",
    }
    docker.run(*EVERYTHING, *bound, env=odd)
    docker("network", "connect", "--alias=second", "--ip=10.77.2.9", "back", "registry")
    before = docker.inspect("registry")

    made_anew(docker, tmp_path, set_env=(TLS,), unset_env=("REGISTRY_HTTP_TLS_KEI",))

    new = docker.inspect("registry")
    assert new["Id"] != before["Id"]
    expected, found = settings(before), settings(new)
    environment = expected["Config"]["Env"]
    environment.remove("REGISTRY_HTTP_TLS_KEI=/k")
    environment.append("=".join(TLS))
    # Anonymous volumes are the same ones, and are told by their names from now on.
    assert found["HostConfig"].pop("Binds") != expected["HostConfig"].pop("Binds")
    named = {m["Destination"]: m["Name"] for m in before["Mounts"] if m["Type"] == "volume"}
    for mount in (*expected["HostConfig"]["Mounts"], *found["HostConfig"]["Mounts"]):
        if mount["Target"] == "/other":
            mount["Source"] = named["/other"]
    for each in (*expected["Mounts"], *found["Mounts"]):
        each.pop("Mode")
    assert found == expected


MADE = {"REGISTRY_HTTP_ADDR": "127.0.0.1:5000", "REGISTRY_HTTP_SECRET": "hunter2"}
VOLUME = NewVolume(name="images", destination=STORAGE)


def refused(docker: Docker, folder: Path, **changes: Any) -> str:
    """Why the container is not made anew; nothing is as it was not before."""
    before = (docker.inspect("registry"), docker.containers(), docker.volumes())
    with pytest.raises(RepairRefused) as why:
        made_anew(docker, folder, set_env=(TLS,), **changes)
    assert (docker.inspect("registry"), docker.containers(), docker.volumes()) == before
    return str(why.value)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--rm",), "it runs with --rm"),
        (("--volumes-from=other",), "--volumes-from"),
        (("--network=container:other",), "shares the network of another container"),
        (("--label=com.docker.compose.project=site",), "docker compose up -d"),
    ],
    ids=["rm", "volumes-from", "network", "compose"],
)
def test_what_would_not_be_the_same_is_refused(
    docker: Docker, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    docker.run(env=MADE, name="other")
    docker.run(*words, env={"REGISTRY_HTTP_ADDR": "127.0.0.1:5001"})
    assert why in refused(docker, tmp_path)


def test_files_that_only_the_container_has_are_not_lost(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    (tmp_path / "htpasswd").write_text("x")
    docker("cp", f"{tmp_path}/htpasswd", "registry:/etc/htpasswd")
    assert "changed files in itself" in refused(docker, tmp_path)
    assert "/etc/htpasswd" in refused(docker, tmp_path)


def test_another_container_of_the_name_is_not_touched(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    change = recreation(docker, set_env=(TLS,))
    docker("rm", "-f", "registry")
    docker.run(env=MADE)
    with pytest.raises(RepairRefused, match="not the one that was measured"):
        machine(docker, tmp_path).look_container(change)


def test_a_volume_that_is_there_already_is_not_written_into(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    docker("volume", "create", "images")
    assert "it may hold images" in refused(docker, tmp_path, volumes=(VOLUME,))


def test_the_image_stays_where_its_name_moves_on(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    before = docker.inspect("registry")["Image"]
    docker("tag", "registry:2", "kept:1")
    (tmp_path / "root").mkdir()
    docker("import", "-", "registry:2", given=bytes(1024))
    try:
        made_anew(docker, tmp_path, set_env=(("A", "b"),))
        assert docker.inspect("registry")["Image"] == before
    finally:
        docker("tag", "kept:1", "registry:2")


def tool(folder: Path, name: str, program: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{program}\n")
    (folder / name).chmod(0o755)
    return folder


def site(docker: Docker, home: Path, tools: Path | None = None) -> Places:
    home.mkdir(exist_ok=True)
    return places(home, Engine(docker, tools))


@pytest.mark.parametrize(
    ("made", "otherwise", "word"),
    [
        ('"Memory": 104857600', '"Memory": 0', "HostConfig.Memory"),
        ('"Destination": "/kept"', '"Destination": "/lost"', "Mounts /kept, Mounts /lost"),
        ('"RW": false', '"RW": true', "Mounts /kept"),
        ('"REGISTRY_HTTP_SECRET=hunter2"', '"A=b"', "Config.Env"),
    ],
)
def test_an_engine_that_makes_it_otherwise_is_found_out(
    docker: Docker, tmp_path: Path, made: str, otherwise: str, word: str
) -> None:
    docker.run("--memory=100m", "-v", "kept:/kept:ro", env=MADE)
    before = settings(docker.inspect("registry"))
    limited = f"""real={needs.program("docker")}
    case "$*" in
        "inspect --type container -- registry.gapcheck-new") ;;
        *) exec "$real" "$@" ;;
    esac
    "$real" "$@" | sed 's|{made}|{otherwise}|'"""
    here = site(docker, tmp_path / "here", tool(tmp_path / "tools", "docker", limited))

    (result,) = here.apply(plan_of(recreation(docker, set_env=(TLS,))))

    assert result.state == "failed"
    assert f"not make container registry the same again: {word};" in result.detail
    assert settings(docker.inspect("registry")) == before
    assert docker.containers() == ["registry"]


def test_a_container_that_does_not_run_with_the_change_is_put_back(
    docker: Docker, tmp_path: Path
) -> None:
    docker.run("--restart=always", env=MADE)
    before = settings(docker.inspect("registry"))
    here = site(docker, tmp_path / "here")
    name, path = "REGISTRY_HTTP_TLS_CERTIFICATE", "/certs/none.crt"

    (result,) = here.apply(plan_of(recreation(docker, set_env=((name, path),))))

    assert result.state == "failed"
    assert "the new container registry does not run" in result.detail
    assert path in result.detail or "no such file" in result.detail, result.detail
    assert settings(docker.inspect("registry")) == before
    assert docker.inspect("registry")["State"]["Running"]
    assert docker.containers() == ["registry"]


def content(docker: Docker, place: str, folder: Path) -> dict[str, bytes]:
    docker("cp", f"registry:{place}/.", str(folder))
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def filled(docker: Docker, folder: Path, place: str) -> None:
    made = folder / "data/docker/registry/v2"
    made.mkdir(parents=True)
    (made / "blob").write_bytes(os.urandom(100_000))
    (made / "it's odd").write_bytes(b"x")
    docker("cp", f"{folder}/data/.", f"registry:{place}")


@pytest.mark.parametrize("place", [STORAGE, LAYER], ids=["anonymous volume", "layer"])
def test_data_moves_into_the_new_volume_and_back(
    docker: Docker, tmp_path: Path, place: str
) -> None:
    docker.run(env=MADE)
    if place != STORAGE:
        (tmp_path / "empty/images").mkdir(parents=True)
        docker("cp", f"{tmp_path}/empty/.", "registry:/tmp")
    filled(docker, tmp_path, place)
    before = (settings(docker.inspect("registry")), docker.volumes())
    here = site(docker, tmp_path / "here")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    was = content(docker, place, tmp_path / "a")

    volume = NewVolume(name="images", destination=place)
    (result,) = here.apply(plan_of(recreation(docker, volumes=(volume,))))
    assert result.state == "applied", result.detail
    mounts = {m["Destination"]: m["Name"] for m in docker.inspect("registry")["Mounts"]}
    assert mounts[place] == "images"
    assert content(docker, place, tmp_path / "b") == was
    assert len(was) == 2

    (undone,) = here.undo()
    assert undone.state == "undone", undone.detail
    assert (settings(docker.inspect("registry")), docker.volumes()) == before


def test_what_was_pushed_since_is_not_removed_by_an_undo(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    here = site(docker, tmp_path / "here")
    here.apply(plan_of(recreation(docker, volumes=(VOLUME,))))
    filled(docker, tmp_path, STORAGE)

    (undone,) = here.undo()

    assert "volume images stays, as it was written to since" in undone.detail
    assert "images" in docker.volumes()


def test_images_that_the_disk_has_no_room_for_stay_where_they_are(
    docker: Docker, tmp_path: Path
) -> None:
    docker.run(env=MADE)
    filled(docker, tmp_path, STORAGE)
    before = (settings(docker.inspect("registry")), docker.volumes())
    little = "printf 'Filesystem 1024-blocks Used Available Capacity Mounted\\nd 9 9 9 9%% /\\n'"
    here = site(docker, tmp_path / "here", tool(tmp_path / "tools", "df", little))

    (result,) = here.apply(plan_of(recreation(docker, volumes=(VOLUME,))))

    assert result.state == "failed"
    assert "MiB free" in result.detail
    assert (settings(docker.inspect("registry")), docker.volumes()) == before
    assert docker.inspect("registry")["State"]["Running"]


def test_a_container_that_somebody_made_since_is_not_replaced(
    docker: Docker, tmp_path: Path
) -> None:
    docker.run(env=MADE)
    here = site(docker, tmp_path / "here")
    here.apply(plan_of(recreation(docker, set_env=(("A", "b"),))))
    docker("rm", "-f", "registry")
    docker.run(env=MADE)
    theirs = docker.inspect("registry")["Id"]

    with pytest.raises(RepairRefused, match="container registry, which is not the one"):
        here.undo()
    (forced,) = here.undo(by="run-8", force=True)
    assert (forced.state, "rename it first" in forced.detail) == ("failed", True), forced.detail
    assert docker.inspect("registry")["Id"] == theirs


_KILLER = """
case "$1 $2 $3 $4" in
    "system dial-stdio"*|update*|stop*|start*|rm*|rename*|"volume rm"*|"cp -a - "*)
        count=$(($(cat {folder}/count) + 1))
        echo $count >{folder}/count
        if [ $count -eq {at} ]; then kill -9 "$(cat {folder}/controller)"; kill -9 0; fi ;;
esac
exec {docker} "$@"
"""


def killed(docker: Docker, folder: Path, at: int, work: Any) -> bool:
    """Whether controller and program died before the engine's change number `at` was asked for.

    `work` is given the places whose docker program does that.
    """
    program = _KILLER.format(folder=folder, at=at, docker=needs.program("docker"))
    tools = tool(folder / "tools", "docker", program)
    (folder / "count").write_text("0")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            (folder / "controller").write_text(str(os.getpid()))
            work(Places(folder, Engine(docker, tools)))
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def test_killed_before_any_change_it_can_be_undone_and_done_again(
    docker: Docker, tmp_path: Path
) -> None:
    for at in range(1, 30):
        docker.clear()
        docker.run("--restart=always", env=MADE)
        filled(docker, tmp_path / str(at), STORAGE)
        before = (settings(docker.inspect("registry")), docker.volumes())
        here = site(docker, tmp_path / str(at))
        plan = plan_of(recreation(docker, set_env=(("A", "b"),), volumes=(VOLUME,)))
        if not killed(docker, here.home, at, lambda there, plan=plan: there.apply(plan)):
            assert at > 6
            return
        undone = here.undo()
        assert {each.state for each in undone} == {"undone"}, (at, undone)
        assert (settings(docker.inspect("registry")), docker.volumes()) == before, at
        assert docker.inspect("registry")["State"]["Running"]
        assert docker.containers() == ["registry"]
        if at % 2:
            again = here.apply(plan, run="run-2")
            assert {each.state for each in again} == {"applied"}, (at, again)


def test_killed_before_any_change_of_an_undo_the_next_undo_ends_it(
    docker: Docker, tmp_path: Path
) -> None:
    for at in range(1, 30):
        docker.clear()
        docker.run("--restart=always", env=MADE)
        filled(docker, tmp_path / str(at), STORAGE)
        before = (settings(docker.inspect("registry")), docker.volumes())
        here = site(docker, tmp_path / str(at))
        here.apply(plan_of(recreation(docker, set_env=(("A", "b"),), volumes=(VOLUME,))))
        if not killed(docker, here.home, at, lambda there: there.undo(by="run-8")):
            assert at > 5
            return
        undone = here.undo()
        assert {each.state for each in undone} == {"undone"}, (at, undone)
        assert (settings(docker.inspect("registry")), docker.volumes()) == before, at
        assert docker.containers() == ["registry"]


def test_killed_before_its_end_was_written_it_can_be_undone(docker: Docker, tmp_path: Path) -> None:
    docker.run("--restart=always", env=MADE)
    before = (settings(docker.inspect("registry")), docker.volumes())
    here = site(docker, tmp_path / "here")
    plan = plan_of(recreation(docker, volumes=(VOLUME,)))

    def stop(step: str) -> None:
        if step.startswith("acted"):
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(docker, here.home, 0, lambda there: there.apply(plan, hook=stop))
    assert docker.containers() != ["registry"]

    (undone,) = here.undo()
    assert undone.state == "undone", undone.detail
    assert (settings(docker.inspect("registry")), docker.volumes()) == before
    assert docker.containers() == ["registry"]


@pytest.mark.parametrize("at", [2, 4], ids=["made", "stopped"])
def test_a_new_repair_goes_on_where_a_killed_one_was(
    docker: Docker, tmp_path: Path, at: int
) -> None:
    docker.run("--restart=always", env=MADE)
    here = site(docker, tmp_path / "here")
    change = recreation(docker, set_env=(("A", "b"),), volumes=(VOLUME,))
    assert killed(docker, here.home, at, lambda there: there.apply(plan_of(change)))
    assert docker.inspect("registry")["State"]["Running"] is (at == 2)
    assert "registry.gapcheck-new" in docker.containers()

    start = RestartContainer(target=REGISTRY, name="registry")
    done = here.apply(plan_of(start, change), run="run-2")

    assert {each.state for each in done} == {"applied"}, done
    assert "A=b" in docker.inspect("registry")["Config"]["Env"]
    kept = f"registry.gapcheck-{change.before_id[:12]}"
    assert docker.containers() == ["registry", kept]
    again = here.apply(plan_of(change), run="run-3")
    assert [each.state for each in again] == ["unchanged"]


def test_the_undo_of_an_undo_leaves_the_former_container(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    before = docker.inspect("registry")["Id"]
    here = site(docker, tmp_path / "here")
    here.apply(plan_of(recreation(docker, set_env=(("A", "b"),))))
    here.undo()

    assert plan_undo("run-9", here.state).kept == (
        "registry container registry: gapcheck fix makes it anew",
    )
    here.undo("run-9", by="run-99")
    assert docker.inspect("registry")["Id"] == before


def test_without_docker_it_is_refused_and_podman_is_named(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    change = recreation(docker, set_env=(("A", "b"),))
    tools = tool(tmp_path / "tools", "docker", "echo podman version 4.3.1")
    there = ShellMachine(REGISTRY, Engine(docker, tools), state_dir=str(tmp_path / "there"))
    with pytest.raises(RepairRefused, match="CreateCommand"):
        there.look_container(change)


def test_a_paused_container_is_left_alone(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    docker("pause", "registry")
    assert "docker unpause" in refused(docker, tmp_path)


def test_what_the_engine_refuses_is_said_and_nothing_is_left(
    docker: Docker, tmp_path: Path
) -> None:
    docker.run(env=MADE)
    volume = NewVolume(name="no name for a volume", destination="/data")
    why = refused(docker, tmp_path, volumes=(volume,))
    assert "docker refuses it: " in why
    assert "no name for a volume" in why


def test_a_program_that_cannot_carry_a_request_is_said(docker: Docker, tmp_path: Path) -> None:
    docker.run(env=MADE)
    change = recreation(docker, set_env=(("A", "b"),))
    old = f"""[ "$1" = system ] && exit 1
    exec {needs.program("docker")} "$@\""""
    here = site(docker, tmp_path / "here", tool(tmp_path / "tools", "docker", old))
    (result,) = here.apply(plan_of(change))
    assert (result.state, "dial-stdio gave no answer" in result.detail) == ("failed", True)
    assert docker.containers() == ["registry"]


def test_a_container_that_changes_hands_in_between_is_refused(
    docker: Docker, tmp_path: Path
) -> None:
    docker.run(env=MADE)
    there, change = machine(docker, tmp_path), recreation(docker, set_env=(("A", "b"),))
    effect = there.look_container(change)
    docker("rm", "-f", "registry")
    docker.run(env=MADE)
    with pytest.raises(RepairRefused, match="made anew meanwhile"):
        there.recreate_container(change, effect, timeout_s=5)


def test_the_restart_policy_may_change_as_well(docker: Docker, tmp_path: Path) -> None:
    docker.run("--restart=on-failure:2", env=MADE)
    made_anew(docker, tmp_path, restart_policy="always")
    policy = docker.inspect("registry")["HostConfig"]["RestartPolicy"]
    assert policy == {"Name": "always", "MaximumRetryCount": 0}


@pytest.mark.parametrize("subject", [SITE, CLUSTER])
def test_where_no_engine_is_nothing_is_made(tmp_path: Path, subject: SubjectId) -> None:
    there: Machine = places(tmp_path).machine(SITE)
    if subject == CLUSTER:
        there = ClusterMachine(Cluster(kubeconfig="none"), base=tmp_path, namespace="default")
    change = RecreateContainer(target=subject, name="registry", before_id="c0ffee")
    for asked in (
        lambda: there.look_container(change),
        lambda: there.recreate_container(change, {}, timeout_s=1),
        lambda: there.restore_container({"recreated": "registry"}, timeout_s=1),
    ):
        with pytest.raises(RepairRefused, match="container registry"):
            asked()
    assert there.foreign_container({"recreated": "registry"}) == "container registry is not here"


def test_removing_the_former_container_takes_no_data_from_the_new(
    docker: Docker, tmp_path: Path
) -> None:
    docker.run(env=MADE)
    filled(docker, tmp_path, STORAGE)
    effect = made_anew(docker, tmp_path, set_env=(("A", "b"),))
    assert "docker rm -v" in effect["word"]
    docker("stop", "registry")

    docker("rm", "-v", f"registry.gapcheck-{effect['old'][:12]}")

    docker("start", "registry")
    (tmp_path / "after").mkdir()
    assert len(content(docker, STORAGE, tmp_path / "after")) == 2


@pytest.mark.parametrize("first", [True, False], ids=["policy first", "policy last"])
def test_with_a_policy_set_in_the_same_round_the_undo_is_whole(
    docker: Docker, tmp_path: Path, *, first: bool
) -> None:
    docker.run(env=MADE)
    before = settings(docker.inspect("registry"))
    here = site(docker, tmp_path / "here")
    policy = SetContainer(
        target=REGISTRY, name="registry", restart_policy="always", before_restart_policy="no"
    )
    change = recreation(docker, set_env=(("A", "b"),))

    done = here.apply(plan_of(*((policy, change) if first else (change, policy))))
    assert [each.state for each in done] == ["applied", "applied"]
    assert docker.inspect("registry")["HostConfig"]["RestartPolicy"]["Name"] == "always"

    assert [each.state for each in here.undo()] == ["undone"]
    assert settings(docker.inspect("registry")) == before
    assert docker.containers() == ["registry"]
