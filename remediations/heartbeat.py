"""Keeps the locks of a run alive while it waits elsewhere: a lock that nobody renews runs out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from gapcheck.errors import RepairFailed, RepairRefused, TargetError
from gapcheck.model import SubjectId
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.side_by_side import side_by_side

log = logging.getLogger(__name__)

EVERY_S = 240.0  # locks run out after 900 s: one beat may be missed, and the next be late


class Heartbeat:
    """Renews the locks of `held` every `every_s` from `start` on, until `stop`.

    `lost` hears of a place whose lock is no longer this run's, and why; one that cannot be
    reached is tried again.
    """

    def __init__(
        self,
        held: Callable[[], Mapping[SubjectId, Machine]],
        lost: Callable[[SubjectId, str], object],
        *,
        parallel: int,
        every_s: float = EVERY_S,
    ) -> None:
        self._held = held
        self._lost = lost
        self._parallel = parallel
        self._every_s = every_s
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to renew; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(self._every_s):
            held = dict(self._held())

            def renew(target: SubjectId, held: Mapping[SubjectId, Machine] = held) -> None:
                if not self._over.is_set():
                    held[target].renew()

            for target, done in side_by_side(held, renew, parallel=self._parallel).items():
                try:
                    done.result()
                except RepairRefused as gone:
                    if not self._over.is_set():
                        self._lost(target, gone.why)
                except (RepairFailed, TargetError) as failed:
                    log.info("%s: its lock was not renewed: %s", target, failed)
