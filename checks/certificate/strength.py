"""Whether keys and signatures of the served chain are strong enough for every client."""

from __future__ import annotations

from gapcheck.checks.certificate.names import RESTART_PENDING
from gapcheck.fixtures.pki import Cert
from gapcheck.fixtures.served import measured_at, served_certificates
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_MIN_RSA, _MAX_RSA, _MIN_EC = 2048, 8192, 224
_WEAK_HASHES = frozenset({"md2", "md4", "md5", "sha1"})


@check(
    "CERT-STRENGTH-001",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    after=("CERT-SERVED-002",),
    source=Source(step=1, fault=("C13", "C14")),
)
def keys_and_signatures_are_strong(view: RegistryView) -> Judgement:
    """Keys have 2048 to 8192 bits (RSA) or 224 and more (EC); no signature is by MD5 or SHA-1.

    A root's signature of itself is not judged: no client reads it.
    """
    for place, cert in enumerate(served_certificates(view)):
        size = f" {cert.key_bits} bits" if cert.key_bits else ""
        seen = Evidence(
            f"served {place}",
            f"{cert.key_type}{size}, signed by {cert.signature_hash or 'its key type'}",
            measured_at(view),
        )
        yield seen
        for problem, consequence in (_key(cert), _signature(cert)):
            if problem:
                yield Finding(
                    problem=f"{cert.subject or 'the certificate'}: {problem}",
                    evidence=(seen,),
                    consequence=consequence,
                    remedy_hint="issue it again with a P-256 or RSA-3072 key, signed by SHA-256",
                    locus=f"served {place}",
                    because=RESTART_PENDING,
                )


def _key(cert: Cert) -> tuple[str, str]:
    if cert.key_type == "RSA" and cert.key_bits < _MIN_RSA:
        return (
            f"the RSA key has {cert.key_bits} bits, {_MIN_RSA} are needed",
            "curl, Python and openssl fail: key too weak (66); below 1024 bits Go clients fail too",
        )
    if cert.key_type == "RSA" and cert.key_bits > _MAX_RSA:
        return (
            f"the RSA key has {cert.key_bits} bits, Go takes up to {_MAX_RSA}",
            f"Go clients fail: certificate containing RSA key larger than {_MAX_RSA} bits",
        )
    if cert.key_type == "DSA":
        return (
            "the key is a DSA key",
            "Go clients fail: server's certificate contains an unsupported type of public key",
        )
    if cert.key_type.startswith("EC ") and cert.key_bits < _MIN_EC:
        return (
            f"the EC key has {cert.key_bits} bits, {_MIN_EC} are needed",
            "Go clients do not know the curve; openssl fails: key too weak (66)",
        )
    return "", ""


def _signature(cert: Cert) -> tuple[str, str]:
    if cert.self_issued or cert.signature_hash not in _WEAK_HASHES:
        return "", ""
    consequence = (
        "Go clients fail: x509: certificate signed by unknown authority (possibly because of "
        '"x509: cannot verify signature: insecure algorithm"); openssl fails too (68)'
    )
    return f"it is signed by {cert.signature_hash.upper()}", consequence
