"""`gapcheck init`: a commented site file from what can be discovered.

Every line says where its value came from; what was not discovered stands there as a comment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gapcheck.errors import UsageError

if TYPE_CHECKING:
    from gapcheck.init_discovery import Found, Installed, Served

_PLAIN = re.compile(r"[A-Za-z/~][A-Za-z0-9._/~@-]*")
_AMBIGUOUS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_SHOWN = 20


def discover(  # noqa: PLR0913 - one for each option of the command
    *,
    registry: str | None = None,
    address: str | None = None,
    ca: Path | None = None,
    kubeconfig: Path | None = None,
    context: str | None = None,
    namespace: str | None = None,
    release: str | None = None,
) -> str:
    """The text of a new site file. What is given is taken as it is; the rest is looked for.

    Raises UsageError only where a given registry, address or CA file is not one; a network or a
    cluster that does not answer is a note in the file.
    """
    from gapcheck.init_discovery import meet_cluster, meet_registry, private_registry

    named, where = _given(registry, address, ca)
    config = kubeconfig or _default_kubeconfig()
    found = None
    if config is not None:
        found = meet_cluster(config, context, namespace=namespace, release=release)
    if named is None and found is not None:
        named = private_registry(found.releases)
    chosen = _chosen(found, release)
    served = meet_registry(*named, where) if named is not None else None
    lines = [
        "# Site file of gapcheck; docs: the site file reference. Check it, then run:",
        "#   gapcheck check --site THIS-FILE",
        "version: 1",
        "",
        *_registry(
            served, ca, given=registry is not None, address=where, rendered=chosen is not None
        ),
        "",
        *_nodes(found),
        "",
        *_cluster(config, found),
        "",
        *_release(found, chosen, namespace, release),
        "",
        *_rest(),
    ]
    return "\n".join(lines) + "\n"


def write_site(path: Path, text: str, *, force: bool = False) -> None:
    """Write a new site file; raises UsageError where one stands there already and not `force`."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as there:
        raise UsageError(f"{path} exists and was left as it is", "--force replaces it") from there
    except OSError as wrong:
        raise UsageError(f"{path} cannot be written: {wrong.strerror}") from wrong


def _given(
    registry: str | None, address: str | None, ca: Path | None
) -> tuple[tuple[str, int] | None, str | None]:
    """Host and port, and the address, as far as they were given; raises UsageError."""
    from gapcheck.site_file import check_ca_file, site_of_host

    loaded = site_of_host(registry or "registry.local", ca=ca, address=address)
    check_ca_file(loaded)
    named = loaded.site.registry
    return (None if registry is None else (named.host, named.port)), named.address


