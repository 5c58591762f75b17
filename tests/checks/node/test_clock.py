from __future__ import annotations

import pytest
from support.healthy import healthy, site, verdict_of, with_facts

from gapcheck.fixtures.facts import Absent, Clock, Present, Unreadable
from gapcheck.model import Status


def clock(skew: float) -> Present[Clock]:
    return Present(Clock(remote=1000.0 + skew, sent=1000.0, received=1000.0))


@pytest.mark.parametrize(
    ("skew", "status"),
    [
        (0.0, Status.PASS),
        (60.0, Status.PASS),
        (60.1, Status.FAIL),
        (-60.0, Status.PASS),
        (-86_400.0, Status.FAIL),
    ],
)
def test_skew_is_judged_by_policy(skew: float, status: Status) -> None:
    facts = with_facts(healthy()[1], "node/debian", clock=clock(skew))
    assert verdict_of("NODE-CLOCK-001", facts, site(), "node/debian").status is status


def test_side_of_the_skew_is_told() -> None:
    facts = with_facts(healthy()[1], "node/debian", clock=clock(-120.0))
    verdict = verdict_of("NODE-CLOCK-001", facts, site(), "node/debian")
    assert verdict.findings[0].problem == "the node's clock is 120.0 s behind; 60 s are allowed"


@pytest.mark.parametrize("observed", [Unreadable("no date"), Absent()])
def test_unmeasured_clock_is_an_error(observed: Unreadable | Absent) -> None:
    facts = with_facts(healthy()[1], "node/debian", clock=observed)
    assert verdict_of("NODE-CLOCK-001", facts, site(), "node/debian").status is Status.ERROR


def test_image_root_has_no_clock() -> None:
    facts = with_facts(healthy()[1], "node/debian", clock=Absent(), running=False)
    verdict = verdict_of("NODE-CLOCK-001", facts, site(), "node/debian")
    assert verdict.status is Status.NOT_APPLICABLE
