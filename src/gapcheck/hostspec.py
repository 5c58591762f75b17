"""Host, port, address and hostspec as people write them, IPv6 included."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

SCHEMES = (
    "local", "ssh", "docker", "podman", "kubectl", "rootdir", "agent",
    "paramiko", "lxc", "openshift", "chroot", "ansible", "safe-ssh",
)  # fmt: skip

SUDO = "sudo+"


def ip_text(text: str) -> str:
    """An IP address in its canonical form, brackets taken off; raises ValueError on a name."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        msg = f"{text!r} is not an IP address"
        raise ValueError(msg) from None


def bare_host(host: str) -> str:
    """`host` itself; raises ValueError where it is no host name or address alone."""
    if not host or not host.isprintable() or any(mark in host for mark in "/@?#[] "):
        msg = f"{host!r} is not a host name or address (no scheme, no path, no user)"
        raise ValueError(msg)
    if ":" in host:
        ip_text(host)
    return host


def split_host_port(text: str) -> tuple[str, int | None]:
    """Split host[:port], [v6]:port or a bare IPv6 address; raises ValueError on a bad port."""
    if "/" in text:
        msg = f"{text!r} is not HOST or HOST:PORT (no scheme, no path)"
        raise ValueError(msg)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            msg = f"{text!r} is not [IPv6 address]:port"
            raise ValueError(msg)
        return ip_text(host), _port(rest[1:]) if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, _port(port)
    return text, None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) < 65536:  # noqa: PLR2004 - 16 bit
        msg = f"{text!r} is not a port (1 to 65535)"
        raise ValueError(msg)
    return int(text)


def normal_hostspec(text: str) -> str:
    """The hostspec as a URL: a bare HOST means ssh://HOST; raises ValueError on an unusable one."""
    if not text.isprintable() or " " in text or not text:
        msg = f"{text!r} is not a hostspec"
        raise ValueError(msg)
    if text in ("local", "localhost", "local:"):
        return "local://"
    if "://" not in text:
        text = f"ssh://[{text}]" if _is_bare_ipv6(text) else f"ssh://{text}"
    scheme, _, rest = text.removeprefix(SUDO).partition("://")
    if scheme not in SCHEMES:
        msg = f"{scheme}:// is not a hostspec; allowed: {', '.join(SCHEMES)}"
        raise ValueError(msg)
    if scheme.endswith(("ssh", "paramiko")):
        _check_ssh(rest)
    elif scheme != "local" and not rest.partition("?")[0]:
        msg = f"{text!r} names nothing after {scheme}://"
        raise ValueError(msg)
    return text


def _is_bare_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6  # noqa: PLR2004 - IPv6
    except ValueError:
        return False


def _check_ssh(rest: str) -> None:
    """Raise ValueError where an ssh hostspec has no host, a bad port, or a password in it."""
    user, _, host = rest.partition("?")[0].partition("/")[0].rpartition("@")
    if ":" in user:
        msg = f"the hostspec of {user.partition(':')[0]}@{host} holds a password; use a key"
        raise ValueError(msg)
    bare_host(split_host_port(unquote(host))[0])


def hostspec_name(spec: str) -> str:
    """Default name of a target: the host part, or the last folder of a rootdir.

    `spec` is what `normal_hostspec` gave; a bad port in it raises ValueError.
    """
    scheme, _, rest = spec.removeprefix(SUDO).partition("://")
    if scheme == "local":
        return "local"
    rest = rest.partition("?")[0]
    if scheme == "rootdir":
        return rest.rstrip("/").rpartition("/")[2] or "root"
    host = unquote(rest.partition("/")[0].rpartition("@")[2])
    return split_host_port(host)[0] if scheme.endswith(("ssh", "paramiko")) else host
