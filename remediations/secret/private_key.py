"""Take a private key out of the CA secret, for good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.ca_secret import all_secrets, wanted_secret
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.objects import drop, edit_object, patch_object, put
from gapcheck.remediations.plan import EditYaml, PatchObject
from gapcheck.remediations.secret.ca_text import ca_text, table_of
from gapcheck.view import ReleaseView

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@remedy("SECRET-KEY-001", risk=Risk.SAFE)
def plan_key_removal(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | PatchObject]:
    """Remove the private key; where it stands under the CA's own key, leave the CA alone there.

    It is final: no copy of the key is kept, and undo does not bring it back. The copy that
    kubectl apply keeps in an annotation goes too.
    """
    wanted, key = wanted_secret(view), finding.data["key"]
    secret = next(each for each in all_secrets(view) if each.locus == finding.data["locus"])
    if secret.immutable:
        reason = f"the secret {secret.name} is immutable: delete it and make it anew without {key}"
        raise CannotPlan(reason)
    table = table_of(secret, key)
    text = ca_text(view) if key == wanted.key else None
    if secret.file:
        value = "" if text is None else (text.pem if table == "stringData" else text.base64)
        edit = drop(secret, (table, key)) if text is None else put(secret, (table, key), value)
        yield edit_object(view, secret, (edit,), final=True)
        return
    patch: Any = {
        "data": {key: None if text is None else text.base64},
        "metadata": {"annotations": {_LAST_APPLIED: None}},
    }
    yield patch_object("Secret", secret, patch, final=True)
