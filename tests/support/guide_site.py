"""The guide's own site, with its registry served by this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gapcheck.demo import guide
from gapcheck.demo.registry import Served, running


@contextmanager
def guide_site(home: Path) -> Iterator[Path]:
    """The site file of a fresh site below `home`, as the guide leaves it."""
    folder = home / "site"
    folder.mkdir()
    served = Served(
        certificate=folder / "registry/certs/registry.crt",
        key=folder / "registry/certs/registry.key",
        store=guide.images(),
    )
    with running(served) as server:
        yield guide.build(folder, server.port, now=datetime.now(UTC)).site_file
