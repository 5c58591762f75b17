"""The secret with the registry's CA: it is there, under the right key, and it is the right CA."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures import pki
from gapcheck.fixtures.ca_secret import (
    all_secrets,
    ca_secrets,
    certificate_blocks,
    key_of,
    loaded_by_go,
    wanted_secret,
)
from gapcheck.fixtures.kube_facts import SecretFact, SecretKey
from gapcheck.fixtures.registry_ca import FEW, RegistryCa, go_verdict, registry_ca
from gapcheck.fixtures.workload_images import refuse_partial
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView

_X509 = "x509: certificate signed by unknown authority"
_FORMS = {
    "der": "a certificate in binary DER form",
    "base64": "text that is base64 twice over",
    "empty": "nothing",
    "dockerconfig": "registry credentials",
    "other": "no certificate",
}


@check(
    "SECRET-CA-001",
    scope=Scope.RELEASE,
    severity=Severity.CRITICAL,
    after=("SECRET-NS-001",),
    source=Source(step=6, fault=("S01", "S06", "H08")),
)
def ca_secret_exists(view: ReleaseView) -> Judgement:
    """The secret with the registry's CA exists in the namespace of the release."""
    wanted = wanted_secret(view)
    namespace = view.facts.namespace
    found = ca_secrets(view)
    for secret in found:
        yield Evidence("secret", f"{namespace}/{secret.name}", secret.locus)
    if found:
        return
    refuse_partial(view, f"the secret {wanted.name}")
    elsewhere = [each for each in all_secrets(view) if each.name == wanted.name]
    where = tuple(Evidence("found elsewhere", e.namespace, e.locus) for e in elsewhere)
    yield Finding(
        problem=f"the secret {wanted.name} is not in the namespace {namespace}"
        + (f"; it is in {', '.join(e.namespace for e in elsewhere)}" if elsewhere else ""),
        evidence=where or (Evidence("secrets", f"none is named {wanted.name}", view.facts.source),),
        consequence="pods stay in ContainerCreating: MountVolume.SetUp failed for volume "
        f'"{wanted.name}" : secret "{wanted.name}" not found',
        remedy_hint=f"make the secret with the CA certificate alone under the key {wanted.key}",
        locus=f"Secret/{namespace}/{wanted.name}",
        data={"name": wanted.name, "key": wanted.key},
    )


@check(
    "SECRET-CA-002",
    scope=Scope.RELEASE,
    severity=Severity.CRITICAL,
    after=("SECRET-CA-001",),
    source=Source(step=6, fault=("S03", "S07")),
)
def ca_secret_has_a_certificate_under_the_key(view: ReleaseView) -> Judgement:
    """The CA secret holds PEM certificates that Go loads, under the key that pods mount."""
    wanted = wanted_secret(view)
    for secret in ca_secrets(view):
        key = key_of(secret, wanted.key)
        yield _keys(secret)
        if key is None:
            yield _defect(
                secret,
                wanted.key,
                f"has no key {wanted.key}; it has {_names(secret)}",
                "the pod starts without the CA: its file is an empty directory, and no event "
                "says so",
            )
        elif not loaded_by_go(view, key):
            yield _defect(
                secret,
                wanted.key,
                f"holds {_form(view, key)} under {wanted.key}, {counted(key.size, 'byte')}; "
                "a PEM certificate is needed",
                f"pods load no CA from it: {_X509}",
            )


def _form(view: ReleaseView, key: SecretKey) -> str:
    if key.form != "pem":
        return _FORMS.get(key.form, _FORMS["other"])
    notes = pki.pool(certificate_blocks(view, key)).notes
    why = f" ({notes[0].detail})" if notes else ""
    return f"PEM text from which Go loads nothing{why}"


def _names(secret: SecretFact) -> str:
    return ", ".join(key.name for key in secret.keys) or "none"


def _keys(secret: SecretFact) -> Evidence:
    return Evidence("keys", _names(secret), secret.locus)


def _defect(
    secret: SecretFact, key: str, what: str, consequence: str, *, hint: str = ""
) -> Finding:
    return Finding(
        problem=f"the secret {secret.name} {what}",
        evidence=(_keys(secret),),
        consequence=consequence,
        remedy_hint=hint or f"put the CA certificate (PEM, no private key) under {key}",
        locus=f"Secret/{secret.namespace}/{secret.name}",
        data={"name": secret.name, "key": key, "locus": secret.locus},
    )


@check(
    "SECRET-CA-003",
    scope=Scope.RELEASE,
    severity=Severity.CRITICAL,
    after=("CERT-FILE-001", "SECRET-CA-002"),
    source=Source(step=6, fault=("S04", "S05")),
)
def ca_secret_holds_the_right_ca(view: ReleaseView) -> Judgement:
    """The CA in the secret is, by fingerprint, the one that verifies the live registry."""
    wanted = wanted_secret(view)
    ca = registry_ca(view)
    for secret, key in _mounted_keys(view):
        held = pki.certificates(certificate_blocks(view, key))
        for cert in held:
            yield Evidence("in the secret", cert.named, f"{secret.locus} {key.name}")
        if not _is_right(view, key, ca):
            yield _defect(
                secret,
                wanted.key,
                f"holds {_held(held, view)}, which {_against(ca)}",
                f"the product's own calls to the registry fail: {_X509}; after the secret is "
                "put right its pods must start anew, as a mounted file of a secret's key never "
                "changes",
            )


