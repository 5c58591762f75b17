"""Throw-away certificates for tests, as wrong as a test wants them. Keys live in memory only."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = dt.datetime(2026, 6, 15, 12, 0, tzinfo=dt.UTC)
_UNSET: Any = object()


def subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def usage(*, sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=sign, crl_sign=sign,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


@dataclass(kw_only=True)
class Pair:
    """A certificate with its private key; `issuer` None = self-signed."""

    cert: x509.Certificate
    key: Any
    issuer: Pair | None = None

    @property
    def der(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@dataclass(kw_only=True)
class Request:
    """What to put in; change one field to make one thing wrong. `san` None = no extension."""

    common_name: str = "registry.local"
    san: tuple[str, ...] | None = ("registry.local", "10.0.0.2")
    days: float = 300
    not_before: dt.datetime = NOW - dt.timedelta(days=10)
    is_ca: bool | None = False
    path_length: int | None = None
    key_usage: x509.KeyUsage | None = _UNSET
    extended: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.SERVER_AUTH,)
    key: Any = None
    algorithm: Any = field(default_factory=hashes.SHA256)
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()


def _names(san: tuple[str, ...]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for text in san:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            names.append(x509.DNSName(text))
    return x509.SubjectAlternativeName(names)


def issue(request: Request | None = None, by: Pair | None = None, **changes: Any) -> Pair:
    """A certificate of `request` with `changes`, signed by `by`, or by itself."""
    wanted = request or Request()
    for name, value in changes.items():
        if not hasattr(wanted, name):
            raise AttributeError(name)
        setattr(wanted, name, value)
    key = wanted.key or ec.generate_private_key(ec.SECP256R1())
    signer = by.key if by else key
    issuer = by.cert.subject if by else subject(wanted.common_name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(wanted.common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(wanted.not_before)
        .not_valid_after(wanted.not_before + dt.timedelta(days=wanted.days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if wanted.san is not None:
        builder = builder.add_extension(_names(wanted.san), critical=False)
    if wanted.is_ca is not None:
        length = wanted.path_length if wanted.is_ca else None
        builder = builder.add_extension(x509.BasicConstraints(wanted.is_ca, length), critical=True)
    ku = usage(sign=bool(wanted.is_ca)) if wanted.key_usage is _UNSET else wanted.key_usage
    if ku is not None:
        builder = builder.add_extension(ku, critical=True)
    if wanted.extended is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(wanted.extended), critical=False)
    for extension, critical in wanted.extra:
        builder = builder.add_extension(extension, critical=critical)
    return Pair(cert=builder.sign(signer, wanted.algorithm), key=key, issuer=by)


def authority(common_name: str = "Example Root", **changes: Any) -> Pair:
    """A root CA that lives ten years."""
    wanted = Request(common_name=common_name, san=None, days=3650, is_ca=True, extended=None)
    return issue(wanted, **changes)


def guide_certificate(host: str = "registry.local") -> Pair:
    """What the guide's openssl command makes: self-signed, CN only, CA:TRUE, no usages."""
    return issue(common_name=host, san=None, days=365, is_ca=True, key_usage=None, extended=None)
