"""Nodes behind a real sshd of this machine, each with folders of its own in a mount namespace."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import needs, sshd
from support.small_site import SmallSite, small_site

# What a session has of its node's root instead of this machine's; it ends with the session.
_SESSION = """#!/bin/sh
exec unshare --mount --propagation private sh -c '
    root={folder}/$GAPCHECK_NODE
    mount --bind "$root/etc" /etc || exit 99
    mount --bind "$root/usr/local/share" /usr/local/share || exit 99
    mkdir -p "$root/state" /var/lib/gapcheck || exit 99
    mount --bind "$root/state" /var/lib/gapcheck || exit 99
    exec sh -c "$SSH_ORIGINAL_COMMAND"'
"""


@contextmanager
def ssh_site(folder: Path, nodes: int) -> Iterator[SmallSite]:
    """A small site whose nodes n0, n1 ... are reached by ssh; what they hold lies in its roots."""
    if os.getuid() != 0:
        needs.absent("mount namespaces need root")
    needs.program("unshare")
    session = folder / "session"
    names = [f"n{number}" for number in range(nodes)]
    forced = f"AcceptEnv GAPCHECK_NODE\nForceCommand {session}"
    with sshd.running(folder / "sshd", forced) as server:
        specs = {}
        for name in names:
            config = folder / "sshd" / f"config-{name}"
            config.write_text(f"{server.config.read_text()}  SetEnv GAPCHECK_NODE={name}\n")
            specs[name] = server.hostspec.replace(str(server.config), str(config))
        site = small_site(folder / "site", nodes=nodes, targets=specs)
        written = site.folder / "site.yaml"
        patient = written.read_text().replace("probe_timeout_s: 4", "probe_timeout_s: 60")
        written.write_text(patient)  # a session that begins on a busy machine
        session.write_text(_SESSION.format(folder=site.folder))
        session.chmod(0o755)
        for name in names:
            _as_running(site.root(name))
        yield site


def _as_running(root: Path) -> None:
    """The programs of a session need some of this machine's own /etc."""
    alternatives = Path("/etc/alternatives")
    if alternatives.is_dir():
        shutil.copytree(alternatives, root / "etc/alternatives", symlinks=True)
    for name in ("passwd", "group", "ld.so.cache"):
        if Path("/etc", name).is_file():
            shutil.copy(Path("/etc", name), root / "etc" / name)
    (root / "etc/nsswitch.conf").write_text("hosts: files\n")
