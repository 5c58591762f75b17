"""The fault matrix: what is put in, what the real consumer then does, what gapcheck must say.

Adding a fault is adding a row. `inject` is shell for the machine `on`, or a function of the lab.
`breaks` names the nodes whose real pulls fail; `roots` are the verdicts that no other explains;
`explained` faults are left to a person: nothing changes, and gapcheck says what to do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.certs import authority, issue, usage

from lab.world import CERTS_D, HOST, NETLOC, World

CONFIG = "/etc/containerd/config.toml"
BOTH = ("n1", "n2")
_RESTART = "systemctl reset-failed containerd; systemctl restart containerd || :\n"
_GUIDE = f"""cat >> {CONFIG} <<EOT
[plugins."io.containerd.grpc.v1.cri".registry.configs."{NETLOC}".tls]
  insecure_skip_verify = true
EOT
"""
_ANCHOR = "/usr/local/share/ca-certificates/registry.crt"
_PEM_NAME = f"mv {CERTS_D}/ca.crt {CERTS_D}/ca.pem\n"
_HOSTS = f"{CERTS_D}/hosts.toml"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row."""

    id: str
    on: str = "registry"
    what: str = ""
    inject: str | Callable[[World], None]
    breaks: tuple[str, ...] = ()
    roots: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    explained: bool = False

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.id, self.on, self.what.replace(" ", "_"))))


def root(check: str, *subjects: str) -> frozenset[tuple[str, str]]:
    return frozenset((check, subject) for subject in subjects)


def _served(**changes: object) -> Callable[[World], None]:
    def inject(world: World) -> None:
        world.serve(world.leaf(**changes))

    return inject


def _expired(world: World) -> None:
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=40)
    world.serve(world.leaf(not_before=start, days=30))


def _ends_soon(world: World) -> None:
    world.serve(world.leaf(days=11))


def _not_yet(world: World) -> None:
    world.serve(world.leaf(not_before=dt.datetime.now(dt.UTC) + dt.timedelta(days=2)))


def _short_key(world: World) -> None:
    world.serve(world.leaf(key=rsa.generate_private_key(65537, 1024)))  # noqa: S505 - the fault


def _without_intermediate(world: World) -> None:
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    middle = issue(
        common_name="Lab Intermediate", san=None, is_ca=True, extended=None, by=world.ca,
        not_before=start, days=900,
    )  # fmt: skip
    world.serve(issue(san=(HOST,), by=middle, not_before=start, days=300))


def _same_name_other_key(world: World) -> None:
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    other = authority("Lab CA", not_before=start)
    world.serve(issue(san=(HOST,), by=other, not_before=start, days=300))


def _other_key(world: World) -> None:
    world.registry.write("/certs/registry.key", world.leaf().key_pem, 0o600)
    world.registry.run("systemctl restart docker-registry || :")


def _certificates() -> Iterator[Fault]:
    client = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    san, life = root("CERT-SAN-001", "registry"), root("CERT-LIFE-001", "registry")
    yield Fault(id="C01", inject=_served(san=None), breaks=BOTH, roots=san)
    yield Fault(id="C02", inject=_served(san=("other.local",)), breaks=BOTH, roots=san)
    yield Fault(id="C05", inject=_expired, breaks=BOTH, roots=life)
    yield Fault(id="C06", inject=_ends_soon, roots=root("CERT-LIFE-002", "registry"))
    yield Fault(id="C07", inject=_not_yet, breaks=BOTH, roots=life)
    yield Fault(id="C08", inject=_other_key, breaks=BOTH, roots=root("CERT-KEY-001", "registry"))
    yield Fault(
        id="C10", inject=_without_intermediate, breaks=BOTH,
        roots=root("CERT-CHAIN-001", "registry"),
    )  # fmt: skip
    yield Fault(
        id="C11", inject=_served(extended=client), breaks=BOTH,
        roots=root("CERT-USAGE-001", "registry"),
    )  # fmt: skip
    yield Fault(
        id="C12", inject=_served(key_usage=usage(sign=True)),
        roots=root("CERT-USAGE-001", "registry"),
    )  # fmt: skip
    yield Fault(id="C13", inject=_short_key, roots=root("CERT-STRENGTH-001", "registry"))
    yield Fault(
        id="C18", inject=_served(is_ca=True, key_usage=None, extended=None),
        roots=root("CERT-CA-001", "registry"),
    )  # fmt: skip
    yield Fault(
        id="C19", inject=_same_name_other_key, breaks=BOTH,
        roots=root("CERT-CHAIN-001", "registry"),
    )  # fmt: skip
    yield Fault(
        id="C24", inject="chmod 0644 /certs/registry.key",
        roots=root("CERT-KEY-002", "registry"),
    )  # fmt: skip
    yield Fault(
        id="R01", inject="systemctl stop docker-registry", breaks=BOTH, explained=True,
        roots=root("REG-NET-001", "registry"),
    )  # fmt: skip


