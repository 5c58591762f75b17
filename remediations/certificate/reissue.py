"""The changes that put a new certificate in the place of the served one.

Every remedy of a certificate defect plans the same changes, equal in value, so that
several findings of one round lead to one new certificate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from gapcheck.errors import CannotPlan, NotApplicable, Unmeasured
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import Absent, FileFact, Present, measured, require
from gapcheck.fixtures.gotls.verdict import judge_chain
from gapcheck.fixtures.node_trust import node_trust
from gapcheck.fixtures.pki import Cert
from gapcheck.fixtures.served import (
    certificate_file,
    file_certificates,
    is_address,
    machine,
    names_in_use,
    served_certificates,
    served_leaf,
)
from gapcheck.fixtures.trust_roots import registry_roots
from gapcheck.model import REGISTRY, RELEASE, SITE, node_subject
from gapcheck.remediations.plan import (
    Change,
    IssueCertificate,
    Literal,
    Output,
    RestartContainer,
    RestartUnit,
    SwitchCertificate,
    WriteFile,
)
from gapcheck.site import Issuer
from gapcheck.view import RegistryView

_BACKDATED: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_HOST_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*", re.ASCII)
_KEYS: Final = """add to the site file, under registry:
  target: ssh://USER@HOST      # the machine that holds the registry's files
  certificate: /PATH/registry.crt
  key: /PATH/registry.key
  ca_file: ca.crt              # what clients are given
  issuer: {certificate: issuer.crt, key: issuer.key}   # made where absent; or: external
  reload: container            # or unit:NAME, or none"""


def reissue(view: RegistryView) -> Iterator[Change]:
    """Issue a certificate, give clients its CA, serve it; CannotPlan where that is unsafe."""
    issuer = _issuer(view)
    try:
        file = certificate_file(view)
        _refuse_pending_restart(view)
        key = measured(machine(view).key, "the registry's key file", REGISTRY)
        ca = _issuer_certificate(view, issuer)
        issue = _issue(view, issuer, ca)
        trusted = tuple(_trusted(view, issue, ca))
    except NotApplicable:
        raise CannotPlan(_KEYS) from None
    except Unmeasured as gap:
        raise CannotPlan(str(gap)) from gap
    except ValueError as bad:
        raise CannotPlan(f"a CA certificate cannot be written again: {bad}") from bad
    yield issue
    yield from trusted
    yield SwitchCertificate(
        target=REGISTRY,
        issue=issue.id,
        certificate_path=issue.certificate_path,
        key_path=issue.key_path,
        certificate_before_sha256=file.sha256 if file else None,
        key_before_sha256=key.sha256 if key else None,
    )
    yield from reload(view)


def reload(view: RegistryView) -> Iterator[Change]:
    """What makes the registry load its files again, as the site file says."""
    how = view.site.registry.reload
    if how == "container":
        if view.site.registry.container is None:
            raise CannotPlan("registry.reload is container: add registry.container, its name")
        yield RestartContainer(target=REGISTRY, name=view.site.registry.container)
    elif how.startswith("unit:"):
        yield RestartUnit(target=REGISTRY, unit=how.removeprefix("unit:"))


def wanted_names(view: RegistryView) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """DNS names and addresses of a new certificate: those in use, and those served today."""
    names = dict.fromkeys(names_in_use(view))
    try:
        leaf = served_leaf(view)
        names.update(dict.fromkeys((*leaf.dns_names, *leaf.addresses)))
    except Unmeasured:
        pass  # nothing is served today, so nothing can be lost
    lower = [name.lower() for name in names]
    addresses = tuple(dict.fromkeys(name for name in lower if is_address(name)))
    hosts = (name for name in lower if not is_address(name) and _HOST_NAME.fullmatch(name))
    return tuple(dict.fromkeys(hosts)), addresses


