"""A repair after which more fails than before: taken back whole, and never left half done."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from support.small_site import HOSTS, SmallSite, small_site


def fix_while(site: SmallSite, broken: str) -> tuple[int, str]:
    """Run `fix` on a terminal, break the node `broken` while it asks, and agree."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gapcheck", "fix", "--site", "site.yaml"],
        cwd=site.folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "GAPCHECK_STATE": str(site.state), "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(theirs)
    said = ""
    while "Do this?" not in said:
        said += os.read(ours, 4096).decode()
    config = site.root(broken) / "etc/containerd/config.toml"
    config.write_text(f"{config.read_text()}\n= no TOML\n")
    os.write(ours, b"y\n")
    try:
        while part := os.read(ours, 4096):
            said += part.decode()
    except OSError:
        pass  # the other end was closed
    os.close(ours)
    return process.wait(timeout=60), said


def test_a_node_that_broke_meanwhile_ends_with_seven_and_its_own_files(tmp_path: Path) -> None:
    site = small_site(tmp_path / "site", nodes=1)
    code, said = fix_while(site, "n0")
    assert code == 7, said
    assert "rolled back" in said
    assert site.hosts("n0").read_text() == HOSTS


def test_a_node_that_broke_is_left_alone_and_the_others_are_repaired(tmp_path: Path) -> None:
    """The last of three nodes broke: what was done to it is rolled back, the others stay."""
    site = small_site(tmp_path / "site", nodes=3)
    code, said = fix_while(site, "n2")
    assert code == 7, said
    assert site.repaired() == ["n0", "n1"]
