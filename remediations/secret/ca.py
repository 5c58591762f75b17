"""Put the registry's CA into its secret: where it is absent, under the wrong key, or another."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.ca_secret import ca_secrets, mounting
from gapcheck.fixtures.facts import measured
from gapcheck.fixtures.kube_facts import SecretFact
from gapcheck.model import CLUSTER, SITE, Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.objects import edit_object, patch_object, put, roll_out
from gapcheck.remediations.plan import EditYaml, Literal, PatchObject, Stage, WriteFile
from gapcheck.remediations.secret.ca_text import CaText, ca_text, table_of
from gapcheck.view import ReleaseView


@remedy("SECRET-CA-001", risk=Risk.RESTART)
def plan_ca_secret(finding: Finding, view: ReleaseView) -> Iterator[WriteFile | PatchObject]:
    """Make the secret with the CA certificate alone: a new manifest, or the object itself.

    Live pods that wait for it start anew: kubelet tries a mount that failed again after up to
    two minutes, and what runs still may hold a former content.
    """
    text = ca_text(view)
    name, key = finding.data["name"], finding.data["key"]
    namespace = view.facts.namespace
    cluster = view.site.cluster
    if cluster and cluster.manifests:
        path = posixpath.normpath(f"{cluster.manifests}/gapcheck-{name}.yaml")
        if path in view.facts.files:
            reason = f"{path} is there and holds no such secret; correct it by hand"
            raise CannotPlan(reason)
        yield WriteFile(
            target=SITE,
            path=path,
            before_sha256=None,
            content=Literal(data=_manifest(namespace, name, key, text).encode()),
            stage=Stage.SECRET,
        )
        return
    yield PatchObject(
        target=CLUSTER,
        api_version="v1",
        kind="Secret",
        namespace=namespace,
        name=name,
        uid="",
        resource_version="",
        creates=True,
        patch={
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "Opaque",
            "data": {key: text.base64},
        },
    )
    workloads = measured(view.facts.workloads, "the workloads", view.subject) or ()
    yield from roll_out(mounting(workloads, name), text.fingerprint)


def _manifest(namespace: str, name: str, key: str, text: CaText) -> str:
    return (
        "# The CA of the private registry, public material only.\n"
        "apiVersion: v1\n"
        "kind: Secret\n"
        "metadata:\n"
        f"  name: {name}\n"
        f"  namespace: {namespace}\n"
        "type: Opaque\n"
        "data:\n"
        f"  {key}: {text.base64}\n"
    )


@remedy("SECRET-CA-002", risk=Risk.RESTART)
def plan_certificate_under_key(
    finding: Finding, view: ReleaseView
) -> Iterator[EditYaml | PatchObject]:
    """Put the CA certificate under the key that pods mount, and start their pods anew."""
    yield from _put_ca(finding, view)


@remedy("SECRET-CA-003", risk=Risk.RESTART)
def plan_right_ca(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | PatchObject]:
    """Replace the CA in the secret by the registry's, and start the pods that mount it anew."""
    yield from _put_ca(finding, view)


@remedy("SECRET-CA-004", risk=Risk.RESTART)
def plan_ca_to_come(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | PatchObject]:
    """Put every CA of the site's CA file into the secret, and start its pods anew."""
    yield from _put_ca(finding, view)


@remedy("SECRET-CA-005", risk=Risk.OUTAGE, withdraws=True)
def plan_without_former_ca(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | PatchObject]:
    """Leave the CAs of the site's CA file alone in the secret, and start its pods anew.

    The registry's present certificate is verified without the former CA, or SECRET-CA-003 fails.
    """
    yield from _put_ca(finding, view)


def _put_ca(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | PatchObject]:
    text = ca_text(view)
    secret = named_secret(finding, ca_secrets(view))
    key = finding.data["key"]
    if secret.file:
        table = table_of(secret, key)
        value = text.pem if table == "stringData" else text.base64
        yield edit_object(view, secret, (put(secret, (table, key), value),))
        return
    patch: Any = {"data": {key: text.base64}}
    yield patch_object("Secret", secret, patch)
    workloads = measured(view.facts.workloads, "the workloads", view.subject) or ()
    yield from roll_out(mounting(workloads, secret.name), text.fingerprint)


def named_secret(finding: Finding, secrets: tuple[SecretFact, ...]) -> SecretFact:
    """The secret that `finding` is about; raises CannotPlan where it may not be changed."""
    secret = next(each for each in secrets if each.locus == finding.data["locus"])
    if secret.immutable:
        reason = (
            f"the secret {secret.name} is immutable: delete it and make it anew with the CA "
            f"certificate alone under {finding.data['key']}"
        )
        raise CannotPlan(reason)
    return secret
