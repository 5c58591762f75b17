"""What is issued is what a Go client accepts for every name, and is never asked to do more."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from support.certs import NOW, authority, issue

from gapcheck.errors import RepairRefused
from gapcheck.fixtures import pki
from gapcheck.fixtures.gotls.verdict import judge_chain
from gapcheck.model import REGISTRY
from gapcheck.remediations.issue import Made, make_ca, make_csr, make_leaf
from gapcheck.remediations.plan import IssueCertificate

WANTED = IssueCertificate(
    target=REGISTRY, certificate_path="/c", key_path="/k", names=("registry.local",),
    addresses=("10.0.0.2", "2001:db8::2"), days=365, issuer_certificate="ca.crt",
    issuer_key="ca.key", not_before="",
)  # fmt: skip


def leaf_by(issuer: Made, **changes: Any) -> x509.Certificate:
    made = make_leaf(msgspec.structs.replace(WANTED, **changes), issuer, now=NOW)
    return x509.load_pem_x509_certificate(made.certificate)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("host", ["registry.local", "10.0.0.2", "2001:db8::2"])
def test_go_accepts_the_leaf_for_every_name(host: str) -> None:
    ca = make_ca("registry.local", now=NOW)
    leaf = leaf_by(ca)

    verdict = judge_chain((der(leaf),), roots=pki.pool(ca.certificate), host=host, now=NOW)

    assert verdict.ok, verdict


def test_the_leaf_is_no_ca_and_its_ca_signs_leaves_alone() -> None:
    ca = make_ca("registry.local", now=NOW)
    leaf = pki.read_certificate(der(leaf_by(ca)))
    root = pki.certificates(ca.certificate)[0]

    assert (leaf.is_ca, leaf.key_usage, leaf.extended_usage) == (
        False, frozenset({"digitalSignature"}), frozenset({"1.3.6.1.5.5.7.3.1"}),
    )  # fmt: skip
    assert (root.is_ca, root.path_length) == (True, 0)
    assert root.key_usage == frozenset({"keyCertSign", "cRLSign"})
    assert leaf.authority_key_id == root.subject_key_id
    assert leaf.not_before == NOW - dt.timedelta(hours=1)


def test_two_cas_of_one_host_have_different_subjects() -> None:
    first, second = (make_ca("r", now=NOW).certificate for _ in range(2))

    assert pki.certificates(first)[0].subject != pki.certificates(second)[0].subject


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()],
    ids=["RSA", "Ed25519"],
)
def test_a_ca_of_another_key_type_signs_as_well(key: Any) -> None:
    own_hash = isinstance(key, ed25519.Ed25519PrivateKey)
    pair = authority("CA", key=key, **({"algorithm": None} if own_hash else {}))
    leaf = leaf_by(Made(certificate=pair.pem, key=pair.key_pem))

    leaf.verify_directly_issued_by(pair.cert)


def test_a_leaf_never_outlives_its_ca() -> None:
    pair = authority("CA", days=30, not_before=NOW)

    leaf = leaf_by(Made(certificate=pair.pem, key=pair.key_pem))

    assert leaf.not_valid_after_utc <= pair.cert.not_valid_after_utc


def test_a_name_too_long_for_a_common_name_stands_in_the_names_alone() -> None:
    name = ".".join(["x" * 30] * 3)
    leaf = leaf_by(make_ca(name, now=NOW), names=(name,))

    assert pki.read_certificate(der(leaf)).common_name == ""
    assert pki.read_certificate(der(leaf)).dns_names == (name,)


@pytest.mark.parametrize(
    ("issuer", "why"),
    [
        (Made(certificate=b"x", key=b"y"), "not usable PEM"),
        (Made(certificate=authority("A").pem, key=authority("B").key_pem), "does not match"),
        (Made(certificate=issue().pem, key=b""), "not usable PEM"),
    ],
    ids=["rubbish", "other key", "no key"],
)
def test_an_issuer_that_cannot_sign_is_refused(issuer: Made, why: str) -> None:
    with pytest.raises(RepairRefused, match=why):
        leaf_by(issuer)


@pytest.mark.parametrize(
    "pair",
    [issue(), authority("Old", not_before=NOW - dt.timedelta(days=9), days=1)],
    ids=["no CA", "expired"],
)
def test_an_issuer_that_is_no_valid_ca_is_refused(pair: Any) -> None:
    with pytest.raises(RepairRefused, match="no CA that is valid now"):
        leaf_by(Made(certificate=pair.pem, key=pair.key_pem))


def test_a_request_for_another_ca_holds_every_name_and_a_good_signature() -> None:
    made = make_csr(("registry.local",), ("10.0.0.2",))

    request = x509.load_pem_x509_csr(made.certificate)

    assert request.is_signature_valid
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["registry.local"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.2"]


def test_a_key_is_in_no_repr() -> None:
    assert "PRIVATE" not in repr(make_ca("r", now=NOW))