def _issuer(view: RegistryView) -> Issuer:
    issuer = view.site.registry.issuer
    if issuer == "external":
        names, addresses = wanted_names(view)
        san = ",".join((*(f"DNS:{name}" for name in names), *(f"IP:{each}" for each in addresses)))
        raise CannotPlan(
            "registry.issuer is external: the CA of this network signs. Send it a request made "
            f"by: openssl req -new -key {view.site.registry.key or 'KEY'} -subj /CN={names[0]} "
            f'-addext "subjectAltName={san}" -addext "extendedKeyUsage=serverAuth"'
            if names
            else "registry.issuer is external: the CA of this network signs. Ask it for a server "
            f"certificate with subjectAltName={san}"
        )
    if issuer is None or view.site.registry.target is None or view.site.registry.ca_file is None:
        raise CannotPlan(_KEYS)
    return issuer


def _refuse_pending_restart(view: RegistryView) -> None:
    """Refuse where the file already holds another certificate than the one that is judged."""
    certs = file_certificates(view)
    served = view.registry.tls.chain
    if certs and served and certs[0].fingerprint != served[0]:
        raise CannotPlan(
            "the certificate file already holds another certificate than the one served: the "
            "registry is restarted first (CERT-SERVED-001), then judged again"
        )


def _issuer_certificate(view: RegistryView, issuer: Issuer) -> Cert | None:
    """The issuer's CA where it exists already; refused where it could not sign."""
    path = issuer.certificate
    file = measured(view.site_facts.files.get(path, Absent()), f"the issuer {path}", SITE)
    if file is None:
        return None
    certs = pki.certificates(view.content(file))
    if not certs:
        raise CannotPlan(f"{path} holds no certificate that Go loads: bring the CA's file again")
    ca = certs[0]
    may_sign = ca.key_usage is None or "keyCertSign" in ca.key_usage
    if not ca.is_ca or not may_sign:
        raise CannotPlan(f"{path} ({ca.named}) is no CA: name another registry.issuer")
    if not ca.not_before <= view.now < ca.not_after - _DAY:
        raise CannotPlan(f"{path} ({ca.named}) is not valid any more: name another registry.issuer")
    return ca


def _issue(view: RegistryView, issuer: Issuer, ca: Cert | None) -> IssueCertificate:
    names, addresses = wanted_names(view)
    begin = view.now - _BACKDATED
    registry = view.site.registry
    return IssueCertificate(
        target=REGISTRY,
        certificate_path=registry.certificate or "",
        key_path=registry.key or "",
        names=names,
        addresses=addresses,
        days=_days(view, begin, ca),
        issuer_certificate=issuer.certificate,
        issuer_key=issuer.key,
        not_before=begin.isoformat(timespec="seconds"),
    )


