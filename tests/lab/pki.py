"""Certificates of the control plane: one CA, and a pair for each party."""

from __future__ import annotations

import datetime as dt
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from support.certs import Pair


def yesterday() -> dt.datetime:
    """When the lab's certificates begin."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def party(ca: Pair, common_name: str, *, group: str = "", names: tuple[str, ...] = ()) -> Pair:
    """A pair for a client or server of the control plane; Kubernetes reads `group` from O."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if group:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    begins = yesterday()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(parts))
        .issuer_name(ca.cert.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
    )
    if names:
        known = x509.SubjectAlternativeName([_name(each) for each in names])
        builder = builder.add_extension(known, critical=False)
    return Pair(cert=builder.sign(ca.key, hashes.SHA256()), key=key, issuer=ca)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
