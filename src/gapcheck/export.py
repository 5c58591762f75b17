"""Repairs as text for places gapcheck does not reach: a script that makes a new node pass."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator
from importlib import resources

from gapcheck.errors import UsageError
from gapcheck.fixtures import pki
from gapcheck.fixtures.trust_store import pem_block
from gapcheck.site import Site

_PLAIN = re.compile(r"[A-Za-z0-9._:\[\]-]*")


def node_init(site: Site, ca_pem: bytes) -> str:
    """A POSIX sh script for cloud-init or a new node; running it twice changes nothing.

    It puts the certificates that Go loads from `ca_pem` where `policy.trust` says, sets
    containerd's config_path, and writes the registry's line of /etc/hosts where the site
    knows the address. The variable GAPCHECK_ROOT prepares the root of an image instead of
    the running system. Raises UsageError where `ca_pem` holds no such certificate, or the
    registry's name has characters that no registry has.
    """
    ders = pki.pool(ca_pem).certificates
    if not ders:
        raise UsageError(
            "the CA file holds no certificate that Go loads", "gapcheck explain CERT-FILE-001"
        )
    return "\n".join([*_head(site), *_certificates(ders), "", _body()])


def _head(site: Site) -> Iterator[str]:
    registry = site.registry
    host = f"[{registry.host}]" if ":" in registry.host else registry.host
    values = {
        "netloc": registry.netloc,
        "host": host,
        "port": str(registry.port),
        "address": "" if _is_address(registry.host) else site.expected_address or "",
        "trust": site.policy.trust,
    }
    yield "#!/bin/sh"
    yield f"# Written by gapcheck for the registry {registry.netloc}."
    for name, value in values.items():
        if not _PLAIN.fullmatch(value):
            raise UsageError(f"{value!r} cannot be written into a script: odd characters")
        yield f"{name}={shlex.quote(value)}"


def _is_address(host: str) -> bool:
    """Whether the registry is named by an address, which no hosts file has to answer."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _certificates(ders: tuple[bytes, ...]) -> Iterator[str]:
    names = [f"gapcheck-{pki.fingerprint(der)[:8]}" for der in ders]
    yield f"anchor_names={shlex.quote(' '.join(names))}"
    yield "anchor() {"
    yield "    case $1 in"
    for name, der in zip(names, ders, strict=True):
        yield f"    {name}) cat <<'PEM' ;;"
        yield f"{pem_block(der).decode('ascii')}PEM"
    yield "    esac"
    yield "}"
    yield 'ca() { for each in $anchor_names; do anchor "$each"; done; }'


def _body() -> str:
    return resources.files("gapcheck").joinpath("node_init.sh").read_text(encoding="utf-8")
