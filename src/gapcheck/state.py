"""The state folder: what every run that changed something leaves behind, for undo.

`$GAPCHECK_STATE`, else /var/lib/gapcheck for root, else the XDG state folder. Each run has a
folder runs/RUN with plan.json, journal.jsonl and record.json; all of it is mode 0700.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gapcheck.errors import UsageError

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


def state_folder(environ: Mapping[str, str], *, uid: int) -> Path:
    """Where state lies for the user `uid` with this environment; nothing is made."""
    if environ.get("GAPCHECK_STATE"):
        return Path(environ["GAPCHECK_STATE"]).absolute()
    if uid == 0:
        return Path("/var/lib/gapcheck")
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "gapcheck"
    return Path(environ.get("HOME", "/")) / ".local/state/gapcheck"


def private_folder(path: Path) -> Path:
    """`path` as a folder that only its owner may enter, made where absent.

    Raises UsageError where it is another user's, or cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise UsageError(f"{path} belongs to another user", "set GAPCHECK_STATE to a folder")
        if found.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as failed:
        raise UsageError(
            f"the state folder {path} cannot be used: {failed.strerror}",
            "set GAPCHECK_STATE to a folder that can be written",
        ) from failed
    return path


@dataclass(frozen=True, slots=True)
class State:
    """The state folder at `root`."""

    root: Path

    def run_folder(self, run_id: str) -> Path:
        """Folder of the run `run_id`; raises UsageError where that is no run's name."""
        if not _RUN.fullmatch(run_id):
            raise UsageError(f"{run_id!r} is not a run", "gapcheck runs lists them")
        return self.root / "runs" / run_id

    def new_run(self, run_id: str) -> Path:
        """Make the folder of a new run (or of one that continues)."""
        private_folder(self.root)
        private_folder(self.root / "runs")
        return private_folder(self.run_folder(run_id))

    def known(self, run_id: str) -> Path:
        """Folder of a run that is there; raises UsageError where it is not."""
        folder = self.run_folder(run_id)
        if not folder.is_dir():
            raise UsageError(f"there is no run {run_id} in {self.root}", "gapcheck runs lists them")
        return folder

    def runs(self) -> tuple[str, ...]:
        """Ids of the runs that have a journal, in the order in which these were begun."""
        folder = self.root / "runs"
        found = folder.iterdir() if folder.is_dir() else ()
        begun = [each for each in found if (each / "journal.jsonl").is_file()]
        return tuple(each.name for each in sorted(begun, key=_when_begun))


def _when_begun(run: Path) -> tuple[str, int, str]:
    """What orders runs: digits of a time, year first, as far as it is known.

    A run's name holds the second in which it was asked for, which is neither when it began to
    write nor fine enough; it stands in where the journal's first line cannot be read. Journals
    of earlier versions hold whole seconds, and the file's own time tells those apart.
    """
    journal = run / "journal.jsonl"
    try:
        with journal.open("rb") as lines:
            first = json.loads(lines.readline())
        at = str(first["at"]).partition("+")[0]
        written_ns = journal.stat().st_mtime_ns
    except (OSError, ValueError, LookupError, TypeError):
        at, written_ns = run.name.partition("-")[0], 0
    return re.sub("[^0-9]", "", at), written_ns, run.name
