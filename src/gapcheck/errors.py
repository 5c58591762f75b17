"""Errors a caller can act on; arguments are data, the sentence is made in `__str__`."""

from __future__ import annotations

_MOST_SHOWN = 20


class GapcheckError(Exception):
    """Root of every error gapcheck raises on purpose."""


class UsageError(GapcheckError):
    """The command line, the site file or a bundle is not usable: exit 4."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why, hint)
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.why}\n  {self.hint}" if self.hint else self.why


class SiteError(UsageError):
    """A site file cannot be used; `path` and `line` (1-based, 0 = whole file) say where.

    `more` are further defects of the same file, each of which is shown on a line of its own.
    """

    def __init__(
        self, path: str, line: int, why: str, hint: str = "", more: tuple[SiteError, ...] = ()
    ) -> None:
        super().__init__(why, hint)
        self.args = (path, line, why, hint, more)
        self.path = path
        self.line = line
        self.more = more

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return "\n".join((f"{where}: {super().__str__()}", *map(str, self.more)))


class BundleError(UsageError):
    """A bundle is truncated, altered, or of a schema this version does not read."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(why)
        self.args = (path, why)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class PlanFileError(UsageError):
    """A file is no plan of ours, is damaged, or is of a version this one does not read."""

    def __init__(self, path: str, why: str, hint: str = "gapcheck plan -o FILE makes one") -> None:
        super().__init__(why, hint)
        self.args = (path, why, hint)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {super().__str__()}"


class TargetError(GapcheckError):
    """A target could not be reached, asked or heard in time; a gap, never silence."""

    def __init__(self, hostspec: str, why: str) -> None:
        super().__init__(hostspec, why)
        self.hostspec = hostspec
        self.why = why

    def __str__(self) -> str:
        return f"{self.hostspec}: {self.why}"


class Unmeasured(GapcheckError):
    """A check needs a fact that was not measured: status error, never a pass."""

    def __init__(self, what: str, reason: str, subject: str = "") -> None:
        super().__init__(what, reason, subject)
        self.what = what
        self.reason = reason
        self.subject = subject

    def __str__(self) -> str:
        where = f" of {self.subject}" if self.subject else ""
        return f"{self.what}{where} could not be measured: {self.reason}"


class NotApplicable(GapcheckError):
    """A check has nothing to say about this subject; `reason` is shown."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class CannotPlan(GapcheckError):
    """A remedy exists, but not for this finding; `reason` says what a person must do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class CatalogueError(GapcheckError):
    """The catalogue contradicts itself: a defect of ours or of a third-party check."""

    def __init__(self, check: str, why: str) -> None:
        super().__init__(check, why)
        self.check = check
        self.why = why

    def __str__(self) -> str:
        return f"{self.check}: {self.why}"


class RepairRefused(GapcheckError):
    """Nothing was written: a target changed, or another run holds the lock: exit 7."""

    def __init__(self, target: str, why: str) -> None:
        super().__init__(target, why)
        self.target = target
        self.why = why

    def __str__(self) -> str:
        return f"{self.target}: {self.why}; nothing was written there"


class LockHeld(RepairRefused):
    """Another run is repairing this place."""


class PlanOutdated(RepairRefused):
    """What a plan was based on is not so any more; `differences` say what, a line each: exit 7."""

    def __init__(self, path: str, differences: tuple[str, ...], again: str) -> None:
        super().__init__(path, "; ".join(differences))
        self.args = (path, differences, again)
        self.differences = differences
        self.again = again

    def __str__(self) -> str:
        shown = [f"  {each}" for each in self.differences[:_MOST_SHOWN]]
        if len(self.differences) > _MOST_SHOWN:
            shown.append(f"  and {len(self.differences) - _MOST_SHOWN} more")
        return "\n".join(
            (
                f"{self.target}: what it rests on has changed since; nothing was written",
                *shown,
                f"plan again with: {self.again}",
            )
        )


class EditedSince(RepairRefused):
    """Someone edited what a run left; `lines` say what, and how it differs: exit 7."""

    def __init__(self, run: str, lines: tuple[str, ...]) -> None:
        super().__init__(run, "; ".join(lines))
        self.args = (run, lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(
            (
                f"run {self.target}: someone changed what it left; nothing was written",
                *(f"  {line}" for line in self.lines),
                "--force puts back what stood before the run and keeps the above in its backup",
            )
        )


class EditRefused(GapcheckError):
    """An edit does not apply to a file as it stands; nothing was changed."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class RepairFailed(GapcheckError):
    """A change was begun and did not succeed; `why` says what stands there now: exit 7."""

    def __init__(self, target: str, why: str) -> None:
        super().__init__(target, why)
        self.target = target
        self.why = why

    def __str__(self) -> str:
        return f"{self.target}: {self.why}"


class HistoryError(UsageError):
    """The history, or a baseline, cannot be used; `path` is its file."""

    def __init__(self, path: str, why: str, hint: str = "") -> None:
        super().__init__(why, hint)
        self.args = (path, why, hint)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {super().__str__()}"


class DamagedHistory(HistoryError):
    """The history is no longer a database of ours; the next run that is kept sets it aside."""
