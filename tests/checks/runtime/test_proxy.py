from __future__ import annotations

import pytest
from support.healthy import healthy, site, verdict_of, with_facts
from support.nodes import node, unit

from gapcheck.fixtures.facts import Unreadable
from gapcheck.model import Status

PROXY = {"HTTPS_PROXY": "http://proxy.local:3128"}


def test_daemon_without_proxy_passes() -> None:
    of, facts = healthy()
    assert verdict_of("RUN-PROXY-001", facts, of, "node/debian").status is Status.PASS


@pytest.mark.parametrize(
    ("no_proxy", "status"),
    [
        ("", Status.FAIL),
        ("localhost,.corp", Status.FAIL),
        ("registry.local", Status.PASS),
        (".local", Status.PASS),
        ("*", Status.PASS),
    ],
)
def test_proxy_is_judged_by_no_proxy(no_proxy: str, status: Status) -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, environment={**PROXY, "NO_PROXY": no_proxy})
    assert verdict_of("RUN-PROXY-001", facts, site(), subject).status is status


def test_unknown_environment_is_an_error() -> None:
    facts, subject, _ = node("debian")
    facts = with_facts(facts, subject, units={"containerd.service": Unreadable("denied")})
    assert verdict_of("RUN-PROXY-001", facts, site(), subject).status is Status.ERROR


def test_environment_that_could_not_be_read_is_an_error_and_never_a_pass() -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, environment_unread="permission denied")
    assert verdict_of("RUN-PROXY-001", facts, site(), subject).status is Status.ERROR
