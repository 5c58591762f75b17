"""The CA as a secret holds it. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from gapcheck.errors import CannotPlan, Unmeasured
from gapcheck.fixtures import pki
from gapcheck.fixtures.ca_secret import key_of
from gapcheck.fixtures.facts import SecretFact
from gapcheck.fixtures.registry_ca import FEW, registry_ca
from gapcheck.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class CaText:
    """Public certificates: their PEM text, and the fingerprint of the first."""

    pem: str
    fingerprint: str

    @property
    def base64(self) -> str:
        """As `data` of a secret holds it."""
        return base64.b64encode(self.pem.encode()).decode()


def ca_text(view: View[Any]) -> CaText:
    """The certificates of the site's CA file; raises CannotPlan where there are none."""
    try:
        ca = registry_ca(view)
    except Unmeasured as gap:
        raise CannotPlan(str(gap)) from gap
    if ca is None:
        reason = "the site file names no registry.ca_file: which CA are pods to trust?"
        raise CannotPlan(reason)
    chosen = ca.certificates if len(ca.certificates) <= FEW else ca.anchors
    if not chosen:
        reason = f"Go loads no certificate from {ca.path}; repair that file first"
        raise CannotPlan(reason)
    pem = b"".join(pki.to_pem(der) for der in chosen)
    return CaText(pem=pem.decode("ascii"), fingerprint=pki.fingerprint(chosen[0]))


def table_of(secret: SecretFact, key: str) -> str:
    """Where `key` stands in the manifest, or is to stand: data or stringData."""
    found = key_of(secret, key)
    return found.encoded_in if found else secret.encoded_in