def _default_kubeconfig() -> Path | None:
    """What kubectl would use: the first existing file of KUBECONFIG, else ~/.kube/config."""
    names = [each for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    candidates = [Path(each) for each in names] or [Path("~/.kube/config").expanduser()]
    return next((each for each in candidates if each.is_file()), None)


def _text(value: str) -> str:
    """A YAML scalar that reads back as this text."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _AMBIGUOUS
    return value if plain else json.dumps(value)


def _note(text: str) -> str:
    """A comment of one line, whatever the text holds."""
    return "# " + "".join(each if each.isprintable() else " " for each in text)


def _notes(notes: list[str]) -> Iterator[str]:
    for each in notes:
        yield "  " + _note(each)


def _registry(
    served: Served | None, ca: Path | None, *, given: bool, address: str | None, rendered: bool
) -> Iterator[str]:
    yield "registry:"
    if served is None:
        yield "  host: registry.local  # not discovered: write the name that image references use"
        yield "  # address: 10.0.0.2"
    else:
        source = "given" if given else "most images of the releases come from it"
        yield f"  host: {_text(served.host)}  # {source}"
        yield f"  port: {served.port}"
        yield from _address(served, address)
    yield from _ca(served, ca)
    if served is not None:
        yield from _notes(served.notes)
    yield "  # target: ssh://root@registry-host  # the machine that holds the registry's files"
    yield "  # certificate: /certs/registry.crt   # there"
    yield "  # key: /certs/registry.key           # there"
    yield "  # storage: /var/lib/registry         # there"
    yield "  # container: registry                # there"
    if rendered:
        yield "  images_from: release  # every image that the release below renders"
    else:
        yield "  # images: []                         # references the site needs"


def _address(served: Served, address: str | None) -> Iterator[str]:
    if address is not None:
        yield f"  address: {_text(address)}  # given"
    elif served.addresses:
        first, *others = served.addresses
        more = f", and to {', '.join(others)}" if others else ""
        yield f"  address: {_text(first)}  # {served.host} resolves to it here{more}"
    else:
        yield "  # address: 10.0.0.2  # not discovered"


def _ca(served: Served | None, ca: Path | None) -> Iterator[str]:
    if ca is not None:
        yield f"  ca_file: {_text(str(ca.absolute()))}  # given"
        return
    yield "  # ca_file: ca.crt  # what clients are given; without it this machine's store is used"
    if served is None or not served.chain:
        return
    for at, each in enumerate(served.chain):
        yield "  " + _note(f"served certificate {at}: {each.named}")
    last = served.chain[-1]
    if last.self_issued:
        yield "  " + _note(
            "the last one is its own issuer; compare its fingerprint with the registry's"
            " administrator before it becomes ca_file"
        )
    else:
        yield "  " + _note(f"the CA is not served; it is: {last.issuer}")


def _nodes(found: Found | None) -> Iterator[str]:
    if found is None or not found.nodes:
        yield "# nodes:  # machines that pull images; not discovered"
        yield "#   - ssh://root@node-1"
        return
    usable = [each for each in found.nodes if each.schedulable]
    yield "nodes:"
    yield "  from: cluster"
    yield "  target: ssh://{name}  # or ssh://root@{address}"
    yield f"  # {len(usable)} of {len(found.nodes)} nodes are schedulable:"
    for each in usable[:_SHOWN]:
        first = each.addresses[0] if each.addresses else "no address"
        yield "  " + _note(f"  {each.name}, {first}, {each.runtime}")
    if len(usable) > _SHOWN:
        yield f"  #   and {len(usable) - _SHOWN} more"


def _cluster(config: Path | None, found: Found | None) -> Iterator[str]:
    if config is None or found is None:
        yield "# cluster:  # no kubeconfig was given or found"
        yield "#   kubeconfig: ~/.kube/config"
        yield "#   # or, instead of a kubeconfig: manifests: rendered/"
        return
    yield "cluster:"
    yield f"  kubeconfig: {_text(str(config.absolute()))}"
    if found.context:
        yield f"  context: {_text(found.context)}"
    if found.endpoint:
        yield "  " + _note(f"API server: {found.endpoint}")
    yield from _notes(found.notes)


def _chosen(found: Found | None, release: str | None) -> Installed | None:
    """The release that was named, or the first of a chart whose values are known."""
    releases = found.releases if found is not None else ()
    known = next((each for each in releases if each.profile != "generic"), None)
    return known or next(iter(releases if release else ()), None)


def _release(
    found: Found | None, chosen: Installed | None, namespace: str | None, release: str | None
) -> Iterator[str]:
    releases = found.releases if found is not None else ()
    if chosen is None:
        head = "" if release or namespace else "# "
        yield f"{head}release:  # no such Helm release was found"
        yield f"{head}  name: {_text(release or 'coder')}"
        yield f"{head}  namespace: {_text(namespace or 'coder')}"
        yield f"{head}  profile: coder-v1"
        for each in releases[:_SHOWN]:
            yield _note(f"found: {_shown(each)}")
        return
    record = chosen.record
    yield "release:"
    yield f"  name: {_text(record.name)}"
    yield f"  namespace: {_text(record.namespace)}"
    yield f"  profile: {chosen.profile}"
    yield "  " + _note(f"found: {_shown(chosen)}")
    for image in chosen.images[:_SHOWN]:
        yield "  " + _note(f"image: {image}")
    yield "  # values: [values.yaml]"
    for each in releases[:_SHOWN]:
        if each is not chosen:
            yield "  " + _note(f"also there: {_shown(each)}")


def _shown(each: Installed) -> str:
    record = each.record
    what = f"{record.chart} {record.chart_version}, revision {record.revision}, {record.status}"
    return f"{record.namespace}/{record.name}: {what}"


def _rest() -> Iterator[str]:
    yield "# dns:"
    yield "#   resolvers: [10.0.0.53]  # DNS servers of the site"
    yield "# services: [git.local]     # other HTTPS hosts that pods must trust"
    yield "# policy:"
    yield "#   min_days_left: 30"
    yield "# waivers: []"
    yield "# phase: pre  # where the release is not installed yet"
