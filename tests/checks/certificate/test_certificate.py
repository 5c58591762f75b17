"""The certificate checks over facts: healthy, each way to be wrong, boundary, not measured."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from support import healthy as h
from support import odd_certs as odd
from support.certs import NOW, Pair, authority, guide_certificate, issue, subject, usage

from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import Absent, FactSet, HttpFact, Present, TlsFact, Unreadable
from gapcheck.model import Severity, Status, Verdict
from gapcheck.site import Site

FAMILY = (
    "CERT-SAN-001", "CERT-CN-001", "CERT-LIFE-001", "CERT-LIFE-002", "CERT-STRENGTH-001",
    "CERT-USAGE-001", "CERT-CA-001", "CERT-CHAIN-001", "CERT-KEY-001", "CERT-KEY-002",
    "CERT-SERVED-001", "CERT-SERVED-002",
)  # fmt: skip


def judged(check: str, *chain: Pair, now: dt.datetime = NOW, **of: Any) -> Verdict:
    site, facts = h.healthy()
    return h.verdict_of(check, h.served(facts, *chain), of.get("site", site), "registry", now=now)


def statuses(*chain: Pair, now: dt.datetime = NOW) -> dict[str, Status]:
    """Every certificate check that does not pass."""
    found = {check: judged(check, *chain, now=now).status for check in FAMILY}
    return {check: status for check, status in found.items() if status is not Status.PASS}


def with_machine(facts: FactSet, **changes: Any) -> FactSet:
    old: Any = facts.by_subject["registry"]  # type: ignore[index] # a subject's name
    changed = msgspec.structs.replace(old.machine.value, **changes)
    return h.with_facts(facts, "registry", machine=Present(changed))


def trusting(*roots: Pair, chain: tuple[Pair, ...]) -> tuple[Site, FactSet]:
    """The healthy site whose CA file holds `roots` while `chain` is served."""
    site, facts = h.healthy()
    pem = b"".join(each.pem for each in roots)
    return site, h.served(h.with_file(facts, "site", "ca.crt", pem), *chain)


@pytest.mark.parametrize("check", [*FAMILY, "CERT-ISSUER-001"])
def test_a_healthy_certificate_passes(check: str) -> None:
    site, facts = h.healthy()
    verdict = h.verdict_of(check, facts, site, "registry")
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


@pytest.mark.parametrize("check", [*FAMILY, "CERT-ISSUER-001"])
def test_a_registry_that_was_not_measured_is_never_a_pass(check: str) -> None:
    site, facts = h.healthy()
    unmeasured = msgspec.structs.replace(
        facts, by_subject={k: v for k, v in facts.by_subject.items() if k != "registry"}
    )
    assert h.verdict_of(check, unmeasured, site, "registry").status in (
        Status.ERROR,
        Status.BLOCKED,
    )


@pytest.mark.parametrize("check", [c for c in FAMILY if c not in ("CERT-KEY-001", "CERT-KEY-002")])
def test_without_a_served_certificate_nothing_passes(check: str) -> None:
    site, facts = h.healthy()
    tls = TlsFact(host=h.HOST, port=443, stage="tls", error="EOF", peer="10.0.0.2:443")
    said = HttpFact(url="http://registry.local:443/v2/", status=400, body="HTTPS server")
    facts = h.with_facts(facts, "registry", tls=tls, plain_http=Present(said))
    verdict = h.verdict_of(check, facts, site, "registry")
    if check == "CERT-SERVED-002":
        assert (verdict.status, "EOF" in verdict.findings[0].problem) == (Status.FAIL, True)
    else:
        assert verdict.status is Status.BLOCKED
        assert [root.check for root in verdict.root_causes] == ["CERT-SERVED-002"]


def test_the_guides_certificate_lacks_names_and_is_a_ca() -> None:
    guide = guide_certificate()
    site, facts = trusting(guide, chain=(guide,))
    bad = {
        check: verdict.status
        for check in FAMILY
        if (verdict := h.verdict_of(check, facts, site, "registry")).status is not Status.PASS
    }
    assert bad == {"CERT-SAN-001": Status.FAIL, "CERT-CA-001": Status.FAIL}
    finding = h.verdict_of("CERT-SAN-001", facts, site, "registry").findings[0]
    assert "no subject alternative name" in finding.problem
    assert "legacy Common Name field, use SANs instead" in finding.consequence
    assert "openssl" in finding.consequence


def test_a_certificate_without_names_is_the_root_of_the_refused_handshake() -> None:
    guide = guide_certificate()
    site, facts = trusting(guide, chain=(guide,))
    roots = h.verdict_of("REG-TLS-001", facts, site, "registry").root_causes
    assert [root.check for root in roots] == ["CERT-SAN-001"]


def test_a_certificate_for_another_name_fails_for_the_name_alone() -> None:
    assert statuses(issue(by=h.ca(), san=("other.local",))) == {"CERT-SAN-001": Status.FAIL}
    finding = judged("CERT-SAN-001", issue(by=h.ca(), san=("other.local",))).findings[0]
    assert "valid for other.local, not registry.local" in finding.consequence
    assert finding.locus == "registry.local"


def test_an_address_counts_only_where_images_use_it() -> None:
    by_name = issue(by=h.ca(), san=("registry.local",))
    assert statuses(by_name) == {}
    by_address = h.site(registry={**_registry(), "images": [f"{h.ADDRESS}/app:1"]})
    verdict = judged("CERT-SAN-001", by_name, site=by_address)
    assert [finding.locus for finding in verdict.findings] == [h.ADDRESS]
    assert "doesn't contain any IP SANs" in verdict.findings[0].consequence
    assert judged("CERT-SAN-001", h.leaf(), site=by_address).status is Status.PASS


def test_an_address_as_a_dns_name_is_no_address() -> None:
    wrong = x509.SubjectAlternativeName([x509.DNSName("registry.local"), x509.DNSName(h.ADDRESS)])
    leaf = issue(by=h.ca(), san=None, extra=((wrong, False),))
    by_address = h.site(registry={**_registry(), "images": [f"{h.ADDRESS}/app:1"]})
    finding = judged("CERT-SAN-001", leaf, site=by_address).findings[0]
    assert "as a DNS name, not as an address" in finding.problem


def test_a_wildcard_over_one_label_breaks_openssl_only() -> None:
    verdict = judged("CERT-SAN-001", issue(by=h.ca(), san=("*.local",)))
    assert verdict.status is Status.FAIL
    assert "Go clients accept it" in verdict.findings[0].consequence


def test_a_wildcard_over_two_labels_is_enough() -> None:
    site = h.site(registry={**_registry(), "host": "registry.example.com", "images": []})
    leaf = issue(by=h.ca(), san=("*.example.com", "registry.local"))
    assert judged("CERT-SAN-001", leaf, site=site).status is Status.PASS


def test_unread_image_references_leave_the_names_unmeasured() -> None:
    site, facts = h.healthy()
    facts = h.with_facts(facts, "registry", image_list=Unreadable("the release was not measured"))
    assert h.verdict_of("CERT-SAN-001", facts, site, "registry").status is Status.ERROR


def test_the_common_name_is_information_only() -> None:
    verdict = judged("CERT-CN-001", issue(by=h.ca(), common_name="other"))
    assert (verdict.status, verdict.severity) == (Status.WARN, Severity.INFO)


def test_an_expired_certificate_fails_for_its_life_alone() -> None:
    late = NOW + dt.timedelta(days=291)
    assert judged("CERT-LIFE-001", h.leaf(), now=late).status is Status.FAIL
    finding = judged("CERT-LIFE-001", h.leaf(), now=late).findings[0]
    assert "is after" in finding.consequence
    assert judged("CERT-LIFE-002", h.leaf(), now=late).status is Status.BLOCKED
    assert judged("CERT-CHAIN-001", h.leaf(), now=late).status is Status.BLOCKED


def test_the_last_second_still_counts() -> None:
    end = pki.read_certificate(h.leaf().der).not_after
    assert judged("CERT-LIFE-001", h.leaf(), now=end).status is Status.PASS
    after = end + dt.timedelta(seconds=1)
    assert judged("CERT-LIFE-001", h.leaf(), now=after).status is Status.FAIL


def test_a_certificate_from_the_future_shows_the_clocks() -> None:
    verdict = judged("CERT-LIFE-001", issue(by=h.ca(), not_before=NOW + dt.timedelta(hours=2)))
    assert verdict.findings[0].data["kind"] == "early"
    assert any("clock" in each.label for each in verdict.findings[0].evidence)


def test_exactly_the_policys_days_left_are_enough() -> None:
    end = pki.read_certificate(h.leaf().der).not_after
    thirty = end - dt.timedelta(days=30)
    assert judged("CERT-LIFE-002", h.leaf(), now=thirty).status is Status.PASS
    less = thirty + dt.timedelta(seconds=1)
    assert judged("CERT-LIFE-002", h.leaf(), now=less).status is Status.FAIL


def test_a_ca_that_ends_soon_is_a_warning() -> None:
    root = authority("Short CA", days=30)
    site, facts = trusting(root, chain=(issue(by=root),))
    verdict = h.verdict_of("CERT-LIFE-002", facts, site, "registry")
    assert (verdict.status, verdict.findings[0].locus) == (Status.WARN, "ca")


def test_an_expired_intermediate_is_found_above_the_leaf() -> None:
    old = issue(by=h.ca(), common_name="Old CA", san=None, is_ca=True, extended=None, days=5)
    verdict = judged("CERT-LIFE-001", issue(by=old), old)
    assert [finding.locus for finding in verdict.findings] == ["chain"]


@pytest.mark.parametrize("bits", [1024, 2047])
def test_a_short_rsa_key_is_weak(bits: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    assert statuses(issue(by=h.ca(), key=key)) == {"CERT-STRENGTH-001": Status.FAIL}


def test_an_rsa_key_of_2048_bits_is_strong() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert statuses(issue(by=h.ca(), key=key)) == {}


def test_a_small_curve_is_weak() -> None:
    key = ec.generate_private_key(ec.SECP192R1())
    assert judged("CERT-STRENGTH-001", issue(by=h.ca(), key=key)).status is Status.FAIL


def test_a_sha1_signature_is_weak_and_breaks_the_chain() -> None:
    signer = odd.key("p256", 1)
    root = odd.Odd(
        subject=odd.common_name("Odd Root"),
        key=signer,
        extensions=(odd.basic(), odd.usage(5, 6)),
    ).der()
    leaf = odd.Odd(algorithm="ecdsa-sha1", extensions=(odd.san(f"dns:{h.HOST}"),)).der()
    site, facts = h.healthy()
    facts = h.with_file(facts, "site", "ca.crt", odd.pem([root]))
    blobs = h.Blobs()
    old: Any = facts.by_subject["registry"]  # type: ignore[index] # a subject's name
    tls = msgspec.structs.replace(old.tls, chain=(blobs.add(leaf),))
    facts = h.with_facts(facts, "registry", blobs.held, tls=tls, machine=Absent())
    site = h.site(registry={**_registry(), "target": None})
    verdict = h.verdict_of("CERT-STRENGTH-001", facts, site, "registry")
    assert "signed by SHA1" in verdict.findings[0].problem
    chain = h.verdict_of("CERT-CHAIN-001", facts, site, "registry")
    assert [root.check for root in chain.root_causes] == ["CERT-STRENGTH-001"]


def test_a_key_that_go_refuses_is_found() -> None:
    big = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    old = dsa.generate_private_key(2048)
    assert (
        "DSA"
        in judged("CERT-STRENGTH-001", issue(by=h.ca(), key=big), _signed(old)).findings[0].problem
    )


def _signed(key: Any) -> Pair:
    """A certificate over `key`, which itself signs nothing."""
    template = issue(by=h.ca()).cert
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject("dsa"))
        .issuer_name(template.issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
        .sign(h.ca().key, hashes.SHA256())
    )
    return Pair(cert=cert, key=key, issuer=h.ca())


def test_an_rsa_key_above_gos_limit_is_found() -> None:
    numbers = rsa.RSAPublicNumbers(65537, (1 << 8300) + 1)
    key = SimpleNamespace(public_key=numbers.public_key)
    verdict = judged("CERT-STRENGTH-001", h.leaf(), _signed(key))
    assert "8301 bits, Go takes up to 8192" in verdict.findings[0].problem


def test_a_critical_extension_that_go_does_not_know_is_found() -> None:
    odd_one = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    verdict = judged("CERT-USAGE-001", issue(by=h.ca(), extra=((odd_one, True),)))
    assert "unhandled critical extension" in verdict.findings[0].consequence


def test_the_leaf_beside_its_ca_in_the_ca_file_is_no_defect() -> None:
    site, facts = trusting(h.leaf(), h.ca(), chain=(h.leaf(),))
    assert h.verdict_of("CERT-CHAIN-001", facts, site, "registry").status is Status.PASS


def test_a_certificate_that_cannot_be_read_is_no_pass_and_no_crash() -> None:
    site, facts = h.healthy()
    blobs = h.Blobs()
    old: Any = facts.by_subject["registry"]  # type: ignore[index] # a subject's name
    tls = msgspec.structs.replace(old.tls, chain=(blobs.add(b"0\x03garbage"),))
    facts = h.with_facts(facts, "registry", blobs.held, tls=tls)
    for check in FAMILY:
        verdict = h.verdict_of(check, facts, site, "registry")
        assert "crashed" not in verdict.reason
        if check not in ("CERT-KEY-001", "CERT-KEY-002", "CERT-SERVED-002"):
            assert verdict.status is not Status.PASS, check


def test_names_of_the_releases_images_are_in_use() -> None:
    site, facts = h.healthy()
    old: Any = facts.by_subject["release"]  # type: ignore[index] # a subject's name
    workload = old.workloads.value[0]
    container = msgspec.structs.replace(
        workload.containers[0], image=f"{h.ADDRESS}/app:1", env_images={"X": "not an image"}
    )
    workloads = Present((msgspec.structs.replace(workload, containers=(container,)),))
    facts = h.with_facts(facts, "release", workloads=workloads)
    facts = h.served(facts, issue(by=h.ca(), san=("registry.local",)))
    verdict = h.verdict_of("CERT-SAN-001", facts, site, "registry")
    assert [finding.locus for finding in verdict.findings] == [h.ADDRESS]


def test_without_the_paths_of_the_pair_its_files_are_not_applicable() -> None:
    site = h.site(registry={**_registry(), "certificate": None})
    _, facts = h.healthy()
    verdict = h.verdict_of("CERT-KEY-001", facts, site, "registry")
    assert (verdict.status, "registry.certificate" in verdict.reason) == (
        Status.NOT_APPLICABLE,
        True,
    )


def test_a_clock_that_was_not_measured_is_not_shown() -> None:
    site, facts = h.healthy()
    facts = h.with_facts(
        h.served(facts, issue(by=h.ca(), days=5)), "registry", date=Absent("no Date header")
    )
    finding = h.verdict_of("CERT-LIFE-001", facts, site, "registry").findings[0]
    assert not any("clock" in each.label for each in finding.evidence)


def test_a_roots_own_signature_is_not_judged() -> None:
    assert judged("CERT-STRENGTH-001", issue(algorithm=hashes.SHA256())).status is Status.PASS


@pytest.mark.parametrize(
    ("extended", "expected"),
    [
        (None, Status.PASS),
        ((ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH), Status.PASS),
        ((ExtendedKeyUsageOID.CLIENT_AUTH,), Status.FAIL),
        ((ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), Status.FAIL),
    ],
)
def test_extended_usages_must_allow_a_server(extended: Any, expected: Status) -> None:
    assert judged("CERT-USAGE-001", issue(by=h.ca(), extended=extended)).status is expected


def test_a_key_usage_for_signing_certificates_breaks_openssl_only() -> None:
    verdict = judged("CERT-USAGE-001", issue(by=h.ca(), key_usage=usage(sign=True)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MAJOR)
    assert "Go clients accept it" in verdict.findings[0].consequence


def test_no_key_usage_at_all_is_allowed() -> None:
    assert judged("CERT-USAGE-001", issue(by=h.ca(), key_usage=None)).status is Status.PASS


def test_an_intermediate_for_clients_only_is_found() -> None:
    clients = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    inner = issue(by=h.ca(), common_name="Inner", san=None, is_ca=True, extended=clients)
    verdict = judged("CERT-USAGE-001", issue(by=inner), inner)
    assert [finding.locus for finding in verdict.findings] == ["served 1"]


def test_a_self_signed_ca_as_server_is_a_risk_and_nothing_else() -> None:
    both = issue(is_ca=True, key_usage=None)
    site, facts = trusting(both, chain=(both,))
    bad = [c for c in FAMILY if h.verdict_of(c, facts, site, "registry").status is not Status.PASS]
    assert bad == ["CERT-CA-001"]


def kind_of(site: Site, facts: FactSet) -> str:
    verdict = h.verdict_of("CERT-CHAIN-001", facts, site, "registry")
    assert verdict.status is Status.FAIL
    return verdict.findings[0].data["kind"]


def test_an_intermediate_that_is_not_sent_leaves_the_chain_incomplete() -> None:
    inner = issue(by=h.ca(), common_name="Inner CA", san=None, is_ca=True, extended=None)
    assert statuses(issue(by=inner)) == {"CERT-CHAIN-001": Status.FAIL}
    assert kind_of(*trusting(h.ca(), chain=(issue(by=inner),))) == "incomplete"
    assert statuses(issue(by=inner), inner) == {}


def test_a_ca_of_the_same_name_and_another_key_is_told_apart() -> None:
    old, new = authority("Same CA"), authority("Same CA")
    assert kind_of(*trusting(old, chain=(issue(by=new),))) == "same-name"


def test_a_chain_to_another_ca_is_named() -> None:
    other = h.other_ca()
    assert kind_of(*trusting(h.ca(), chain=(issue(by=other), other))) == "other-ca"


def test_an_issuer_that_is_no_ca_is_named() -> None:
    inner = issue(by=h.ca(), common_name="Inner", san=None, is_ca=False, extended=None)
    assert kind_of(*trusting(h.ca(), chain=(issue(by=inner), inner))) == "not-a-ca"


def test_a_ca_that_may_not_sign_for_the_name_is_named() -> None:
    limits = x509.NameConstraints([x509.DNSName("example.com")], None)
    root = authority("Limited CA", extra=((limits, True),))
    assert kind_of(*trusting(root, chain=(issue(by=root),))) == "constraint"


def test_a_ca_file_without_a_certificate_is_the_root_of_the_broken_chain() -> None:
    site, facts = h.healthy()
    facts = h.with_file(facts, "site", "ca.crt", h.ca().der)
    assert kind_of(site, facts) == "no-ca"
    roots = h.verdict_of("CERT-CHAIN-001", facts, site, "registry").root_causes
    assert [root.check for root in roots] == ["CERT-FILE-001"]


def test_the_leaf_alone_in_the_ca_file_is_a_warning() -> None:
    site, facts = trusting(h.leaf(), chain=(h.leaf(),))
    verdict = h.verdict_of("CERT-CHAIN-001", facts, site, "registry")
    assert verdict.status is Status.WARN


def test_a_wrong_name_does_not_hide_a_broken_chain() -> None:
    leaf = issue(by=h.other_ca(), san=("other.local",))
    assert statuses(leaf) == {"CERT-SAN-001": Status.FAIL, "CERT-CHAIN-001": Status.FAIL}


def test_an_unreadable_ca_file_is_an_error() -> None:
    site, facts = h.healthy()
    facts = h.with_file(facts, "site", "ca.crt", Unreadable("permission denied"))
    for check in ("CERT-CHAIN-001", "CERT-LIFE-001"):
        assert h.verdict_of(check, facts, site, "registry").status in (Status.ERROR, Status.BLOCKED)


def key_finding(facts: FactSet) -> str:
    site, _ = h.healthy()
    verdict = h.verdict_of("CERT-KEY-001", facts, site, "registry")
    assert verdict.status is Status.FAIL
    return verdict.findings[0].data["kind"]


def test_the_key_of_another_pair_is_a_mismatch() -> None:
    _, facts = h.healthy()
    assert key_finding(with_machine(facts, key_public_sha256=Present("0" * 64))) == "mismatch"


def test_an_intermediate_first_in_the_file_is_a_matter_of_order() -> None:
    _, facts = h.healthy()
    file, blobs = h.file_fact("/certs/registry.crt", h.ca().pem + h.leaf().pem)
    facts = msgspec.structs.replace(facts, blobs={**facts.blobs, **blobs})
    assert key_finding(with_machine(facts, certificate=file)) == "order"


def test_a_certificate_file_that_go_does_not_load_is_found() -> None:
    _, facts = h.healthy()
    file, blobs = h.file_fact("/certs/registry.crt", h.leaf().der)
    facts = msgspec.structs.replace(facts, blobs={**facts.blobs, **blobs})
    assert key_finding(with_machine(facts, certificate=file)) == "unloadable"


@pytest.mark.parametrize("part", ["certificate", "key"])
def test_an_absent_half_of_the_pair_is_found(part: str) -> None:
    _, facts = h.healthy()
    assert key_finding(with_machine(facts, **{part: Absent()})) == "absent"


@pytest.mark.parametrize("part", ["certificate", "key", "key_public_sha256"])
def test_an_unreadable_part_of_the_pair_is_an_error(part: str) -> None:
    site, facts = h.healthy()
    facts = with_machine(facts, **{part: Unreadable("permission denied")})
    verdict = h.verdict_of("CERT-KEY-001", facts, site, "registry")
    assert (verdict.status, "permission denied" in verdict.reason) == (Status.ERROR, True)


@pytest.mark.parametrize("check", ["CERT-KEY-001", "CERT-KEY-002", "CERT-SERVED-001"])
def test_without_a_target_the_files_are_not_applicable(check: str) -> None:
    site = h.site(registry={**_registry(), "target": None})
    _, facts = h.healthy()
    verdict = h.verdict_of(check, facts, site, "registry")
    assert (verdict.status, "registry.target" in verdict.reason) == (Status.NOT_APPLICABLE, True)


@pytest.mark.parametrize(
    ("mode", "gid", "expected"),
    [
        (0o600, 0, Status.PASS),
        (0o400, 0, Status.PASS),
        (0o640, 0, Status.FAIL),
        (0o640, 101, Status.PASS),
        (0o660, 101, Status.FAIL),
        (0o644, 101, Status.FAIL),
        (0o604, 0, Status.FAIL),
    ],
)
def test_the_key_file_is_for_its_owner_and_the_group_it_was_given_to(
    mode: int, gid: int, expected: Status
) -> None:
    site, facts = h.healthy()
    old: Any = facts.by_subject["registry"]  # type: ignore[index] # a subject's name
    key = msgspec.structs.replace(old.machine.value.key.value, mode=mode, gid=gid)
    facts = with_machine(facts, key=Present(key))
    assert h.verdict_of("CERT-KEY-002", facts, site, "registry").status is expected


def test_a_file_that_was_changed_and_not_loaded_waits_for_a_restart() -> None:
    site, facts = h.healthy()
    old: Any = facts.by_subject["registry"]  # type: ignore[index] # a subject's name
    wrong = issue(by=h.ca(), san=("other.local",))
    served = h.served(facts, wrong)
    new: Any = served.by_subject["registry"]  # type: ignore[index] # a subject's name
    facts = h.with_facts(served, "registry", machine=old.machine, tls=new.tls)
    assert h.verdict_of("CERT-SERVED-001", facts, site, "registry").status is Status.FAIL
    roots = h.verdict_of("CERT-SAN-001", facts, site, "registry").root_causes
    assert [root.check for root in roots] == ["CERT-SERVED-001"]


def test_an_empty_subject_is_no_defect() -> None:
    assert subject("") == x509.Name([])
    assert statuses(issue(by=h.ca(), common_name="")) == {"CERT-CN-001": Status.WARN}


def _registry() -> dict[str, Any]:
    return h.site().registry.model_dump()


def of_issuer(pem: bytes | Absent | Unreadable, *chain: Pair, **keys: Any) -> Verdict:
    """CERT-ISSUER-001 where the issuer's file holds `pem` and `chain` is served."""
    facts = h.with_file(h.served(h.healthy()[1], *chain), "site", "issuer.crt", pem)
    site = h.site(registry={**h.site().registry.model_dump(), **keys})
    return h.verdict_of("CERT-ISSUER-001", facts, site, "registry")


