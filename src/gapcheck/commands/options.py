"""Options that several commands share, and what they mean."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gapcheck.errors import UsageError

if TYPE_CHECKING:
    from gapcheck.fixtures.gather import Progress
    from gapcheck.site_file import LoadedSite

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_SITE = Path("site.yaml")
_PATIENCE_S = 2.0

site_option = click.option(
    "--site", "site_path", type=click.Path(path_type=Path), metavar="FILE",
    help="Site file; default: site.yaml here, where there is one.",
)  # fmt: skip
select_option = click.option(
    "--select", multiple=True, metavar="ID",
    help="Only these checks: an id, the front of one (NODE-TRUST) or a glob. Repeatable.",
)  # fmt: skip
target_option = click.option(
    "--target", "targets", multiple=True, metavar="SUBJECT",
    help="Only these subjects: node-7, node/node-7, registry or a glob. Repeatable.",
)  # fmt: skip
risk_option = click.option(
    "--max-risk", type=click.Choice(["safe", "restart", "outage"]),
    help="Costliest repair allowed; default: the site's policy, or restart.",
)  # fmt: skip
report_option = click.option(
    "--report", "reports", multiple=True, metavar="FORMAT:PATH",
    help="Also write json, junit, html, sarif, openmetrics or policyreport to PATH; - is stdout, "
    "policyreport:cluster the site's cluster. Repeatable.",
)  # fmt: skip


def load(site_path: Path | None) -> LoadedSite:
    """The site file asked for, or the one in this folder."""
    from gapcheck.site_file import load_site

    if site_path is None and not DEFAULT_SITE.is_file():
        raise UsageError(
            "no site file",
            "name one with --site FILE, write one with gapcheck init, or check a HOST alone",
        )
    return load_site(site_path or DEFAULT_SITE)


def changed(loaded: LoadedSite, *, phase: str | None, deadline_s: float | None) -> LoadedSite:
    """The site with what the command line says instead."""
    site = loaded.site
    if phase is not None:
        site = site.model_copy(update={"phase": phase})
    if deadline_s is not None:
        policy = site.policy.model_copy(update={"deadline_s": deadline_s})
        site = site.model_copy(update={"policy": policy})
    return replace(loaded, site=site)


def moment(text: str | None) -> datetime | None:
    """`--now`: an ISO time with zone, a date, or `real`; None = not given."""
    if text is None:
        return None
    if text == "real":
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as bad:
        raise UsageError(
            f"--now {text}: not a time", "as in 2026-01-31T12:00:00Z, or real"
        ) from bad
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def duration_s(text: str) -> float:
    """`90s`, `10m` or `2h` in seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise UsageError(f"{text}: not a duration", "as in 90s, 10m or 2h")
    return float(number) * units[unit]


def colour_for(stream: Any, obj: dict[str, Any]) -> bool:  # noqa: ANN401 - any text stream
    """Whether `stream` takes colour: a terminal, and nobody asked for none."""
    return stream.isatty() and not obj["no_color"]


class Watch:
    """A line of progress on a terminal's stderr; elsewhere one line after two seconds."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.live = sys.stderr.isatty() and not obj["quiet"]
        self.quiet = obj["quiet"]
        self.speaks_at = time.monotonic() + _PATIENCE_S

    @property
    def progress(self) -> Progress:
        """What the use case calls for every subject that came in."""
        return self._show

    def _show(self, done: int, total: int, subject: str) -> None:
        if self.live:
            end = "\r\x1b[K" if done == total else ""
            click.echo(f"\r\x1b[Kmeasured {done}/{total} {subject[:60]}{end}", nl=False, err=True)
        elif done < total and not self.quiet and time.monotonic() >= self.speaks_at:
            self.quiet = True
            click.echo(f"measured {done} of {total}; {subject[:60]}", err=True)