def _leaf_in_store(world: World) -> None:
    leaf = world.registry.run("cat /certs/registry.crt").stdout
    world.nodes["n1"].run(
        f"cat > {_ANCHOR} <<'EOT'\n{leaf}EOT\nupdate-ca-certificates 2>/dev/null\n"
        f"rm -rf {CERTS_D}\n{_RESTART}"
    )


def _trust() -> Iterator[Fault]:
    gone = f"rm -rf {CERTS_D}\n"
    # Go takes a leaf for a root; Python and OpenSSL do not: a warning.
    yield Fault(id="C25", on="n1", inject=_leaf_in_store)
    for node in BOTH:
        trust = root("NODE-TRUST-001", f"node/{node}")
        misplaced = root("NODE-TRUST-002", f"node/{node}")
        yield Fault(id="N01", on=node, inject=gone, breaks=(node,), roots=trust)
        yield Fault(
            id="N02", on=node, breaks=(node,), roots=misplaced,
            inject=f"cp {CERTS_D}/ca.crt /usr/local/share/ca-certificates/registry.pem\n"
            f"update-ca-certificates 2>/dev/null; {gone}{_RESTART}",
        )  # fmt: skip
        yield Fault(
            id="N03", on=node, breaks=(node,), roots=misplaced,
            inject=f"mkdir -p /etc/pki/tls; cp {CERTS_D}/ca.crt /etc/pki/tls/registry.crt; {gone}",
        )  # fmt: skip
    yield Fault(
        id="N04", on="n1", breaks=("n1",), roots=root("NODE-TRUST-003", "node/n1"),
        inject=f"cp {CERTS_D}/ca.crt {_ANCHOR}; {gone}",
    )  # fmt: skip
    yield Fault(
        id="N05", on="n1", breaks=("n1",), roots=root("NODE-TRUST-007", "node/n1"),
        inject=f"cp {CERTS_D}/ca.crt {_ANCHOR}; update-ca-certificates 2>/dev/null; {gone}",
    )  # fmt: skip
    yield Fault(
        id="N06", on="n1",
        inject=f"cp {CERTS_D}/ca.crt /etc/ssl/certs/registry.crt; {gone}{_RESTART}",
    )  # fmt: skip
    yield Fault(
        id="N08", on="n1", roots=root("NODE-TRUST-005", "node/n1"),
        inject=f"head -c 400 {CERTS_D}/ca.crt > /usr/local/share/ca-certificates/half.crt\n"
        "update-ca-certificates 2>/dev/null",
    )  # fmt: skip