@check(
    "SECRET-CA-004",
    scope=Scope.RELEASE,
    severity=Severity.MINOR,
    after=("CERT-FILE-001", "SECRET-CA-003"),
    source=Source(step=6, fault=("S04",)),
)
def ca_secret_holds_the_ca_to_come(view: ReleaseView) -> Judgement:
    """Every CA of the site's CA file is in the secret, also one that signs nothing served yet."""
    wanted = wanted_secret(view)
    ca = registry_ca(view)
    if ca is None:
        raise NotApplicable("the site file names no registry.ca_file")
    if not ca.to_come:
        raise NotApplicable(f"{ca.path} gives no CA beside the one in use")
    for secret, key in _mounted_keys(view):
        held = loaded_by_go(view, key)
        lacking = [each.named for each in ca.to_come if each.fingerprint not in held]
        if lacking:
            yield _defect(
                secret,
                wanted.key,
                f"lacks {' and '.join(lacking)}, which {ca.path} gives beside today's CA",
                "the product's own calls work until the registry serves a certificate of that "
                f"CA, and then fail: {_X509}",
            )
        else:
            yield Evidence("holds every CA of the file", secret.locus)


@check(
    "SECRET-CA-005",
    scope=Scope.RELEASE,
    severity=Severity.MINOR,
    after=("CERT-FILE-001", "SECRET-CA-003"),
    source=Source(step=6, fault=("S04",)),
)
def ca_secret_holds_no_former_ca(view: ReleaseView) -> Judgement:
    """The secret holds no CA that the site's CA file does not: a former one is still trusted.

    A secret with a whole bundle in it is meant for more than the registry and is not judged.
    """
    wanted = wanted_secret(view)
    ca = registry_ca(view)
    if ca is None:
        raise NotApplicable("the site file names no registry.ca_file")
    for secret, key in _mounted_keys(view):
        held = pki.certificates(certificate_blocks(view, key))
        former = [each.named for each in held if each.der not in ca.certificates]
        if len(held) > FEW:
            yield Evidence("holds a bundle", counted(len(held), "certificate"), secret.locus)
        elif former:
            yield _defect(
                secret,
                wanted.key,
                f"still holds {' and '.join(former)}, which {ca.path} does not",
                "whoever has the key of a former CA is still trusted by the product",
                hint=f"take it out once nothing is signed by it, or add it to {ca.path}",
            )
        else:
            yield Evidence("holds no other CA", secret.locus)


def _mounted_keys(view: ReleaseView) -> Iterator[tuple[SecretFact, SecretKey]]:
    """Each CA secret with the key that pods mount.

    One without it, of several of this name in a folder, is told by SECRET-CA-002.
    """
    for secret in ca_secrets(view):
        key = key_of(secret, wanted_secret(view).key)
        if key is not None:
            yield secret, key


def _is_right(view: ReleaseView, key: SecretKey, ca: RegistryCa | None) -> bool:
    """Whether pods with `key` as their roots accept the registry, now and after a renewal."""
    held = loaded_by_go(view, key)
    expected = ca.fingerprints if ca else frozenset()
    chain = view.registry.tls.chain if view.has_registry else ()
    verdict = go_verdict(view, view.registry.tls, certificate_blocks(view, key)) if chain else None
    if verdict is not None and verdict.ok:
        # Go accepts a leaf among the roots; it stops being served at the next renewal.
        ends_in = {pki.fingerprint(der) for der in verdict.anchors}
        leaf = pki.fingerprint(view.chain(chain[:1])[0])
        return bool(ends_in - {leaf}) or ends_in <= expected
    if ca is None and not chain:
        raise Unmeasured("the registry's CA", "the registry sent no certificate", "registry")
    return ca is not None and expected <= held


def _held(held: tuple[pki.Cert, ...], view: ReleaseView) -> str:
    shown = []
    for cert in held:
        over = f", expired on {cert.not_after:%Y-%m-%d}" if cert.not_after < view.now else ""
        shown.append(f"{cert.named}{over}")
    return "; ".join(shown) or "no readable certificate"


def _against(ca: RegistryCa | None) -> str:
    if ca is None:
        return "does not verify what the registry serves"
    return f"is not the CA of the registry ({', '.join(_anchors(ca))})"


def _anchors(ca: RegistryCa) -> Iterator[str]:
    for der in ca.anchors:
        try:
            yield pki.read_certificate(der).named
        except ValueError:
            yield f"SHA-256 {pki.fingerprint(der)}"
