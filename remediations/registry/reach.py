"""Makes the registry's container anew with its certificate."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import ContainerFact, Present
from gapcheck.model import REGISTRY, Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, RecreateContainer
from gapcheck.remediations.registry.recreate import container_to_make
from gapcheck.view import RegistryView

CERTIFICATE, KEY = "REGISTRY_HTTP_TLS_CERTIFICATE", "REGISTRY_HTTP_TLS_KEY"
_ALIKE = 0.85
# Settings of the registry, by the keys of its configuration: none of them is a misspelt one.
_SETTINGS = re.compile(
    "REGISTRY_(VERSION|LOG|LOGLEVEL|STORAGE|AUTH|MIDDLEWARE|REPORTING|NOTIFICATIONS|REDIS|HEALTH"
    "|PROXY|COMPATIBILITY|VALIDATION|POLICY|CATALOG"
    "|HTTP_(ADDR|NET|HOST|PREFIX|SECRET|RELATIVEURLS|DRAINTIMEOUT|DEBUG|HEADERS|HTTP2|H2C"
    "|TLS_(CERTIFICATE|KEY|CLIENTCAS|CLIENTAUTH|MINIMUMTLS|CIPHERSUITES|LETSENCRYPT)))(_.*)?"
)


@remedy("REG-HTTP-001", risk=Risk.OUTAGE)
def plan_tls_settings(finding: Finding, view: RegistryView) -> Iterator[Change]:  # noqa: ARG001 - every planner takes both
    """Make the container anew with its certificate and key set, and misspelt settings taken out."""
    container, machine = container_to_make(view)
    wanted = view.site.registry
    asked: dict[str, str] = {}
    pairs = ((CERTIFICATE, wanted.certificate, machine.certificate), (KEY, wanted.key, machine.key))
    for name, path, found in pairs:
        if name in container.environment:
            continue
        if not path:
            raise CannotPlan("the site file names no registry.certificate and registry.key")
        if not isinstance(found, Present):
            raise CannotPlan(f"{path} is not there: put it on the registry's machine first")
        asked[name] = _inside(container, path)
    if not asked:
        raise CannotPlan(
            f"container {container.name} is told its certificate and key: something else answers "
            f"at that port, or the two name no files; docker logs {container.name}"
        )
    yield RecreateContainer(
        target=REGISTRY,
        name=container.name,
        before_id=container.id,
        set_env=tuple(asked.items()),
        unset_env=tuple(
            each
            for each in sorted({*container.environment, *container.variables})
            if any(_is_misspelt(each, name) for name in asked)
        ),
    )


def _inside(container: ContainerFact, path: str) -> str:
    """Where a file of the machine is in the container; CannotPlan where no mount shows it."""
    for mount in sorted(container.mounts, key=lambda each: -len(each.source)):
        if mount.type == "bind" and f"{path}/".startswith(f"{mount.source.rstrip('/')}/"):
            below = posixpath.relpath(path, mount.source)
            return posixpath.normpath(posixpath.join(mount.destination, below))
    folder = posixpath.dirname(path)
    raise CannotPlan(
        f"{path} is not mounted into container {container.name}: docker run the same image with "
        f"-v {folder}:{folder}"
    )


def _is_misspelt(name: str, setting: str) -> bool:
    """Whether `name` is no setting of the registry, but nearly `setting`."""
    if _SETTINGS.fullmatch(name):
        return False
    return SequenceMatcher(None, name, setting).ratio() >= _ALIKE
