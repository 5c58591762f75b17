"""Credentials that pods need where the registry asks for them."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.ca_secret import release_secrets
from gapcheck.fixtures.facts import require
from gapcheck.fixtures.images import ImageReference, parse_reference
from gapcheck.fixtures.kube_facts import SecretFact, Workload
from gapcheck.fixtures.pull_secrets import credentials_fit
from gapcheck.fixtures.workload_images import (
    from_registry,
    is_image,
    pod_images,
    release_workloads,
)
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView

_NO_CREDENTIALS = (
    "pull access denied, repository does not exist or may require authorization: "
    "authorization failed: no basic auth credentials"
)


@check(
    "SECRET-PULL-001",
    scope=Scope.RELEASE,
    severity=Severity.MAJOR,
    after=("SECRET-NS-001", "REG-API-001"),
    source=Source(step=7, fault=("S08", "S09")),
    manual="gapcheck handles no passwords: kubectl create secret docker-registry NAME "
    "--docker-server=HOST[:PORT], and name it under imagePullSecrets",
)
def pull_secrets_fit_the_registry(view: ReleaseView) -> Judgement:
    """Pods that pull from a registry with authentication name a secret with its credentials."""
    workloads = release_workloads(view)
    auth = require(view.registry.auth, "how the registry authenticates", "registry")
    named = any(workload.pull_secrets for workload in workloads)
    if auth.scheme == "none" and not named:
        reason = "the registry asks for no credentials, and no pod names a pull secret"
        raise NotApplicable(reason)
    yield Evidence("authentication", auth.scheme, "GET /v2/")
    secrets = {each.name: each for each in release_secrets(view)}
    unknown: list[str] = []
    for workload in workloads:
        yield from _absent(workload, secrets, needed=auth.scheme != "none")
        if auth.scheme == "none":
            continue
        if not workload.pull_secrets and _wanted(view, workload):
            unknown.append(f"{workload.kind} {workload.name}")
        yield from _unfit(view, workload, secrets)
    if unknown:
        reason = (
            f"the registry asks for credentials and {', '.join(unknown)} names no pull secret; "
            "those of its service account and of the nodes were not looked at"
        )
        raise Unmeasured("the credentials that pods pull with", reason, view.subject)


def _wanted(view: ReleaseView, workload: Workload) -> list[ImageReference]:
    """The images of `workload` that come from the registry and can be read."""
    references = [parse_reference(text) for _, text in pod_images(workload) if is_image(text)]
    return [each for each in references if from_registry(view, each)]


def _absent(
    workload: Workload, secrets: dict[str, SecretFact], *, needed: bool
) -> Iterator[Finding]:
    for name in workload.pull_secrets:
        if name not in secrets:
            yield Finding(
                problem=f"{workload.kind} {workload.name} names the pull secret {name}, which is "
                f"not in the namespace {workload.namespace}",
                evidence=(Evidence("imagePullSecrets", name, workload.locus),),
                consequence="the pull goes without credentials: "
                f"{_NO_CREDENTIALS if needed else 'only a warning event, as none are asked for'}",
                remedy_hint="kubectl create secret docker-registry, in that namespace",
                locus=f"Secret/{workload.namespace}/{name}",
                severity=None if needed else Severity.MINOR,
            )


def _unfit(
    view: ReleaseView, workload: Workload, secrets: dict[str, SecretFact]
) -> Iterator[Finding]:
    present = [secrets[name] for name in workload.pull_secrets if name in secrets]
    entries = [host for each in present for key in each.keys for host in key.registries]
    if not present:
        return
    for reference in _wanted(view, workload):
        if not any(credentials_fit(entry, reference) for entry in entries):
            yield Finding(
                problem=f"no pull secret of {workload.kind} {workload.name} has credentials for "
                f"{reference.domain}; they are for {', '.join(entries) or 'no registry'}",
                evidence=tuple(Evidence("pull secret", e.name, e.locus) for e in present),
                consequence=f"{_NO_CREDENTIALS}; the port must be written as in the image, and "
                "left out where it is left out there",
                remedy_hint=f"make the secret for exactly {reference.domain}",
                locus=f"Secret/{workload.namespace}/{present[0].name}",
            )
            return
