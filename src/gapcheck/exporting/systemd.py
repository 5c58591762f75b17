"""`gapcheck export systemd`: drift every night, run by a machine that reaches the site. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gapcheck.errors import UsageError
from gapcheck.exits import Exit
from gapcheck.exporting.source import Export
from gapcheck.exporting.text import comment
from gapcheck.hostspec import SUDO
from gapcheck.reports.writers import Wanted
from gapcheck.site import NodesFrom, Site

FOLDER = "/etc/systemd/system"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")
_UNIT = re.compile(r"[A-Za-z0-9:_.@%-]+\.(service|target)")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PLAIN = re.compile(r"[\x20-\x7e]+")
_STATE = "/var/lib"
_TEMPORARY = ("/tmp/", "/var/tmp/")  # noqa: S108 - told apart, not used
# What such a target reads is this machine itself: a sandbox would change what is measured.
_OF_THIS_MACHINE = ("local", "docker", "podman", "lxc", "chroot", "rootdir")

_ALWAYS = """\
ProtectSystem=strict
ProtectHome=read-only
ProtectControlGroups=yes
UMask=0077"""
# Without CAP_SYS_ADMIN each of these implies NoNewPrivileges, which takes sudo away.
_UNLESS_SUDO = """\
ProtectClock=yes
ProtectHostname=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native"""
_APART = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelLogs=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What the operator chooses; paths are absolute, '' = none."""

    program: tuple[str, ...]
    site_file: str
    name: str = "gapcheck"
    user: str = ""
    schedule: str = "*-*-* 03:00:00"
    on_failure: str = ""
    reports: tuple[Wanted, ...] = ()


def systemd(site: Site, units: Units) -> Export:
    """Service and timer in one text, each below the path that it belongs to."""
    parts = [f"# {FOLDER}/{name}\n{text}" for name, text in files(site, units).items()]
    return Export(text="\n".join(parts), notes=tuple(_notes(site, units)), code=Exit.OK)


def files(site: Site, units: Units) -> dict[str, str]:
    """The text of each unit by its file name; raises UsageError on what no unit may hold."""
    _check(units)
    return {
        f"{units.name}.service": "\n".join(_service(site, units)) + "\n",
        f"{units.name}.timer": "\n".join(_timer(site, units)) + "\n",
    }


def _check(units: Units) -> None:
    if not _NAME.fullmatch(units.name):
        raise UsageError(f"--name {units.name}: not the name of a unit", "letters, digits, _ . -")
    if units.user and not _USER.fullmatch(units.user):
        raise UsageError(f"--user {units.user}: not the name of a user")
    if units.on_failure and not _UNIT.fullmatch(units.on_failure):
        hint = "as in notify@%n.service"
        raise UsageError(f"--on-failure {units.on_failure}: not a service or target", hint)
    if not _PLAIN.fullmatch(units.schedule):
        raise UsageError("--schedule is not one line of plain text", "see systemd.time(7)")


def _notes(site: Site, units: Units) -> Iterator[str]:
    if _asks_environment(site):
        names = ", ".join(_environment_names(site))
        yield f"needed: /etc/gapcheck/{units.name}.env (mode 0600) with {names}"
    if units.user:
        yield f"needed: the ssh keys, known hosts and kubeconfig of {units.user}"
    if _is_apart(site):
        for path in (units.site_file, units.program[0]):
            if path.startswith(_TEMPORARY):
                yield f"needed: {path} at another place, for the unit sees no temporary folder"
        return
    yield "left: the sandbox is open where the site names targets of this machine itself"


def _service(site: Site, units: Units) -> Iterator[str]:
    yield from comment(
        "Result and exit code are the run's own: 0 nothing differs and every check passes, 1 a "
        "check failed, 4 the site file is not usable, 6 something was not measured, 8 the site "
        "differs from the last run. The first run begins the history. What was found is in the "
        "journal of this unit and in the reports of its state folder."
    )
    yield "[Unit]"
    yield f"Description=gapcheck: what differs at {_percent(_called(site))} since the last run"
    yield "Wants=network-online.target"
    yield "After=network-online.target"
    if units.on_failure:
        yield f"OnFailure={units.on_failure}"
    yield ""
    yield "[Service]"
    yield "Type=oneshot"
    if units.user:
        yield f"User={units.user}"
    yield f"StateDirectory={units.name}"
    yield "StateDirectoryMode=0700"
    yield f"Environment=GAPCHECK_STATE={_STATE}/{units.name}"
    if _asks_environment(site):
        yield f"EnvironmentFile=/etc/gapcheck/{units.name}.env"
    yield f"ExecStart={_command(units)}"
    yield "TimeoutStartSec=1h"
    yield "Nice=10"
    for folder in dict.fromkeys(
        _folder(each.path) for each in units.reports if not each.to_cluster
    ):
        yield f"ReadWritePaths={_word(folder)}"
    yield _ALWAYS
    if _is_apart(site) or not units.user:
        yield _UNLESS_SUDO
    if _is_apart(site):
        yield _APART


def _timer(site: Site, units: Units) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=When gapcheck looks at {_percent(_called(site))}"
    yield ""
    yield "[Timer]"
    yield f"OnCalendar={units.schedule}"
    yield "RandomizedDelaySec=30min"
    yield "# A run that was missed while the machine was off is made up for."
    yield "Persistent=true"
    yield ""
    yield "[Install]"
    yield "WantedBy=timers.target"


def _command(units: Units) -> str:
    state = f"{_STATE}/{units.name}"
    words = [*units.program, "drift", "--site", units.site_file, "--begin"]
    for report in (
        Wanted("json", f"{state}/report.json"),
        Wanted("html", f"{state}/report.html"),
        *units.reports,
    ):
        words += ["--report", f"{report.format}:{report.path}"]
    return " ".join(_word(each) for each in words)


def _folder(path: str) -> str:
    if not PurePosixPath(path).is_absolute():
        raise UsageError(f"--report {path}: a unit has no folder of its own", "give a full path")
    return str(PurePosixPath(path).parent)


def _word(text: str) -> str:
    """`text` as one word of a unit's command line, as systemd.syntax(7) unquotes it."""
    if not text.isprintable():
        raise UsageError(f"{text!r} cannot be written into a unit: odd characters")
    quoted = _percent(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return quoted if re.fullmatch(r"[A-Za-z0-9/._:@=+,%-]+", quoted) else f'"{quoted}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _called(site: Site) -> str:
    name = site.name or site.registry.netloc
    return "".join(each if each.isprintable() else "?" for each in name).rstrip("\\")


def _is_apart(site: Site) -> bool:
    """Whether nothing of the site is this machine itself."""
    return not any(
        each.partition("://")[0].removeprefix(SUDO) in _OF_THIS_MACHINE for each in _hostspecs(site)
    )


def _hostspecs(site: Site) -> Sequence[str]:
    nodes = site.nodes
    targets = [nodes.target] if isinstance(nodes, NodesFrom) else [node.target for node in nodes]
    return [*targets, *([site.registry.target] if site.registry.target else [])]


def _environment_names(site: Site) -> tuple[str, ...]:
    auth = site.registry.auth
    return tuple(each for each in (auth and auth.username_env, auth and auth.password_env) if each)


def _asks_environment(site: Site) -> bool:
    return bool(_environment_names(site))
