"""REG-TLS-001 and -002 over facts; that they say what Go says is proven beside the probe."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.certs import NOW, authority, guide_certificate, issue, usage
from support.healthy import ca, healthy, leaf, other_ca, served, verdict_of, with_facts, with_file
from support.odd_certs import key

from gapcheck.engine import Evaluation
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, HttpFact, Present, TlsFact, Unreadable
from gapcheck.model import CheckId, Status, SubjectId, Verdict
from gapcheck.registry import catalogue, make_catalogue
from gapcheck.site import Site

SITE, FACTS = healthy()
ALONE = ("REG-TLS-001", "REG-TLS-002", "CERT-FILE-001")


def judged(
    facts: FactSet, check: str = "REG-TLS-001", *, site: Site = SITE, now: dt.datetime = NOW
) -> Verdict:
    found = catalogue()
    own = make_catalogue(
        [found.checks[CheckId(each)] for each in ALONE], [found.remedies[CheckId("CERT-FILE-001")]]
    )
    subject = SubjectId("registry")
    return Evaluation(site, facts, own, now=now).verdict(CheckId(check), subject)


def with_tls(**changes: Any) -> FactSet:
    registry: Any = FACTS.by_subject[SubjectId("registry")]
    return with_facts(FACTS, "registry", tls=msgspec.structs.replace(registry.tls, **changes))


def says(verdict: Verdict) -> str:
    return verdict.findings[0].data["error"]


def test_a_healthy_registry_passes_and_keeps_its_evidence() -> None:
    verdict = judged(FACTS)
    assert verdict.status is Status.PASS
    assert {"roots", "served 0", "curl", "Python 3.13"} <= {e.label for e in verdict.evidence}


REFUSALS = {
    "common name only": (issue(by=ca(), san=None), "relies on legacy Common Name", "CERT-SAN-001"),
    "other name": (issue(by=ca(), san=("x.local",)), "is valid for x.local, not", "CERT-SAN-001"),
    "expired": (issue(by=ca(), days=1), "is after", "CERT-LIFE-001"),
    "future": (issue(by=ca(), not_before=NOW + dt.timedelta(1)), "is before", "CERT-LIFE-001"),
    "client only": (
        issue(by=ca(), extended=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
        "incompatible key usage",
        "CERT-USAGE-001",
    ),
    "stranger's": (issue(by=other_ca()), "signed by unknown authority", "CERT-CHAIN-001"),
    "stale CA of the same name": (
        issue(by=authority("Example Registry CA 2026")),
        "ECDSA verification failure",
        "CERT-CHAIN-001",
    ),
    "guide's": (guide_certificate(), "relies on legacy Common Name", "CERT-SAN-001"),
}


@pytest.mark.parametrize(("pair", "words", "root"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_chain_fails_in_go_s_words_and_points_at_its_root(
    pair: Any, words: str, root: str
) -> None:
    verdict = judged(served(FACTS, pair))
    assert verdict.status is Status.FAIL
    assert words in says(verdict)
    assert root in verdict.findings[0].because


ENDS = {
    "resolve": ("dial tcp: lookup registry.local: no such host", "DNS-NAME-001"),
    "connect": ("dial tcp 10.0.0.2:443: connect: connection refused", "REG-NET-001"),
    "tls": ("http: server gave HTTP response to HTTPS client", "REG-HTTP-001"),
}


@pytest.mark.parametrize(("stage", "end"), ENDS.items(), ids=ENDS)
def test_a_handshake_that_ended_is_a_failure_and_never_an_error(
    stage: str, end: tuple[str, str]
) -> None:
    error, root = end
    verdict = judged(with_tls(stage=stage, error=error, chain=(), error_first=True))
    assert (verdict.status, says(verdict)) == (Status.FAIL, error)
    assert root in verdict.findings[0].because


def test_what_goes_wrong_before_the_chain_comes_first() -> None:
    facts = with_tls(stage="tls", error="tls: server selected unsupported protocol version 301",
                     error_first=True)  # fmt: skip
    assert says(judged(facts, now=NOW + dt.timedelta(days=9999))).endswith("version 301")


def test_what_goes_wrong_after_the_chain_counts_where_the_chain_is_accepted() -> None:
    facts = with_tls(stage="tls", error="remote error: tls: handshake failure")
    assert says(judged(facts)) == "remote error: tls: handshake failure"


def test_a_refused_chain_comes_before_what_goes_wrong_after_it() -> None:
    facts = with_tls(stage="tls", error="remote error: tls: handshake failure")
    assert "is after" in says(judged(facts, now=NOW + dt.timedelta(days=9999)))


@pytest.mark.parametrize("content", [b"", b"hello", ca().der], ids=["empty", "text", "DER"])
def test_a_ca_file_that_go_loads_nothing_from_is_the_root_of_the_failure(content: bytes) -> None:
    verdict = judged(with_file(FACTS, "site", "ca.crt", content))
    assert verdict.status is Status.FAIL
    assert [str(each) for each in verdict.root_causes] == ["CERT-FILE-001::site"]


def test_an_unreadable_ca_file_is_an_error_and_never_a_pass() -> None:
    facts = with_file(FACTS, "site", "ca.crt", Unreadable("permission denied"))
    verdict = judged(facts)
    assert verdict.status is Status.ERROR
    assert "permission denied" in verdict.reason


def without_ca_file() -> Site:
    registry = SITE.registry.model_copy(update={"ca_file": None})
    return SITE.model_copy(update={"registry": registry})


def test_without_a_ca_file_this_machine_s_own_store_counts() -> None:
    site_facts: Any = FACTS.by_subject[SubjectId("site")]
    store = Present(site_facts.files["ca.crt"].value)
    facts = with_facts(FACTS, "site", system_roots=store, system_roots_from=("/etc/ssl/x",))
    verdict = judged(facts, site=without_ca_file())
    assert verdict.status is Status.PASS
    assert [e.source for e in verdict.evidence if e.label == "roots"] == ["/etc/ssl/x"]


def test_a_machine_without_a_store_trusts_nothing() -> None:
    facts = with_facts(FACTS, "site", system_roots=Absent())
    assert "unknown authority" in says(judged(facts, site=without_ca_file()))


def test_an_unreadable_store_is_an_error() -> None:
    facts = with_facts(FACTS, "site", system_roots=Unreadable("no permission"))
    assert judged(facts, site=without_ca_file()).status is Status.ERROR


def test_a_served_certificate_that_was_not_taken_along_is_an_error() -> None:
    assert judged(with_tls(chain=("0" * 64,))).status is Status.ERROR


DEMAND = "remote error: tls: certificate required"


@pytest.mark.parametrize("said", ["", "closed"])
def test_a_server_that_would_like_a_client_certificate_says_so_in_the_evidence(said: str) -> None:
    verdict = judged(with_tls(asks_certificate=True, alert_after=said))
    assert verdict.status is Status.PASS
    assert any(each.label == "asks for a client certificate" for each in verdict.evidence)


def test_a_server_that_demands_a_client_certificate_fails_as_go_says_it() -> None:
    facts = with_tls(asks_certificate=True, alert_after=DEMAND)
    verdict = judged(facts)
    assert verdict.status is Status.FAIL
    assert "demands a client certificate" in verdict.findings[0].problem
    assert verdict.findings[0].consequence.endswith(f'/v2/": {DEMAND}')
    facts = with_facts(facts, "registry", api=Unreadable("the connection was closed"))
    api = verdict_of("REG-API-001", facts, SITE, "registry")
    assert api.status is Status.FAIL
    assert [each.check for each in api.root_causes] == ["REG-TLS-001"]


def test_what_the_chain_is_refused_for_comes_before_the_demand() -> None:
    facts = with_tls(asks_certificate=True, alert_after=DEMAND)
    verdict = judged(facts, site=without_ca_file())
    assert verdict.findings[0].data["reason"] == "unknown-authority"


def test_an_http_answer_that_misses_a_client_certificate_says_so() -> None:
    answer = HttpFact(
        url="https://registry.local/v2/", status=400, body="No required SSL certificate"
    )
    facts = with_facts(with_tls(asks_certificate=True), "registry", api=Present(answer))
    found = verdict_of("REG-API-001", facts, SITE, "registry").findings[0].problem
    assert "the TLS server in front demands one" in found


def test_openssl_clients_pass_a_healthy_registry() -> None:
    assert judged(FACTS, "REG-TLS-002").status is Status.PASS


DIFFERENCES = {
    "leaf usage": issue(by=ca(), key_usage=usage(sign=True)),
    "RSA-1024": issue(by=ca(), key=key("rsa1024")),
    "wildcard of one label": issue(by=ca(), san=("*.local",)),
}


@pytest.mark.parametrize("pair", DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_only_openssl_refuses_warns_and_names_the_clients(pair: Any) -> None:
    facts = served(FACTS, pair)
    assert judged(facts).status is Status.PASS
    verdict = judged(facts, "REG-TLS-002")
    assert verdict.status is Status.WARN
    assert "curl" in verdict.findings[0].data["clients"]
    assert "Go accepts" in verdict.findings[0].problem


def test_a_leaf_as_trust_anchor_is_refused_by_the_clients_without_partial_chains() -> None:
    facts = with_file(FACTS, "site", "ca.crt", leaf().pem)
    assert judged(facts).status is Status.PASS
    clients = judged(facts, "REG-TLS-002").findings[0].data["clients"]
    assert clients == "openssl s_client, Python 3.12"


def test_a_common_name_alone_is_shown_to_satisfy_curl_where_go_refuses() -> None:
    verdict = judged(served(FACTS, issue(by=ca(), san=None)))
    said = {each.label: each.value for each in verdict.findings[0].evidence}
    assert (said["curl"], said["openssl s_client"]) == ("accepts", "accepts")
    assert said["Python 3.12"] == "hostname mismatch"


def test_without_a_chain_there_is_nothing_to_say_for_openssl() -> None:
    facts = with_facts(FACTS, "registry", tls=TlsFact(host="x", port=1, stage="connect", error="e"))
    assert judged(facts, "REG-TLS-002").status is Status.NOT_APPLICABLE
