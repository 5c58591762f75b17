from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.certs import Pair, issue
from support.healthy import (
    Blobs,
    ca,
    healthy,
    other_ca,
    verdict_of,
    with_facts,
)

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.model import Status, SubjectId, Verdict

SITE, FACTS = healthy()
SUBJECT = "service/git.local"


def serving(pair: Pair, facts: FactSet = FACTS) -> FactSet:
    blobs = Blobs()
    service: Any = facts.by_subject[SubjectId(SUBJECT)]
    tls = msgspec.structs.replace(service.tls, chain=(blobs.add(pair.der),))
    return with_facts(facts, SUBJECT, blobs.held, tls=tls)


def with_secret(pem: bytes) -> FactSet:
    blobs = Blobs()
    release: Any = FACTS.by_subject[SubjectId("release")]
    secret = release.secrets.value[0]
    keys = (msgspec.structs.replace(secret.keys[0], blob=blobs.add(pem)),)
    secrets = Present((msgspec.structs.replace(secret, keys=keys),))
    return with_facts(FACTS, "release", blobs.held, secrets=secrets)


def judged(facts: FactSet) -> Verdict:
    return verdict_of("SVC-TLS-001", facts, SITE, SUBJECT)


def roots_named(verdict: Verdict) -> str:
    evidence = verdict.evidence or verdict.findings[0].evidence
    return next(each.source for each in evidence if each.label == "roots")


def test_a_service_that_the_secret_s_ca_signed_passes_and_names_the_secret() -> None:
    verdict = judged(FACTS)
    assert verdict.status is Status.PASS
    assert roots_named(verdict) == "key registry.crt of secret coder/local-registry-cert"


def test_a_service_of_another_ca_fails_in_go_s_words() -> None:
    verdict = judged(serving(issue(common_name="git.local", san=("git.local",), by=other_ca())))
    assert verdict.status is Status.FAIL
    assert "signed by unknown authority" in verdict.findings[0].problem


def test_the_secret_counts_and_not_the_ca_file() -> None:
    facts = with_secret(other_ca().pem)
    assert judged(facts).status is Status.FAIL
    other = issue(common_name="git.local", san=("git.local",), by=other_ca())
    assert judged(serving(other, facts)).status is Status.PASS


def test_without_the_secret_the_registry_s_ca_file_counts_and_is_named() -> None:
    verdict = judged(with_facts(FACTS, "release", secrets=Present(())))
    assert verdict.status is Status.PASS
    assert roots_named(verdict) == "ca.crt"


def test_an_unreadable_secret_is_an_error() -> None:
    facts = with_facts(FACTS, "release", secrets=Unreadable("forbidden"))
    assert judged(facts).status is Status.ERROR


@pytest.mark.parametrize("error", ["dial tcp 10.0.0.3:443: connect: connection refused"])
def test_a_service_that_does_not_answer_fails_with_that_line(error: str) -> None:
    service: Any = FACTS.by_subject[SubjectId(SUBJECT)]
    tls = msgspec.structs.replace(
        service.tls, stage="connect", error=error, error_first=True, chain=()
    )
    verdict = judged(with_facts(FACTS, SUBJECT, tls=tls))
    assert verdict.status is Status.FAIL
    assert verdict.findings[0].data["error"] == error


def test_the_healthy_ca_is_the_one_in_the_secret() -> None:
    release: Any = FACTS.by_subject[SubjectId("release")]
    assert FACTS.blobs[release.secrets.value[0].keys[0].blob] == ca().pem


def test_a_service_that_demands_a_client_certificate_fails_as_go_says_it() -> None:
    demand = "remote error: tls: certificate required"
    service: Any = FACTS.by_subject[SubjectId(SUBJECT)]
    tls = msgspec.structs.replace(service.tls, asks_certificate=True, alert_after=demand)
    verdict = judged(with_facts(FACTS, SUBJECT, tls=tls))
    assert verdict.status is Status.FAIL
    assert f"demands a client certificate; a Go client in a pod without one reads: {demand}" in (
        verdict.findings[0].problem
    )
