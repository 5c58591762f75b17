"""Makes the CA and the registry's certificate. Keys are made in memory and never written here."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gapcheck.errors import RepairRefused
from gapcheck.remediations.plan import IssueCertificate

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

_CA_DAYS = 3650
_BACKDATE = dt.timedelta(hours=1)
_MOST_CN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A certificate (PEM) and its private key (PEM), which no repr shows."""

    certificate: bytes
    key: bytes = field(repr=False)


def make_ca(host: str, *, now: dt.datetime) -> Made:
    """A new root for `host`, with a subject of its own generation."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A subject of its own: two roots of one name make clients pick the wrong one.
    name = _name(f"{host[:30]} registry CA {now:%Y-%m-%d} {serial & 0xFFFFFFFF:08x}")
    builder = _builder(key, name, name, serial=serial, now=now, days=_CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(ca=True), critical=True)
    return _made(builder, key, key)


def make_leaf(request: IssueCertificate, issuer: Made, *, now: dt.datetime) -> Made:
    """A certificate for the names of `request`, signed by `issuer`, which it never outlives."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    ca, ca_key = _load(request, issuer, now)
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(each) for each in request.names]
    names += [x509.IPAddress(ipaddress.ip_address(each)) for each in request.addresses]
    common = next((each for each in request.names if len(each) <= _MOST_CN), "")
    days = min(request.days, (ca.not_valid_after_utc - now).days)
    if days < 1:
        raise RepairRefused(str(request.target), "the issuing CA ends within a day")
    builder = _builder(
        key, _name(common), ca.subject, serial=x509.random_serial_number(), now=now, days=days
    )
    for extension, critical in (
        (x509.SubjectAlternativeName(names), not common),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(ca=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_authority_id(ca), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return _made(builder, key, ca_key)


def make_csr(names: tuple[str, ...], addresses: tuple[str, ...]) -> Made:
    """A request for a certificate of these names, for a CA that is not ours, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    general: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    general += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
    common = next((each for each in names if len(each) <= _MOST_CN), "")
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_name(common))
        .add_extension(x509.SubjectAlternativeName(general), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Made(certificate=request.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))


def _load(
    request: IssueCertificate, issuer: Made, now: dt.datetime
) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    where = f"the issuer {request.issuer_certificate}"
    try:
        ca = x509.load_pem_x509_certificate(issuer.certificate)
        key = serialization.load_pem_private_key(issuer.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as bad:
        raise RepairRefused(str(request.target), f"{where} and its key are not usable PEM") from bad
    if ca.public_key() != key.public_key():
        raise RepairRefused(str(request.target), f"{where} does not match {request.issuer_key}")
    try:
        basic = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = x509.BasicConstraints(ca=False, path_length=None)
    if not basic.ca or not ca.not_valid_before_utc <= now <= ca.not_valid_after_utc:
        raise RepairRefused(str(request.target), f"{where} is no CA that is valid now")
    return ca, key  # type: ignore[return-value] # a key that matches a CA certificate can sign


def _builder(
    key: EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    *,
    serial: int,
    now: dt.datetime,
    days: int,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_id(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    from cryptography import x509

    try:
        own = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())  # type: ignore[arg-type] # a CA's key signs
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])


def _usage(*, ca: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _made(
    builder: x509.CertificateBuilder,
    key: EllipticCurvePrivateKey,
    signer: CertificateIssuerPrivateKeyTypes,
) -> Made:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    hashed = None  # Ed25519 and Ed448 hash by themselves
    if isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        hashed = hashes.SHA256()
    certificate = builder.sign(signer, hashed)
    return Made(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
