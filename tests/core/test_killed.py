"""kill -9 of a whole `gapcheck fix` at every boundary between two steps of a repair."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from support.killed import at_boundary, command, folder, killed_at
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


def fix(site: SmallSite) -> int:
    return command(site.folder, "fix", "--site", "site.yaml", state=site.state)


def ran(site: SmallSite, *words: str) -> None:
    """A command that is not killed, in a process that has everything loaded already."""
    work = partial(command, site.folder, *words, "--site", "site.yaml", state=site.state)
    assert not killed_at(0, None, work)[0]


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
    was_killed, count = killed_at(0, at_boundary, partial(fix, site))
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
        assert killed_at(at, at_boundary, partial(fix, site)) == (True, at)
        ((run, state),) = runs(site).items()
        if state != "nothing changed":
            assert state == "cut off", at
            ran(site, "undo", run)
            assert runs(site)[run] == "undone", at
        assert all_of(site) == before, at
        ran(site, "fix")
        assert is_repaired(site), at
