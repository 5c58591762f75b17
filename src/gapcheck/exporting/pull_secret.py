"""The pull secret that the chart's values should name. Pure: no credentials are known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.ca_secret import release_secrets
from gapcheck.fixtures.facts import measured
from gapcheck.fixtures.helm import profile
from gapcheck.fixtures.images import ImageReference, parse_reference
from gapcheck.fixtures.kube_facts import SecretFact
from gapcheck.fixtures.pull_secrets import credentials_fit
from gapcheck.fixtures.workload_images import from_registry, is_image, pod_images, release_workloads
from gapcheck.view import ReleaseView

NEW_NAME = "registry-pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSecret:
    """A value to set, why, and what has to be made first ('' = the secret is there)."""

    key: str
    value: Any
    words: tuple[str, ...]
    to_make: str = ""


def wanted_pull_secret(view: ReleaseView) -> PullSecret | None:
    """The value that is missing; None where pods need none, name one that fits, or it is unknown.

    A secret of the namespace that fits is named; else one that is still to be made.
    """
    release = view.site.release
    keys = profile(release.profile).pull_secret_keys if release else ()
    try:
        images = _without_credentials(view) if keys else ()
        secrets = release_secrets(view) if images else ()
    except (Unmeasured, NotApplicable):
        return None  # the check of pull secrets says so
    if not images:
        return None
    netloc, namespace = images[0].domain, view.facts.namespace
    name = next((each.name for each in secrets if _fits(each, images)), "")
    why = f"SECRET-PULL-001: {netloc} asks for credentials, and pods name none that fit it"
    key, listed = keys[0], keys[0].endswith("s")
    value: Any = [{"name": name or NEW_NAME}] if listed else (name or NEW_NAME)
    if name:
        return PullSecret(key=key, value=value, words=(why,))
    make = f"kubectl -n {namespace} create secret docker-registry {NEW_NAME}"
    return PullSecret(
        key=key,
        value=value,
        words=(why, f"No secret of the namespace {namespace} has them: make it first."),
        to_make=f"make the pull secret first: {make} --from-file=.dockerconfigjson=FILE, with "
        f"credentials for exactly {netloc}",
    )


def _without_credentials(view: ReleaseView) -> tuple[ImageReference, ...]:
    """The images from the registry of pods that have no credentials for them."""
    auth = measured(view.registry.auth, "how the registry authenticates", "registry")
    if auth is None or auth.scheme == "none":
        return ()
    secrets = {each.name: each for each in release_secrets(view)}
    found: list[ImageReference] = []
    for workload in release_workloads(view):
        named = [secrets[name] for name in workload.pull_secrets if name in secrets]
        for _, text in pod_images(workload):
            image = parse_reference(text) if is_image(text) else None
            if image and from_registry(view, image) and not any(_fits(s, (image,)) for s in named):
                found.append(image)
    return tuple(found)


def _fits(secret: SecretFact, images: tuple[ImageReference, ...]) -> bool:
    entries = [entry for key in secret.keys for entry in key.registries]
    return all(any(credentials_fit(entry, image) for entry in entries) for image in images)
