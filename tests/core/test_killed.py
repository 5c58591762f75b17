"""kill -9 of a whole `gapcheck fix` at every boundary between two steps of a repair."""

from __future__ import annotations

from pathlib import Path

from support.killed import folder, killed_command
from support.places import snapshot
from support.small_site import SmallSite, small_site

from gapcheck.remediations.runs import list_runs
from gapcheck.state import State

__all__ = ["folder"]
TLS = """[plugins."io.containerd.grpc.v1.cri".registry.configs."registry.local:9".tls]
  insecure_skip_verify = true
"""


def broken(folder: Path) -> SmallSite:
    """Two nodes that lack the registry's name, one of which verifies nothing: three changes."""
    site = small_site(folder / "site", nodes=2)
    config = site.root("n0") / "etc/containerd/config.toml"
    config.write_text(config.read_text() + TLS)
    return site


def fix(site: SmallSite, *, kill_at: int) -> tuple[bool, int]:
    words = ("fix", "--site", "site.yaml")
    return killed_command(site.folder, kill_at, *words, state=site.state)


def is_repaired(site: SmallSite) -> bool:
    config = (site.root("n0") / "etc/containerd/config.toml").read_text()
    return site.repaired() == ["n0", "n1"] and "insecure" not in config


def runs(site: SmallSite) -> dict[str, str]:
    """The state of each run by its id."""
    return {each.id: each.state for each in list_runs(State(site.state))}


def all_of(site: SmallSite) -> object:
    return snapshot(*(site.root(each) for each in site.nodes()))


def boundaries(folder: Path) -> int:
    """How many there are: counted in a repair that nobody kills."""
    folder.mkdir()
    site = broken(folder)
    was_killed, count = fix(site, kill_at=0)
    assert not was_killed
    assert is_repaired(site)
    return count


def test_a_repair_killed_at_every_boundary_can_be_undone_and_done(folder: Path) -> None:
    count = boundaries(folder / "dry")
    assert count >= 15
    for at in range(1, count + 1):
        home = folder / str(at)
        home.mkdir()
        site = broken(home)
        before = all_of(site)
        assert fix(site, kill_at=at) == (True, at)
        ((run, state),) = runs(site).items()
        if state != "nothing changed":
            assert state == "cut off", at
            assert site.run("undo", run, "--site", "site.yaml").code == 0, at
            assert runs(site)[run] == "undone", at
        assert all_of(site) == before, at
        again = site.run("fix", "--site", "site.yaml")
        assert is_repaired(site), (at, again.err)
