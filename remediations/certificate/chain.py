"""Gives clients the CA that signed the served certificate, or serves one that theirs signed."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.gotls.verdict import judge_chain
from gapcheck.model import SITE, Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reissue
from gapcheck.remediations.plan import Change, Literal, WriteFile
from gapcheck.site import Issuer
from gapcheck.view import RegistryView


@remedy("CERT-CHAIN-001", risk=Risk.RESTART)
def plan_anchored_chain(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Add the issuer's CA to the CA file where it signed the served certificate, else reissue.

    The old CA stays beside it. A CA that may not sign for the name, or not at all, is not
    repaired by another certificate of the same CA.
    """
    if finding.data["kind"] in ("constraint", "not-a-ca"):
        raise CannotPlan(
            "the CA itself is unfit: make another without name constraints, with CA:TRUE and "
            "keyCertSign, name it under registry.issuer, and give it to every client"
        )
    if finding.data["kind"] == "leaf":
        raise CannotPlan("give clients the CA: only whoever signed the certificate has it")
    known = _with_issuer(view)
    if known is not None:
        yield known
        return
    yield from reissue(view)


def _with_issuer(view: RegistryView) -> WriteFile | None:
    """The CA file with the issuer's CA added, where that is all the served chain lacks."""
    issuer, path = view.site.registry.issuer, view.site.registry.ca_file
    if not isinstance(issuer, Issuer) or path is None:
        return None
    file = view.site_facts.files.get(path)
    signer = view.site_facts.files.get(issuer.certificate)
    if not isinstance(file, Present) or not isinstance(signer, Present):
        return None
    roots = pki.pool(view.content(signer.value))
    chain = view.chain(view.registry.tls.chain)
    held = pki.pool(view.content(file.value))
    sound = not file.value.has_private_key and all(note.kind == "other" for note in held.notes)
    if not sound or not judge_chain(chain, roots=roots, host=None, now=view.now).ok:
        return None
    ders = (*held.certificates, *roots.certificates)
    try:
        pem = b"".join(map(pki.to_pem, ders))
    except ValueError as bad:
        raise CannotPlan(f"{path} holds a CA that cannot be written again: {bad}") from bad
    return WriteFile(
        target=SITE,
        path=path,
        before_sha256=file.value.sha256,
        content=Literal(pem),
        mode=file.value.mode,
    )