def test_a_certificate_of_another_ca_than_the_issuers_is_a_warning() -> None:
    found = of_issuer(authority("Next CA").pem, h.leaf())
    assert (found.status, found.severity) == (Status.WARN, Severity.MINOR)
    assert "CN=Next CA" in found.findings[0].problem


def test_a_certificate_below_an_intermediate_issuer_is_the_issuers() -> None:
    inner = issue(common_name="Inner", san=None, is_ca=True, extended=None, by=h.ca())
    assert of_issuer(inner.pem, issue(by=inner), inner).status is Status.PASS


def test_an_issuer_of_the_same_name_and_another_key_is_another_one() -> None:
    assert of_issuer(authority("Example Registry CA 2026").pem,
                     h.leaf()).status is Status.WARN  # fmt: skip


def test_an_issuer_that_ended_is_a_warning() -> None:
    ended = authority("Former", not_before=NOW - dt.timedelta(days=400), days=300)
    found = of_issuer(ended.pem, h.leaf())
    assert found.status is Status.WARN


def test_an_issuer_that_go_does_not_load_is_a_warning() -> None:
    found = of_issuer(b"no PEM", h.leaf())
    assert (found.status, found.findings[0].locus) == (Status.WARN, "issuer.crt")


def test_without_an_issuers_pair_nothing_is_asked() -> None:
    assert of_issuer(Absent(), h.leaf()).status is Status.NOT_APPLICABLE
    for issuer in (None, "external"):
        found = of_issuer(h.ca().pem, h.leaf(), issuer=issuer)
        assert found.status is Status.NOT_APPLICABLE


def test_an_issuer_that_was_not_read_is_an_error() -> None:
    found = of_issuer(Unreadable("permission denied"), h.leaf())
    assert (found.status, "permission denied" in found.reason) == (Status.ERROR, True)
