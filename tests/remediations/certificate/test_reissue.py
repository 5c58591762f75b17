"""What is planned for a certificate defect, over facts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from support import healthy as h
from support.certs import NOW, Pair, authority, guide_certificate, issue

from gapcheck.engine import Evaluation
from gapcheck.errors import CannotPlan
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import Absent, Clock, FactSet, Present, TlsFact, Unreadable
from gapcheck.model import CheckId, Finding, Status, SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.plan import (
    Change,
    IssueCertificate,
    Literal,
    Output,
    RestartContainer,
    RestartUnit,
    SetMode,
    Stage,
    SwitchCertificate,
    WriteFile,
)
from gapcheck.site import Site

REGISTRY = SubjectId("registry")


def planned(check: str, site: Site, facts: FactSet) -> list[Change]:
    """What the remedy of `check` plans for its findings."""
    evaluation = Evaluation(site, facts, catalogue(), now=NOW)
    verdict = evaluation.verdict(CheckId(check), REGISTRY)
    assert verdict.status in (Status.FAIL, Status.WARN)
    remedy = catalogue().remedies[CheckId(check)]
    view = evaluation.view(REGISTRY)
    return [change for finding in verdict.findings for change in remedy.plan(finding, view)]


def refused(check: str, site: Site, facts: FactSet) -> str:
    with pytest.raises(CannotPlan) as caught:
        planned(check, site, facts)
    return caught.value.reason


def site_with(**keys: Any) -> Site:
    return h.site(registry={**h.site().registry.model_dump(), **keys})


def guides_site() -> tuple[Site, FactSet]:
    """The guide as written: its own certificate is served and trusted, no issuer exists yet."""
    site, facts = h.healthy()
    guide = guide_certificate()
    facts = h.served(h.with_file(facts, "site", "ca.crt", guide.pem), guide)
    return site, h.with_file(facts, "site", "issuer.crt", Absent())


def serving(*chain: Pair, **site_keys: Any) -> tuple[Site, FactSet]:
    _, facts = h.healthy()
    return site_with(**site_keys), h.served(facts, *chain)


def with_machine(facts: FactSet, **changes: Any) -> FactSet:
    old: Any = facts.by_subject[REGISTRY]
    machine = msgspec.structs.replace(old.machine.value, **changes)
    return h.with_facts(facts, "registry", machine=Present(machine))


def test_the_guides_certificate_is_replaced_by_one_of_a_new_ca() -> None:
    site, facts = guides_site()
    issued, ca_file, switch, restart = planned("CERT-SAN-001", site, facts)
    assert isinstance(issued, IssueCertificate)
    assert issued == IssueCertificate(
        target=REGISTRY,
        certificate_path="/certs/registry.crt",
        key_path="/certs/registry.key",
        names=("registry.local",),
        addresses=(),
        days=365,
        issuer_certificate="issuer.crt",
        issuer_key="issuer.key",
        not_before="2026-06-15T11:00:00+00:00",
    )
    old: Any = facts.by_subject[SubjectId("site")]
    assert ca_file == WriteFile(
        target=SubjectId("site"),
        path="ca.crt",
        before_sha256=old.files["ca.crt"].value.sha256,
        content=Output(issued.id, "ca.crt"),
    )
    machine: Any = facts.by_subject[REGISTRY]
    assert switch == SwitchCertificate(
        target=REGISTRY,
        issue=issued.id,
        certificate_path="/certs/registry.crt",
        key_path="/certs/registry.key",
        certificate_before_sha256=machine.machine.value.certificate.value.sha256,
        key_before_sha256="0" * 64,
    )
    assert restart == RestartContainer(target=REGISTRY, name="registry")


def test_several_findings_of_a_round_plan_equal_changes() -> None:
    site, facts = guides_site()
    names = [change.id for change in planned("CERT-SAN-001", site, facts)]
    assert [change.id for change in planned("CERT-CA-001", site, facts)] == names


def test_an_issuer_that_exists_is_added_beside_what_the_ca_file_holds() -> None:
    site, facts = guides_site()
    facts = h.with_file(facts, "site", "issuer.crt", h.ca().pem)
    _, ca_file, *_ = planned("CERT-SAN-001", site, facts)
    assert isinstance(ca_file, WriteFile)
    assert isinstance(ca_file.content, Literal)
    held = [cert.common_name for cert in pki.certificates(ca_file.content.data)]
    assert held == ["registry.local", "Example Registry CA 2026"]


def test_an_issuer_that_clients_trust_already_leaves_the_ca_file_alone() -> None:
    site, facts = serving(issue(by=h.ca(), san=("other.local",)))
    kinds = [type(change) for change in planned("CERT-SAN-001", site, facts)]
    assert kinds == [IssueCertificate, SwitchCertificate, RestartContainer]


def test_names_that_are_served_today_are_kept_and_addresses_become_addresses() -> None:
    site, facts = serving(issue(by=h.ca(), san=("other.local", "10.9.9.9")))
    issued = planned("CERT-SAN-001", site, facts)[0]
    assert isinstance(issued, IssueCertificate)
    assert issued.names == ("registry.local", "other.local")
    assert issued.addresses == ("10.9.9.9",)


def test_an_address_in_use_is_among_the_names() -> None:
    site, facts = serving(issue(by=h.ca(), san=("registry.local",)), images=(f"{h.ADDRESS}/app:1",))
    issued = planned("CERT-SAN-001", site, facts)[0]
    assert isinstance(issued, IssueCertificate)
    assert issued.addresses == (h.ADDRESS,)


@pytest.mark.parametrize(
    ("reload", "last"),
    [
        ("none", SwitchCertificate),
        ("container", RestartContainer),
        ("unit:docker-registry", RestartUnit),
    ],
)
def test_the_registry_is_restarted_as_the_site_says(reload: str, last: type) -> None:
    _, facts = guides_site()
    assert type(planned("CERT-SAN-001", site_with(reload=reload), facts)[-1]) is last


def test_an_external_issuer_is_asked_and_nothing_is_issued() -> None:
    _, facts = guides_site()
    reason = refused("CERT-SAN-001", site_with(issuer="external"), facts)
    assert "openssl req -new" in reason
    assert "subjectAltName=DNS:registry.local" in reason


@pytest.mark.parametrize("missing", ["issuer", "target", "certificate"])
def test_a_site_that_lacks_a_key_is_told_which_to_add(missing: str) -> None:
    _, facts = guides_site()
    assert "issuer: {certificate" in refused("CERT-SAN-001", site_with(**{missing: None}), facts)


def test_a_renewal_by_the_trusted_ca_needs_nothing_of_the_nodes() -> None:
    site, facts = serving(issue(by=h.ca(), days=15))
    kinds = [type(change) for change in planned("CERT-LIFE-002", site, facts)]
    assert kinds == [IssueCertificate, SwitchCertificate, RestartContainer]


def test_a_new_ca_is_not_switched_to_while_clients_work_by_the_old_one() -> None:
    site, facts = serving(issue(by=h.ca(), days=15))
    absent = h.with_file(facts, "site", "issuer.crt", Absent())
    assert "must reach all of them first" in refused("CERT-LIFE-002", site, absent)
    other = h.with_file(facts, "site", "issuer.crt", authority("Next CA").pem)
    reason = refused("CERT-LIFE-002", site, other)
    assert "node/debian" in reason
    assert "node/rhel" in reason
    assert "secret local-registry-cert" in reason


def everywhere(coming: Pair, *chain: Pair) -> tuple[Site, FactSet]:
    """The bundle of each node, the secret and the CA file hold both CAs; `chain` is served."""
    both = h.ca().pem + coming.pem
    site, facts = serving(*chain)
    facts = h.with_file(facts, "site", "issuer.crt", coming.pem)
    facts = h.with_file(facts, "site", "ca.crt", both)
    for node, bundle in (
        ("debian", "/etc/ssl/certs/ca-certificates.crt"),
        ("rhel", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
        ("rhel", "/etc/pki/tls/certs/ca-bundle.crt"),
    ):
        facts = h.with_file(facts, f"node/{node}", bundle, both)
    release: Any = facts.by_subject[SubjectId("release")]
    blobs = h.Blobs()
    secret = release.secrets.value[0]
    key = msgspec.structs.replace(secret.keys[0], blob=blobs.add(both))
    secrets = Present((msgspec.structs.replace(secret, keys=(key,)),))
    return site, h.with_facts(facts, "release", blobs.held, secrets=secrets)


def test_a_new_ca_that_all_clients_hold_may_be_switched_to() -> None:
    site, facts = everywhere(authority("Next CA"), issue(by=h.ca(), days=15))
    kinds = [type(change) for change in planned("CERT-LIFE-002", site, facts)]
    assert kinds == [IssueCertificate, SwitchCertificate, RestartContainer]


def test_a_certificate_of_the_former_ca_is_exchanged_once_all_clients_hold_the_new_one() -> None:
    coming = authority("Next CA")
    site, facts = everywhere(coming, h.leaf())
    kinds = [type(change) for change in planned("CERT-ISSUER-001", site, facts)]
    assert kinds == [IssueCertificate, SwitchCertificate, RestartContainer]
    early = h.with_file(h.healthy()[1], "site", "issuer.crt", coming.pem)
    assert "NODE-TRUST-008" in refused("CERT-ISSUER-001", site, early)


def test_an_issuer_that_go_does_not_load_is_to_be_brought_again() -> None:
    site, facts = h.healthy()
    facts = h.with_file(facts, "site", "issuer.crt", b"no PEM")
    assert "issuer.crt again" in refused("CERT-ISSUER-001", site, facts)


def test_a_broken_ca_file_is_left_to_its_own_remedy_first() -> None:
    site, facts = guides_site()
    facts = h.with_file(facts, "site", "ca.crt", guide_certificate().der)
    assert "CERT-FILE-001" in refused("CERT-SAN-001", site, facts)


def test_other_cas_of_the_ca_file_are_never_dropped() -> None:
    site, facts = guides_site()
    old: Any = facts.by_subject[SubjectId("site")]
    pem = facts.blobs[old.files["ca.crt"].value.blob] + h.other_ca().pem
    facts = h.with_file(facts, "site", "ca.crt", pem)
    assert "CN=Some Public Root" in refused("CERT-SAN-001", site, facts)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (issue(common_name="no ca"), "is no CA"),
        (authority("Old CA", days=5), "is not valid any more"),
        (authority("Short CA", days=20), "renewal window"),
    ],
    ids=["no-ca", "expired", "short"],
)
def test_an_issuer_that_cannot_sign_is_refused(pair: Pair, words: str) -> None:
    site, facts = guides_site()
    assert words in refused(
        "CERT-SAN-001", site, h.with_file(facts, "site", "issuer.crt", pair.pem)
    )


def test_a_leaf_does_not_outlive_its_ca() -> None:
    site, facts = guides_site()
    facts = h.with_file(facts, "site", "issuer.crt", authority("CA", days=110).pem)
    issued = planned("CERT-SAN-001", site, facts)[0]
    assert isinstance(issued, IssueCertificate)
    assert issued.days == 100


def test_a_pending_restart_comes_before_a_new_certificate() -> None:
    site, facts = guides_site()
    file, blobs = h.file_fact("/certs/registry.crt", h.leaf().pem)
    facts = msgspec.structs.replace(facts, blobs={**facts.blobs, **blobs})
    facts = with_machine(facts, certificate=file)
    assert "restarted first" in refused("CERT-SAN-001", site, facts)


def test_an_unmeasured_file_is_not_written_over() -> None:
    site, facts = guides_site()
    facts = with_machine(facts, key=Unreadable("permission denied"))
    assert "permission denied" in refused("CERT-SAN-001", site, facts)


def test_a_certificate_from_the_future_waits_for_the_clocks() -> None:
    site, facts = serving(issue(by=h.ca(), not_before=NOW.replace(hour=14)))
    at = NOW.timestamp()
    ahead = Present(Clock(remote=at + 7200, sent=at, received=at))
    facts_ahead = h.with_facts(facts, "registry", date=ahead)
    assert "differ by +7200 s" in refused("CERT-LIFE-001", site, facts_ahead)
    assert isinstance(planned("CERT-LIFE-001", site, facts)[0], IssueCertificate)


def test_a_known_signer_is_given_to_clients_and_nothing_is_reissued() -> None:
    """A CA made anew under its old name: clients hold the old one."""
    old = authority("Example Registry CA 2026")
    site, facts = h.healthy()
    facts = h.with_file(facts, "site", "ca.crt", old.pem)
    (change,) = planned("CERT-CHAIN-001", site, facts)
    assert isinstance(change, WriteFile)
    assert isinstance(change.content, Literal)
    assert pki.fingerprints(change.content.data) == {
        pki.fingerprint(old.der),
        pki.fingerprint(h.ca().der),
    }
    repaired = h.with_file(facts, "site", "ca.crt", change.content.data)
    assert h.verdict_of("CERT-CHAIN-001", repaired, site, "registry").status is Status.PASS


def test_a_chain_without_its_intermediate_is_replaced() -> None:
    inner = issue(by=h.ca(), common_name="Inner CA", san=None, is_ca=True, extended=None)
    site, facts = serving(issue(by=inner))
    assert isinstance(planned("CERT-CHAIN-001", site, facts)[0], IssueCertificate)


def test_an_issuer_that_is_no_ca_is_left_to_a_person() -> None:
    inner = issue(by=h.ca(), common_name="Inner", san=None, is_ca=False, extended=None)
    assert "the CA itself is unfit" in refused("CERT-CHAIN-001", *serving(issue(by=inner), inner))


def test_the_keys_certificate_is_written_first() -> None:
    site, facts = h.healthy()
    file, blobs = h.file_fact("/certs/registry.crt", h.ca().pem + h.leaf().pem, mode=0o640)
    facts = msgspec.structs.replace(facts, blobs={**facts.blobs, **blobs})
    facts = with_machine(facts, certificate=file)
    written, restart = planned("CERT-KEY-001", site, facts)
    assert isinstance(written, WriteFile)
    assert (written.target, written.stage, written.mode) == (REGISTRY, Stage.LEAF, 0o640)
    assert written.content == Literal(h.leaf().pem + h.ca().pem)
    assert isinstance(restart, RestartContainer)


def test_a_key_that_fits_nothing_is_replaced_with_its_certificate() -> None:
    site, facts = h.healthy()
    facts = with_machine(facts, key_public_sha256=Present("0" * 64))
    assert isinstance(planned("CERT-KEY-001", site, facts)[0], IssueCertificate)


@pytest.mark.parametrize(("mode", "gid", "wanted"), [(0o644, 0, 0o600), (0o644, 101, 0o640)])
def test_a_key_file_loses_the_rights_of_others(mode: int, gid: int, wanted: int) -> None:
    site, facts = h.healthy()
    old: Any = facts.by_subject[REGISTRY]
    key = msgspec.structs.replace(old.machine.value.key.value, mode=mode, gid=gid)
    facts = with_machine(facts, key=Present(key))
    (change,) = planned("CERT-KEY-002", site, facts)
    assert change == SetMode(
        target=REGISTRY,
        path="/certs/registry.key",
        before_sha256="0" * 64,
        mode=wanted,
        before_mode=mode,
    )
    done = with_machine(facts, key=Present(msgspec.structs.replace(key, mode=wanted)))
    assert h.verdict_of("CERT-KEY-002", done, site, "registry").status is Status.PASS


@pytest.mark.parametrize("check", ["CERT-STRENGTH-001", "CERT-USAGE-001"])
def test_a_weak_or_misused_certificate_is_replaced(check: str) -> None:
    clients = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what the check must find
    site, facts = serving(issue(by=h.ca(), key=weak, extended=clients))
    assert isinstance(planned(check, site, facts)[0], IssueCertificate)


def test_a_container_to_restart_must_be_named() -> None:
    _, facts = guides_site()
    assert "registry.container" in refused("CERT-SAN-001", site_with(container=None), facts)


def test_an_issuer_file_without_a_certificate_is_refused() -> None:
    site, facts = guides_site()
    facts = h.with_file(facts, "site", "issuer.crt", b"nothing")
    assert "no certificate that Go loads" in refused("CERT-SAN-001", site, facts)


def test_what_was_not_measured_does_not_count_as_trusting() -> None:
    site, facts = serving(issue(by=h.ca(), days=15))
    facts = h.with_file(facts, "site", "issuer.crt", authority("Next CA").pem)
    facts = h.with_facts(facts, "release", secrets=Unreadable("forbidden"))
    left = {k: v for k, v in facts.by_subject.items() if k != "node/rhel"}
    reason = refused("CERT-LIFE-002", site, msgspec.structs.replace(facts, by_subject=left))
    assert "node/rhel (not measured)" in reason
    assert "secret local-registry-cert (not measured)" in reason


def test_a_registry_that_serves_nothing_gets_a_pair_for_the_names_in_use() -> None:
    site, facts = h.healthy()
    facts = with_machine(facts, key_public_sha256=Present("0" * 64))
    facts = h.with_facts(facts, "registry", tls=TlsFact(host=h.HOST, port=443, stage="connect"))
    issued = planned("CERT-KEY-001", site, facts)[0]
    assert isinstance(issued, IssueCertificate)
    assert issued.names == ("registry.local",)


def test_a_chain_of_a_site_without_an_issuer_is_left_to_a_person() -> None:
    inner = issue(by=h.ca(), common_name="Inner CA", san=None, is_ca=True, extended=None)
    assert "issuer" in refused("CERT-CHAIN-001", *serving(issue(by=inner), issuer=None))


def test_a_leaf_in_the_ca_file_is_left_to_a_person() -> None:
    site, facts = h.healthy()
    view = Evaluation(site, facts, catalogue(), now=NOW).view(REGISTRY)
    finding = Finding(problem="the leaf alone", data={"kind": "leaf"})
    with pytest.raises(CannotPlan, match="give clients the CA"):
        list(catalogue().remedies[CheckId("CERT-CHAIN-001")].plan(finding, view))


def test_an_issuer_that_is_to_be_made_does_not_stand_for_the_signer() -> None:
    other = h.other_ca()
    site, facts = serving(issue(by=other), target="ssh://root@registry.local")
    facts = h.with_file(facts, "site", "issuer.crt", Absent())
    assert "also holds CN=Example Registry CA" in refused("CERT-CHAIN-001", site, facts)


def test_a_pending_restart_is_a_restart() -> None:
    _, facts = h.healthy()
    old: Any = facts.by_subject[REGISTRY]
    renewed = h.served(facts, issue(by=h.ca()))
    facts = h.with_facts(renewed, "registry", machine=old.machine)
    assert planned("CERT-SERVED-001", site_with(), facts) == [
        RestartContainer(target=REGISTRY, name="registry")
    ]
    assert "reload" in refused("CERT-SERVED-001", site_with(reload="none"), facts)


def test_a_ca_that_ends_soon_is_left_to_a_person() -> None:
    site, facts = h.healthy()
    view = Evaluation(site, facts, catalogue(), now=NOW).view(REGISTRY)
    finding = Finding(problem="the CA expires", data={"kind": "ca"})
    with pytest.raises(CannotPlan, match="the CA itself ends"):
        list(catalogue().remedies[CheckId("CERT-LIFE-002")].plan(finding, view))


def test_what_was_reissued_passes_so_that_a_second_round_plans_nothing() -> None:
    """The state after the changes: a leaf of the issuer, its CA in the CA file."""
    site, facts = guides_site()
    issued = planned("CERT-SAN-001", site, facts)[0]
    assert isinstance(issued, IssueCertificate)
    ca = authority("New CA")
    leaf = issue(by=ca, san=(*issued.names, *issued.addresses), days=issued.days)
    done = h.served(h.with_file(facts, "site", "ca.crt", ca.pem), leaf)
    done = h.with_file(done, "site", "issuer.crt", ca.pem)
    for check in catalogue().checks:
        if check.startswith("CERT-"):
            subject = "site" if check == "CERT-FILE-001" else "registry"
            assert h.verdict_of(check, done, site, subject).status is Status.PASS, check
