"""Puts a matching pair in place, and keeps the key private."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import require
from gapcheck.fixtures.served import certificate_file, file_certificates, machine
from gapcheck.model import REGISTRY, Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reissue, reload
from gapcheck.remediations.plan import Change, Literal, SetMode, Stage, WriteFile
from gapcheck.view import RegistryView

_OWNER = 0o600
_GROUP_READ = 0o040


@remedy("CERT-KEY-001", risk=Risk.RESTART)
def plan_matching_pair(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Write the key's certificate first; where the file does not hold it, issue a new pair."""
    if finding.data["kind"] != "order":
        yield from reissue(view)
        return
    file = certificate_file(view)
    if file is None:
        raise CannotPlan("the certificate file is gone: judge again")
    public = require(machine(view).key_public_sha256, "the key's public part", REGISTRY)
    certs = file_certificates(view)
    first = next(cert for cert in certs if cert.public_key_sha256 == public)
    ordered = [first, *(cert for cert in certs if cert is not first)]
    yield WriteFile(
        target=REGISTRY,
        path=file.path,
        before_sha256=file.sha256,
        content=Literal(b"".join(pki.to_pem(cert.der) for cert in ordered)),
        mode=file.mode,
        stage=Stage.LEAF,
    )
    yield from reload(view)


@remedy("CERT-KEY-002", risk=Risk.SAFE)
def plan_private_key_file(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Leave the key readable by its owner, and by its group where it has one of its own."""
    key = require(machine(view).key, "the registry's key file", REGISTRY)
    group = key.mode & _GROUP_READ if key.gid else 0
    yield SetMode(
        target=REGISTRY,
        path=finding.locus,
        before_sha256=key.sha256,
        mode=_OWNER | group,
        before_mode=key.mode,
    )