def _runtime() -> Iterator[Fault]:
    for node in BOTH:
        here = f"node/{node}"
        yield Fault(
            id="K01", on=node, breaks=(node,), roots=root("RUN-CONF-001", here),
            inject=_GUIDE + _GUIDE + _RESTART,
        )  # fmt: skip
        yield Fault(
            id="K06", on=node, breaks=(node,), roots=root("RUN-REG-001", here),
            inject=f"mv {CERTS_D} /etc/containerd/certs.d/{HOST}",
        )  # fmt: skip
        yield Fault(
            id="K08", on=node, breaks=(node,), roots=root("RUN-REG-001", here),
            inject=f"sed -i s,containerd/certs.d,containerd/nowhere, {CONFIG}\n{_RESTART}",
        )  # fmt: skip
        yield Fault(
            id="K10", on=node, breaks=(node,), roots=root("RUN-HOSTS-001", here),
            inject=f"{_PEM_NAME}printf '[host.' > {_HOSTS}",
        )  # fmt: skip
        yield Fault(
            id="K11", on=node, breaks=(node,), roots=root("RUN-HOSTS-001", here),
            inject=f"mv {CERTS_D}/ca.crt {CERTS_D}/other.pem",
        )  # fmt: skip
        yield Fault(
            id="K12", on=node, breaks=(node,), roots=root("RUN-HOSTS-001", here),
            inject=f"{_PEM_NAME}sed -i 's/, \"resolve\"//; s/ca.crt/ca.pem/' {_HOSTS}",
        )  # fmt: skip
        yield Fault(
            id="K17", on=node, breaks=(node,), roots=root("RUN-PROXY-001", here),
            inject="mkdir -p /etc/systemd/system/containerd.service.d\n"
            "printf '[Service]\\nEnvironment=HTTPS_PROXY=http://127.0.0.1:9\\n'"
            " > /etc/systemd/system/containerd.service.d/proxy.conf\nsystemctl daemon-reload\n"
            + _RESTART,
        )  # fmt: skip
    yield Fault(
        id="K02", on="n1", breaks=("n1",), roots=root("RUN-REG-001", "node/n1"),
        inject=_GUIDE + _RESTART,
    )  # fmt: skip
    yield Fault(
        id="K03", on="n1", breaks=("n1",), roots=root("RUN-CONF-002", "node/n1"),
        inject=f"sed -i '/version/d; /config_path/d; /registry\\]/d' {CONFIG}\n"
        + _GUIDE
        + _RESTART,
    )  # fmt: skip
    yield Fault(
        id="K05", on="n1",
        roots=root("RUN-TLS-001", "node/n1") | root("NODE-TRUST-001", "node/n1"),
        inject=f"sed -i '/config_path/d; /registry\\]/d' {CONFIG}\n" + _GUIDE + _RESTART,
    )  # fmt: skip
    yield Fault(
        id="K05", on="n2", what="hosts file", roots=root("RUN-TLS-001", "node/n2"),
        inject=f"printf '  skip_verify = true\\n' >> {_HOSTS}",
    )  # fmt: skip
    # Pulls work: the table, though dropped, has 2.x pull by itself, and read the folder it knows.
    yield Fault(
        id="K04", on="n2", roots=root("RUN-CONF-002", "node/n2"),
        inject=f"sed -i '/config_path/d; /registry\\]/d' {CONFIG}\n" + _GUIDE + _RESTART,
    )  # fmt: skip
    yield Fault(
        id="K07", on="n1", breaks=("n1",), roots=root("RUN-CONF-002", "node/n1"),
        inject=f"sed -i '/config_path/d; /registry\\]/d' {CONFIG}\n"
        + _GUIDE.replace(NETLOC, "") + _RESTART,
    )  # fmt: skip
    yield Fault(
        id="K09", on="n1", breaks=("n1",), roots=root("RUN-HOSTS-001", "node/n1"),
        inject=f"{_PEM_NAME}printf 'ca = \"ca.pem\"\\n' > {_HOSTS}",
    )  # fmt: skip
    yield Fault(
        id="K15", on="n1", breaks=("n1",), roots=root("RUN-CRI-001", "node/n1"),
        inject=f"sed -i '1a disabled_plugins = [\"io.containerd.grpc.v1.cri\"]' {CONFIG}\n"
        + _RESTART,
    )  # fmt: skip
    yield Fault(
        id="K16", on="n2", breaks=("n2",), roots=root("RUN-LOAD-001", "node/n2"),
        inject=f"cp {CONFIG} /root/good; sed -i '/config_path/d' {CONFIG}\n{_RESTART}"
        f"sleep 1.1; cp /root/good {CONFIG}",
    )  # fmt: skip
    yield Fault(
        id="K18", on="n1", roots=root("RUN-SANDBOX-001", "node/n1"),
        inject=f"sed -i 's,{NETLOC}/pause,registry.k8s.io/pause,' {CONFIG}\n{_RESTART}",
    )  # fmt: skip
    yield Fault(
        id="K25", on="n2", breaks=("n2",), roots=root("RUN-CONF-002", "node/n2"),
        inject=f"sed -i '/config_path/d' {CONFIG}\n{_RESTART}",
    )  # fmt: skip
    yield Fault(id="K26", on="n2", roots=root("RUN-CONF-002", "node/n2"), inject=_GUIDE + _RESTART)


def _names() -> Iterator[Fault]:
    # An address without a name, as an unset variable leaves it: a warning.
    yield Fault(id="H09", on="n1", inject="echo '127.0.0.1 ' >> /etc/hosts")
    for node in BOTH:
        here = f"node/{node}"
        # A daemon that keeps a connection open does not look the name up again.
        alone = "printf 'nameserver 127.0.0.1\\n' > /etc/resolv.conf\n"
        yield Fault(
            id="D01", on=node, breaks=(node,), roots=root("DNS-NODE-001", here),
            inject=f"{alone}sed -i /{HOST}/d /etc/hosts\n{_RESTART}",
        )  # fmt: skip
        yield Fault(
            id="D02", on=node, roots=root("DNS-HOSTS-001", here),
            inject=f"sed -i '1i 127.0.0.9 {HOST}' /etc/hosts",
        )  # fmt: skip
        yield Fault(
            id="D03", on=node, breaks=(node,), roots=root("DNS-NODE-001", here),
            inject=f"sed -i 's/.*{HOST}/127.0.0.9 {HOST}/' /etc/hosts\n{_RESTART}",
        )  # fmt: skip


FAULTS = (*_certificates(), *_trust(), *_runtime(), *_names())
