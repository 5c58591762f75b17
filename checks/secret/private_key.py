"""No private key in the secret that pods and their readers see."""

from __future__ import annotations

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable
from gapcheck.fixtures.ca_secret import all_secrets, wanted_secret
from gapcheck.fixtures.workload_images import refuse_partial
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView


@check(
    "SECRET-KEY-001",
    scope=Scope.RELEASE,
    severity=Severity.CRITICAL,
    after=("SITE-CLUSTER-001",),
    source=Source(step=6, fault=("S02",)),
)
def ca_secret_holds_no_private_key(view: ReleaseView) -> Judgement:
    """The secret with the registry's CA holds no private key under any of its keys."""
    wanted = wanted_secret(view)
    found = [each for each in all_secrets(view) if each.name == wanted.name]
    if not found:
        refuse_partial(view, f"the secret {wanted.name}")
        reason = f"there is no secret {wanted.name}"
        raise NotApplicable(reason)
    for secret in found:
        yield Evidence("keys looked at", str(len(secret.keys)), secret.locus)
        for key in secret.keys:
            if key.has_private_key:
                yield Finding(
                    problem=f"the secret {secret.namespace}/{secret.name} holds a private key "
                    f"under {key.name}",
                    evidence=(Evidence(key.name, counted(key.size, "byte"), secret.locus),),
                    consequence="whoever reads the secret can sign or serve for any name that "
                    "nodes and pods trust this certificate for; the key counts as leaked",
                    remedy_hint="remove the private key, then reissue the registry's certificate "
                    "with a new one: backups of etcd keep the old",
                    locus=f"Secret/{secret.namespace}/{secret.name}/{key.name}",
                    data={"name": secret.name, "key": key.name, "locus": secret.locus},
                )
    refuse_partial(view, f"every secret {wanted.name}")
