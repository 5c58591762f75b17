"""Work on many places at a time, with outcomes in the order in which the places were named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

from gapcheck.fixtures.workers import Workers

K = TypeVar("K")
V = TypeVar("V")

_LAST_S = 10.0
_TICK_S = 0.2


def side_by_side(
    places: Iterable[K], work: Callable[[K], V], *, parallel: int
) -> dict[K, Future[V]]:
    """The outcome of `work` for each place, at most `parallel` at a time; all of them are done.

    One place, or one at a time, is worked on in the calling thread. An interrupt drops what was
    not begun, and leaves what was 10 s to come to an end.
    """
    named = list(dict.fromkeys(places))
    count = min(parallel, len(named))
    if count <= 1:
        return {each: _in_place(partial(work, each)) for each in named}
    workers = Workers(count)
    futures = {each: workers.submit(partial(work, each)) for each in named}
    try:
        while wait(futures.values(), _TICK_S).not_done:
            pass  # an interrupt that another thread gets wakes no wait without an end
    except BaseException:
        workers.stop()
        wait([each for each in futures.values() if not each.cancelled()], _LAST_S)
        raise
    workers.stop()
    return futures


def _in_place(work: Callable[[], V]) -> Future[V]:
    future: Future[V] = Future()
    try:
        future.set_result(work())
    except Exception as failed:  # noqa: BLE001 - it is raised where the outcome is asked for
        future.set_exception(failed)
    return future
