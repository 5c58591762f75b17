"""Random sites: what the registry serves, and what each node trusts and is configured to do.

The same seed gives the same site. Neither half knows of the other, so that most of what comes
out was never thought of; gapcheck's word is then held against a real pull.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.x509.oid import ExtendedKeyUsageOID
from support.certs import authority

from lab.world import CERTS_D, HOST, HOSTS_TOML, NETLOC

if TYPE_CHECKING:
    from lab.machines import Machine
    from lab.world import World

_STORE = "/usr/local/share/ca-certificates/registry.crt"
_HOSTS = f"{CERTS_D}/hosts.toml"
_NO_TRUST = f"rm -r {CERTS_D}"
_DEFAULT = "/etc/containerd/certs.d/_default"


def _write(path: str, text: str) -> str:
    return f"mkdir -p $(dirname {path}); cat > {path} <<'EOT'\n{text}EOT"


def _other_ca(world: World) -> str:
    return authority("Lab CA", not_before=world.ca.cert.not_valid_before_utc).pem.decode()


SERVED: dict[str, Callable[[World], dict[str, object]]] = {
    "right": lambda _: {},
    "other name": lambda _: {"san": ("other.local",)},
    "wildcard": lambda _: {"san": ("*.local",)},
    "upper case": lambda _: {"san": (HOST.upper(),)},
    "two names": lambda _: {"san": ("other.local", HOST)},
    "no name": lambda _: {"san": None, "common_name": HOST},
    "expired": lambda _: {
        "not_before": dt.datetime.now(dt.UTC) - dt.timedelta(days=9), "days": 3,
    },
    "clients only": lambda _: {"extended": [ExtendedKeyUsageOID.CLIENT_AUTH]},
    "no purpose": lambda _: {"extended": None},
    "other ca": lambda world: {
        "by": authority("Lab CA", not_before=world.ca.cert.not_valid_before_utc)
    },
    "self-signed": lambda _: {"by": None, "common_name": HOST},
}  # fmt: skip
NODE: dict[str, Callable[[World], str]] = {
    "healthy": lambda _: ":",
    "no folder": lambda _: _NO_TRUST,
    "store": lambda world: f"{_NO_TRUST}\n{_write(_STORE, world.ca.pem.decode())}\n"
    "update-ca-certificates >/dev/null 2>&1; systemctl restart containerd",
    "store, not restarted": lambda world: f"{_NO_TRUST}\n{_write(_STORE, world.ca.pem.decode())}\n"
    "update-ca-certificates >/dev/null 2>&1",
    "store, not rebuilt": lambda world: f"{_NO_TRUST}\n{_write(_STORE, world.ca.pem.decode())}\n"
    "systemctl restart containerd",
    "ca file alone": lambda _: f"rm {_HOSTS}",
    "crt under another name": lambda _: f"rm {_HOSTS}; mv {CERTS_D}/ca.crt {CERTS_D}/x.crt",
    "pem under another name": lambda _: f"rm {_HOSTS}; mv {CERTS_D}/ca.crt {CERTS_D}/ca.pem",
    "ca missing": lambda _: f"rm {CERTS_D}/ca.crt",
    "relative ca": lambda _: f"sed -i 's#ca = .*#ca = \"ca.crt\"#' {_HOSTS}",
    "list of cas": lambda world: _write(
        _HOSTS, HOSTS_TOML.replace(f'"{CERTS_D}/ca.crt"', f'["{CERTS_D}/old.crt", "ca.crt"]')
    )
    + f"\n{_write(f'{CERTS_D}/old.crt', _other_ca(world))}",
    "other ca": lambda world: _write(f"{CERTS_D}/ca.crt", _other_ca(world)),
    "both cas": lambda world: _write(
        f"{CERTS_D}/ca.crt", _other_ca(world) + world.ca.pem.decode()
    ),
    "no server": lambda _: f"sed -i '/^server/d' {_HOSTS}",
    "pull only": lambda _: f"sed -i 's/, \"resolve\"//' {_HOSTS}",
    "resolve only": lambda _: f"sed -i 's/\"pull\", //' {_HOSTS}",
    "no capabilities": lambda _: f"sed -i '/capabilities/d' {_HOSTS}",
    "broken": lambda _: f"echo '[host' >> {_HOSTS}",
    "no port": lambda _: f"mv {CERTS_D} /etc/containerd/certs.d/{HOST}",
    "default": lambda _: f"mv {CERTS_D} {_DEFAULT}\n"
    f"sed -i 's#{CERTS_D}#{_DEFAULT}#' {_DEFAULT}/*.toml",
    "foreign host": lambda _: f"sed -i 's#{NETLOC}\"\\]#mirror.local\"]#' {_HOSTS}",
    "der": lambda _: f"openssl x509 -in {CERTS_D}/ca.crt -outform DER -out {CERTS_D}/der.crt\n"
    f"mv {CERTS_D}/der.crt {CERTS_D}/ca.crt",
    "joined": lambda world: f"printf '%s' '{world.ca.pem.decode().strip()}' > {CERTS_D}/ca.crt\n"
    f"printf '%s\\n' '{_other_ca(world).strip()}' >> {CERTS_D}/ca.crt",
    "no name in hosts": lambda _: f"sed -i '/{HOST}/d' /etc/hosts; systemctl restart containerd",
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """One random site, by the names of its parts."""

    served: str
    nodes: dict[str, str]


def draw(seed: int) -> Drawn:
    """The site of `seed`; every other one serves what is right, so that the nodes decide."""
    chance = random.Random(seed)
    served = "right" if seed % 2 else chance.choice(tuple(SERVED))
    return Drawn(served, {name: chance.choice(tuple(NODE)) for name in ("n1", "n2")})


def put(world: World, drawn: Drawn) -> None:
    """Make the healthy lab that site."""
    world.serve(world.leaf(**SERVED[drawn.served](world)))
    for name, what in drawn.nodes.items():
        _put_node(world.nodes[name], NODE[what](world))


def _put_node(node: Machine, program: str) -> None:
    node.run(f"{program}\n")
