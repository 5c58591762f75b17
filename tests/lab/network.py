"""The lab's own network: a bridge, names in this machine's hosts file, and kernel settings.

Nothing here leads out: machines have no default route, so that the air gap is a real one.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from lab.machines import Link

BRIDGE = "lab0"
OUTER = "10.97.0.1"
SERVICES = "10.96.0.0/16"
ADDRESSES = {"registry": "10.97.0.10", "n1": "10.97.0.11", "n2": "10.97.0.12"}
PODS = {"n1": "10.244.1.0/24", "n2": "10.244.2.0/24"}
_HOSTS = Path("/etc/hosts")
_MARK = "# gapcheck lab"
# kubelet sets these where they differ, and /proc/sys is read-only inside a machine.
_SETTINGS = {"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"}


def link_of(name: str) -> Link:
    """The network of the machine `name`: its address, other nodes' pods, and services."""
    others = [(PODS[node], ADDRESSES[node]) for node in PODS if node != name]
    routes = ((SERVICES, OUTER), *others) if name in PODS else ()
    return Link(bridge=BRIDGE, address=ADDRESSES[name], routes=tuple(routes))


def raise_bridge(folder: Path, names: dict[str, str]) -> None:
    """Make the bridge, route to the pods, name `names`, and note what is set anew."""
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        message = f"there is a bridge {BRIDGE} already, and not of this cache; is another lab up?"
        raise RuntimeError(message)
    before = {key: Path(f"/proc/sys/{key}").read_text().strip() for key in _SETTINGS}
    (folder / "settings.json").write_text(json.dumps(before))
    _set(_SETTINGS)
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("link", "set", BRIDGE, "alias", str(folder))
    _ip("addr", "add", f"{OUTER}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    for node, pods in PODS.items():
        _ip("route", "add", pods, "via", ADDRESSES[node])
    lines = "".join(f"{address} {name} {_MARK}\n" for name, address in names.items())
    _HOSTS.write_text(_without_marked(_HOSTS.read_text()) + lines)


def remove_bridge(folder: Path) -> None:
    """Take all of it away again; what is not there is no fault, and another lab's stays."""
    alias = Path(f"/sys/class/net/{BRIDGE}/ifalias")
    if alias.exists() and alias.read_text().strip() == str(folder):
        _ip("link", "delete", BRIDGE)
    said = _HOSTS.read_text()
    if _MARK in said:
        _HOSTS.write_text(_without_marked(said))
    settings = folder / "settings.json"
    if settings.exists():
        _set(json.loads(settings.read_text()))


def _without_marked(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.endswith(_MARK)]
    return "".join(f"{line}\n" for line in lines)


def _set(settings: dict[str, str]) -> None:
    for key, value in settings.items():
        Path(f"/proc/sys/{key}").write_text(value)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
