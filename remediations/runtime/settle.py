"""The good state of a node for its registry, as changes: every runtime remedy plans this one.

Planning the whole state from each finding makes equal changes, which merge: no order of
repairs can leave settings that exclude each other. Planning it twice plans nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.effective import DOCKER_ROOT, Effective, effective_registry
from gapcheck.fixtures.facts import NodeFacts
from gapcheck.fixtures.node_files import before_sha256
from gapcheck.fixtures.registries_yaml import load_registries_yaml
from gapcheck.fixtures.registry_ca import RegistryCa, registry_ca
from gapcheck.fixtures.runtimes import Runtime, require_runtime
from gapcheck.fixtures.tomls import dig
from gapcheck.remediations.node.system_store import system_store
from gapcheck.remediations.plan import (
    Change,
    EditYaml,
    KeyEdit,
    Literal,
    RestartUnit,
    Stage,
    WriteFile,
)
from gapcheck.remediations.runtime.containerd_edits import CERTS_D, config_changes, root_for
from gapcheck.remediations.runtime.host_folder import ca_file, host_folder, own_folder
from gapcheck.view import NodeView

CONTAINERS_ROOT = "/etc/containers/certs.d"


def settle(view: NodeView) -> Iterator[Change]:
    """Changes after which this node's pulls verify the registry by the site's CA.

    By policy.trust the CA goes to the per-registry store, the system's, or both. Raises
    CannotPlan where a person has to decide something first.
    """
    runtime = require_runtime(view)
    ca = site_ca(view)
    effective = effective_registry(view)
    assert effective is not None
    if effective.defect:
        raise CannotPlan(f"{effective.defect}: this has to be corrected first (RUN-CONF-001)")
    if view.site.policy.trust != "registry":
        yield from system_store(view, ca)
    match runtime.kind:
        case "containerd":
            yield from _containerd(view, effective, ca)
        case "docker":
            yield from _folder_only(view, DOCKER_ROOT, ca)
        case "k3s" | "rke2":
            yield from _embedded(view, runtime, ca)
        case _:
            yield from _folder_only(view, CONTAINERS_ROOT, ca)


def site_ca(view: NodeView) -> RegistryCa:
    """The site's CA; raises CannotPlan where the site names none, or Go loads none of it."""
    ca = registry_ca(view)
    if ca is None:
        raise CannotPlan("name the registry's CA as registry.ca_file in the site file")
    if not ca.certificates:
        raise CannotPlan(f"{ca.path} holds no certificate that Go loads (CERT-FILE-001)")
    return ca


def restart(view: NodeView, runtime: Runtime) -> Iterator[Change]:
    """A restart of the runtime; nothing on the root of an image, which starts with it."""
    if view.facts.running and runtime.unit is not None:
        yield RestartUnit(target=view.subject, unit=runtime.unit.name)


def _containerd(view: NodeView, effective: Effective, ca: RegistryCa) -> Iterator[Change]:
    config = effective.config
    assert config is not None
    root = root_for(config)
    folder = own_folder(view, root)
    edits = tuple(config_changes(view, config, root, f"{folder}/ca.crt"))
    if view.site.policy.trust != "os":
        yield from host_folder(view, folder, ca, config.generation)
    yield from edits
    if edits:
        yield from restart(view, effective.runtime)


def _folder_only(view: NodeView, root: str, ca: RegistryCa) -> Iterator[Change]:
    if view.site.policy.trust != "os":
        yield from ca_file(view, f"{root}/{view.site.registry.netloc}", ca)


def _embedded(view: NodeView, runtime: Runtime, ca: RegistryCa) -> Iterator[Change]:
    facts: NodeFacts = view.facts
    netloc = view.site.registry.netloc
    found = load_registries_yaml(view, runtime.kind)
    folder = f"{CERTS_D}/{netloc}"  # a folder every probe looks at; k3s itself takes any path
    path = f"{folder}/ca.crt"
    if view.site.policy.trust != "os":
        yield from ca_file(view, folder, ca)
    if not found.present:
        text = (
            f'mirrors:\n  "{netloc}":\n    endpoint:\n      - "https://{netloc}"\n'
            f'configs:\n  "{netloc}":\n    tls:\n      ca_file: "{path}"\n'
        )
        yield WriteFile(
            target=view.subject,
            path=found.path,
            before_sha256=None,
            content=Literal(text.encode()),
            stage=Stage.RUNTIME,
        )
        yield from restart(view, runtime)
        return
    edits: list[KeyEdit] = []
    if netloc not in found.mirrors:
        endpoint = {"endpoint": [f"https://{netloc}"]}
        edits.append(KeyEdit(op="set", keys=("mirrors", netloc), value=endpoint))
    tls = found.tls(netloc)
    if tls.get("ca_file") != path:
        edits.append(KeyEdit(op="set", keys=("configs", netloc, "tls", "ca_file"), value=path))
    for name in dict.fromkeys((netloc, view.site.registry.host)):
        if dig(found.configs, name, "tls", "insecure_skip_verify") is True:
            keys = ("configs", name, "tls", "insecure_skip_verify")
            edits.append(KeyEdit(op="delete", keys=keys))
    if edits:
        before = before_sha256(facts, found.path)
        yield EditYaml(
            target=view.subject, path=found.path, before_sha256=before, edits=tuple(edits)
        )
        yield from restart(view, runtime)
