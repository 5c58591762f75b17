"""Nodes to break: builders that start from the healthy site and take or add one thing."""

from __future__ import annotations

from typing import Any

import msgspec
from support.healthy import (
    CONFIG_1,
    CONFIG_2,
    HOST,
    Blobs,
    ca,
    healthy,
    other_ca,
    site,
    with_facts,
    with_file,
)
from support.repair import list_entry, unlist_entry

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, NodeFacts, PluginFact, Present, UnitFact
from gapcheck.model import SubjectId
from gapcheck.site import Site
from gapcheck.view import NodeView, View

CONFIG = "/etc/containerd/config.toml"
FOLDER = f"/etc/containerd/certs.d/{HOST}"
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
)


def guide(name: str = HOST) -> str:
    """What the guide appends to config.toml, under the registry name `name`."""
    return (
        f'\n[plugins."io.containerd.grpc.v1.cri".registry.configs."{name}".tls]\n'
        "  insecure_skip_verify = true\n"
    )


def without_path(config: str) -> str:
    """`config` without its config_path."""
    return "".join(line for line in config.splitlines(True) if "config_path" not in line)


BARE_1 = without_path(CONFIG_1)
BARE_2 = without_path(CONFIG_2)


def node(name: str, facts: FactSet | None = None) -> tuple[FactSet, str, NodeFacts]:
    """The facts, the subject and the node's own facts."""
    facts = facts or healthy()[1]
    subject = f"node/{name}"
    found: Any = facts.by_subject[SubjectId(subject)]
    return facts, subject, found


def view(facts: FactSet, subject: str, of: Site | None = None) -> NodeView:
    """The node as its checks see it."""
    from support.healthy import NOW

    return View(SubjectId(subject), facts, of or site(), now=NOW)


def untrusting(name: str, *, folder: bool = True) -> tuple[FactSet, str]:
    """A node whose system store lacks the CA; without `folder` it has no certs.d either."""
    facts, subject, found = node(name)
    files: dict[str, Any] = {
        path: Absent() if "example-registry" in path else known
        for path, known in found.files.items()
    }
    blobs = Blobs()
    for path in BUNDLES:
        if isinstance(files.get(path), Present):
            files[path] = blobs.file(path, other_ca().pem)
    dirs: dict[str, Any] = {
        path: Present(()) if path.endswith(("anchors", "ca-certificates")) else known
        for path, known in found.dirs.items()
    }
    if not folder:
        files = {path: known for path, known in files.items() if "certs.d" not in path}
        dirs.pop(FOLDER)
        dirs["/etc/containerd/certs.d"] = Absent()
    return with_facts(facts, subject, blobs.held, files=files, dirs=dirs), subject


def put(facts: FactSet, subject: str, path: str, content: str | bytes, **stat: Any) -> FactSet:
    """`facts` with a file there and in the listing of its folder."""
    data = content.encode() if isinstance(content, str) else content
    facts = with_file(facts, subject, path, data, **stat)
    found: Any = facts.by_subject[SubjectId(subject)]
    dirs = dict(found.dirs)
    list_entry(dirs, path)
    facts = with_facts(facts, subject, dirs=dirs)
    if path.startswith("/etc/containerd/") and "/certs.d/" not in path:
        # What `config dump` said was about the former file.
        facts = with_facts(facts, subject, containerd_valid=Absent("PATH"))
    return facts


def drop(facts: FactSet, subject: str, path: str) -> FactSet:
    """`facts` without the file, and without its entry."""
    facts = with_file(facts, subject, path, Absent())
    found: Any = facts.by_subject[SubjectId(subject)]
    dirs = dict(found.dirs)
    unlist_entry(dirs, path)
    return with_facts(facts, subject, dirs=dirs)


def config(facts: FactSet, subject: str, text: str) -> FactSet:
    """`facts` with that config.toml, which the daemon has loaded."""
    facts = put(facts, subject, CONFIG, text)
    found: Any = facts.by_subject[SubjectId(subject)]
    plugins = found.containerd_plugins
    if not isinstance(plugins, Present):
        return facts
    from gapcheck.fixtures.containerd import load_config

    path = load_config(view(facts, subject)).config_path
    exports = {"RegistryConfigPath": path} if path else {}
    loaded = tuple(
        msgspec.structs.replace(each, exports=exports) if each.id == "images" else each
        for each in plugins.value
    )
    return with_facts(facts, subject, containerd_plugins=Present(loaded))


def unit(facts: FactSet, subject: str, name: str = "containerd.service", **changes: Any) -> FactSet:
    """`facts` with fields of a unit replaced."""
    found: Any = facts.by_subject[SubjectId(subject)]
    old: UnitFact = found.units[name].value
    units = {**found.units, name: Present(msgspec.structs.replace(old, **changes))}
    return with_facts(facts, subject, units=units)


def docker_node(facts: FactSet, subject: str, daemon_json: str | None = None) -> FactSet:
    """`facts` in which the node pulls by dockerd."""
    cluster: Any = facts.by_subject[SubjectId("cluster")]
    name = subject.partition("/")[2]
    nodes = [
        msgspec.structs.replace(each, runtime="docker://20.10.24") if each.name == name else each
        for each in cluster.nodes.value
    ]
    facts = with_facts(facts, "cluster", nodes=Present(tuple(nodes)))
    found: Any = facts.by_subject[SubjectId(subject)]
    started = found.units["containerd.service"].value
    docker = msgspec.structs.replace(started, name="docker.service")
    facts = with_facts(
        facts,
        subject,
        units={"docker.service": Present(docker), "containerd.service": Absent()},
        programs={"dockerd": Present("/usr/bin/dockerd"), "containerd": Absent()},
        files={path: known for path, known in found.files.items() if "containerd" not in path},
        dirs={**{k: v for k, v in found.dirs.items() if "certs.d" not in k},
              "/etc/docker/certs.d": Absent()},
        containerd_version=Absent(),
        docker_version=Present("20.10.24"),
        filesystems={},
    )  # fmt: skip
    if daemon_json is not None:
        facts = put(facts, subject, "/etc/docker/daemon.json", daemon_json)
    return facts


def plugin(name: str, status: str, error: str = "") -> PluginFact:
    return PluginFact(type="io.containerd.grpc.v1", id=name, status=status, error=error)


def image(name: str, text: str, extra: dict[str, bytes]) -> tuple[Site, FactSet, str]:
    """The root of an image with that config.toml and those files, none of the CA's in effect."""
    facts, subject = untrusting(name, folder=False)
    found: Any = facts.by_subject[SubjectId(subject)]
    facts = with_facts(
        facts,
        subject,
        hostspec=f"rootdir://./{name}",
        running=False,
        clock=Absent("image root"),
        units={},
        programs={},
        containerd_version=Absent("image root"),
        containerd_plugins=Absent("image root"),
        containerd_valid=Absent("image root"),
        resolver={},
        filesystems={},
        dirs={**found.dirs, "/etc/docker": Absent(), "/etc/pki/tls": Present(())},
    )
    facts = put(facts, subject, CONFIG, text)
    for path, content in extra.items():
        facts = put(facts, subject, path, content)
    roots = [{"name": each, "target": f"rootdir://./{each}"} for each in ("debian", "rhel")]
    return site(cluster=None, nodes=roots), facts, subject


def guide_files() -> dict[str, bytes]:
    """The copies that the guide's step 3 makes on a node where nothing reads them."""
    return {
        "/etc/pki/tls/registry.crt": ca().pem,
        "/etc/docker/certs.d/ca.crt": ca().pem,
    }
