"""Whether the registry's certificate and key are a pair, and whether the key is kept."""

from __future__ import annotations

from gapcheck.fixtures.facts import measured, require
from gapcheck.fixtures.pki import Cert
from gapcheck.fixtures.served import certificate_file, file_certificates, machine
from gapcheck.model import REGISTRY, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_OTHERS = 0o077
_GROUP_READ = 0o040


@check(
    "CERT-KEY-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    source=Source(step=1, fault=("C08", "C09")),
)
def key_belongs_to_the_certificate(view: RegistryView) -> Judgement:
    """The registry's key is that of the first certificate in its certificate file."""
    file = certificate_file(view)
    path, key_path = view.site.registry.certificate or "", view.site.registry.key or ""
    key = measured(machine(view).key, "the registry's key file", REGISTRY)
    if file is None or key is None:
        absent = path if file is None else key_path
        yield _finding("absent", f"{absent} is not there", f"open {absent}: no such file", path)
        return
    certs = file_certificates(view)
    if not certs:
        text = "tls: failed to find any PEM data in certificate input"
        yield _finding("unloadable", f"Go loads no certificate from {path}", text, path)
        return
    public = require(machine(view).key_public_sha256, "the key's public part", REGISTRY)
    yield Evidence("public key of the certificate", certs[0].public_key_sha256[:16], path)
    yield Evidence("public key of the key file", public[:16], key_path)
    if certs[0].public_key_sha256 != public:
        yield _mismatch(certs, public, path, key_path)


def _mismatch(certs: tuple[Cert, ...], public: str, path: str, key_path: str) -> Finding:
    text = "tls: private key does not match public key"
    later = [cert for cert in certs[1:] if cert.public_key_sha256 == public]
    if later:
        problem = f"{path} begins with {certs[0].named}; the key's certificate comes later in it"
        return _finding("order", problem, text, path)
    problem = f"{key_path} is not the key of any certificate in {path}"
    return _finding("mismatch", problem, text, path)


def _finding(kind: str, problem: str, text: str, path: str) -> Finding:
    hints = {"order": "write the key's certificate first, the intermediates after it"}
    return Finding(
        problem=problem,
        consequence=f"the registry ends at its next start: {text}",
        remedy_hint=hints.get(kind, "put the right pair there, or issue a new one"),
        locus=path,
        data={"kind": kind},
    )


@check(
    "CERT-KEY-002",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    source=Source(step=1, fault=("C24",)),
)
def key_file_is_private(view: RegistryView) -> Judgement:
    """The key file is readable by its owner alone, or also by the group it was given to."""
    certificate_file(view)
    key = require(machine(view).key, "the registry's key file", REGISTRY)
    yield Evidence("mode", f"{key.mode:04o}, owner {key.uid}:{key.gid}", key.path)
    allowed = _GROUP_READ if key.gid else 0
    if not key.mode & _OTHERS & ~allowed:
        return
    yield Finding(
        problem=f"{key.path} has mode {key.mode:04o}, {0o600 | key.mode & allowed:04o} is enough",
        evidence=(Evidence("mode", f"{key.mode:04o}, owner {key.uid}:{key.gid}", key.path),),
        consequence="other accounts of that machine can read the key and pose as the registry",
        remedy_hint="take the rights of others from the file; count the key as read by them",
        locus=key.path,
    )