def _days(view: RegistryView, begin: datetime, ca: Cert | None) -> int:
    """Days of life: the policy's, and not beyond the CA's own end."""
    wanted = view.site.policy.certificate_days
    days = wanted if ca is None else min(wanted, (ca.not_after - begin) // _DAY)
    if days <= view.site.policy.min_days_left:
        raise CannotPlan(
            f"a certificate of {days} days would already be in the renewal window "
            f"({view.site.policy.min_days_left} days): a new CA, or another policy, comes first"
        )
    return days


def _trusted(view: RegistryView, issue: IssueCertificate, ca: Cert | None) -> Iterator[WriteFile]:
    """What gives clients the CA; raises CannotPlan where today's clients would break."""
    path = view.site.registry.ca_file or ""
    file = require(view.site_facts.files.get(path, Absent()), f"the CA file {path}", SITE)
    _refuse_broken(view, path, file)
    works = _works_today(view)
    held = pki.pool(view.content(file)).certificates
    if works:
        _refuse_untrusted(view, ca)
    if ca is not None and ca.der in held:
        return
    if ca is None:
        _refuse_other_roots(view, path, held)
        content: Literal | Output = Output(issue.id, "ca.crt")
    else:
        content = Literal(b"".join(pki.to_pem(der) for der in (*held, ca.der)))
    yield WriteFile(
        target=SITE, path=path, before_sha256=file.sha256, content=content, mode=file.mode
    )


def _refuse_broken(view: RegistryView, path: str, file: FileFact) -> None:
    """Leave the file to CERT-FILE-001, which writes it again in this round."""
    pool = pki.pool(view.content(file))
    if file.has_private_key or not pool.certificates or any(n.kind != "other" for n in pool.notes):
        raise CannotPlan(f"{path} is repaired first (CERT-FILE-001), then this is planned")


def _works_today(view: RegistryView) -> bool:
    """Whether Go clients accept what is served, by the CA they are given."""
    roots = registry_roots(view)
    chain = view.chain(view.registry.tls.chain)
    host = view.registry.tls.host
    return judge_chain(chain, roots=pki.pool(roots.pem), host=host, now=view.now).ok


def _refuse_untrusted(view: RegistryView, ca: Cert | None) -> None:
    """Refuse to switch where clients work today and do not all trust the new CA yet."""
    path = view.site.registry.ca_file
    if ca is None:
        raise CannotPlan(
            "clients accept today's certificate, and a new CA must reach all of them first: make "
            f"the issuer's CA, add its certificate to {path} beside the present one and to every "
            "trust place of the site, then plan again"
        )
    if ca.fingerprint in _anchors(view):
        return
    lacking = [*_nodes_without(view, ca.fingerprint), *_secret_without(view, ca.fingerprint)]
    if lacking:
        raise CannotPlan(
            f"clients accept today's certificate, and {', '.join(lacking)} would refuse one that "
            f"{ca.named} signs: with it in {path} beside the present CA, gapcheck fix --select "
            "NODE-TRUST-008 --select SECRET-CA-004 spreads it; then plan again"
        )


def _anchors(view: RegistryView) -> frozenset[str]:
    roots = registry_roots(view)
    tls = view.registry.tls
    verdict = judge_chain(
        view.chain(tls.chain), roots=pki.pool(roots.pem), host=tls.host, now=view.now
    )
    return frozenset(pki.fingerprint(der) for der in verdict.anchors)


def _nodes_without(view: RegistryView, fingerprint: str) -> Iterator[str]:
    """Nodes that do not trust the CA, or are not known to."""
    for node in view.site.node_list:
        subject = node_subject(node.name)
        try:
            trust = node_trust(view.of(subject))
        except Unmeasured:
            yield f"{subject} (not measured)"
            continue
        if fingerprint not in trust.by_registry | trust.loaded.fingerprints:
            yield str(subject)


def _secret_without(view: RegistryView, fingerprint: str) -> Iterator[str]:
    """The secret that pods mount, where it lacks the CA."""
    if view.site.release is None:
        return
    wanted = view.site.ca_secret
    if not view.has(RELEASE) or not isinstance(view.release.secrets, Present):
        yield f"secret {wanted.name} (not measured)"
        return
    for secret in view.release.secrets.value:
        for key in secret.keys:
            if (secret.name, key.name) != (wanted.name, wanted.key):
                continue
            held = pki.fingerprints(view.blob(key.blob)) if key.blob else frozenset[str]()
            if fingerprint not in held:
                yield f"secret {secret.name}"


def _refuse_other_roots(view: RegistryView, path: str, held: tuple[bytes, ...]) -> None:
    """A new CA replaces the file's content: only where that content is of the bad chain alone."""
    try:
        served = served_certificates(view)
    except Unmeasured:
        served = ()
    known = {cert.subject for cert in served} | {cert.issuer for cert in served}
    for der in held:
        cert = pki.read_certificate(der)
        if cert.subject not in known:
            raise CannotPlan(
                f"{path} also holds {cert.named}, which other services may need: make the "
                "issuer's CA pair first, so that its certificate can be added beside it"
            )
