"""The registry's folder below config_path, as changes: its CA file and hosts.toml."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import Unmeasured
from gapcheck.fixtures import pki
from gapcheck.fixtures.certs_d import containerd_folder, host_names
from gapcheck.fixtures.facts import NodeFacts
from gapcheck.fixtures.hosts_toml import Endpoint
from gapcheck.fixtures.node_files import before_sha256, content_at, exists, leaks
from gapcheck.fixtures.registry_ca import RegistryCa
from gapcheck.fixtures.runtimes import Generation
from gapcheck.fixtures.tomls import TomlDefect, read_toml, table_at
from gapcheck.fixtures.trust_store import pem_block
from gapcheck.remediations.node.whole_files import written
from gapcheck.remediations.plan import Change, EditToml, KeyEdit
from gapcheck.view import NodeView

_CAPABILITIES = ["pull", "resolve"]


def own_folder(view: NodeView, root: str) -> str:
    """The folder of this registry below `root`: the one in use, else one of its plain name."""
    for name in host_names(view.site.registry.netloc)[:-1]:
        if exists(view.facts, f"{root}/{name}"):
            return f"{root}/{name}"
    return f"{root}/{view.site.registry.netloc}"


def host_folder(
    view: NodeView, folder: str, ca: RegistryCa, generation: Generation
) -> Iterator[Change]:
    """What the folder lacks: every generation from 1.5 on is served by both files together."""
    netloc = view.site.registry.netloc
    if exists(view.facts, folder):
        found = containerd_folder(view, folder, netloc, generation)
        sound = (
            not found.fatal and not found.skip_verify and not (found.hosts and found.hosts.defect)
        )
        pure = found.hosts is None or all(not each.plain_http for each in found.hosts.endpoints)
        leaking = leaks(view.facts, f"{folder}/ca.crt")
        if sound and pure and not leaking and found.fingerprints >= _wanted(ca):
            return
    yield from ca_file(view, folder, ca)
    yield from _hosts_toml(view, folder, netloc)


def ca_file(view: NodeView, folder: str, ca: RegistryCa) -> Iterator[Change]:
    """`ca.crt` in `folder` with the site's CA, and what it held beside it."""
    facts: NodeFacts = view.facts
    path = f"{folder}/ca.crt"
    content = content_at(view, facts, path) or b""
    held = pki.pool(content)
    leaking = leaks(facts, path)
    if not held.notes and not leaking and pki.fingerprints(content) >= _wanted(ca):
        return
    ders = dict.fromkeys((*ca.certificates, *held.certificates))
    yield written(view, path, b"".join(pem_block(der) for der in ders))


def new_hosts_toml(netloc: str, folder: str) -> str:
    """A hosts.toml that 1.5 to 2.x read alike."""
    return (
        f'server = "https://{netloc}"\n\n'
        f'[host."https://{netloc}"]\n'
        f'  capabilities = ["pull", "resolve"]\n'
        f'  ca = "{folder}/ca.crt"\n'
    )


def _wanted(ca: RegistryCa) -> frozenset[str]:
    return frozenset(pki.fingerprint(der) for der in ca.certificates)


def _hosts_toml(view: NodeView, folder: str, netloc: str) -> Iterator[Change]:
    path = f"{folder}/hosts.toml"
    before = before_sha256(view.facts, path)
    content = content_at(view, view.facts, path)
    edits = None if content is None else _edits(view, content, folder, netloc)
    if edits is None:
        yield written(view, path, new_hosts_toml(netloc, folder).encode())
    elif edits:
        yield EditToml(target=view.subject, path=path, before_sha256=before, edits=edits)


def _edits(view: NodeView, content: bytes, folder: str, netloc: str) -> tuple[KeyEdit, ...] | None:
    """Edits that make the registry's own entry right; None: the file has to be written anew."""
    text = content.decode(errors="replace")
    try:
        table = read_toml(text)
    except TomlDefect:
        return None
    hosts = table.get("host", {})
    if not text.strip() or not isinstance(hosts, dict):
        return None
    ours = [url for url in hosts if Endpoint(url=url).netloc == netloc]
    url = next((each for each in ours if each.startswith("https://")), f"https://{netloc}")
    wanted = {"capabilities": _CAPABILITIES, "ca": f"{folder}/ca.crt"}
    edits = [
        KeyEdit(op="set", keys=("host", url, key), value=value)
        for key, value in wanted.items()
        if table_at(hosts, url).get(key) != value
    ]
    edits += [_delete("host", each) for each in ours if each.startswith("http://")]
    edits += [
        _delete("host", each, "skip_verify")
        for each in ours
        if each.startswith("https://") and table_at(hosts, each).get("skip_verify") is not None
    ]
    edits += [_delete(key) for key in ("skip_verify", "ca") if key in table]
    server = f"https://{netloc}"
    if str(table.get("server", "")) != server:
        edits.append(KeyEdit(op="set", keys=("server",), value=server))
    for other, each in hosts.items():
        if other not in ours:
            edits += _foreign_edits(view, folder, other, each)
    return tuple(edits)


def _foreign_edits(view: NodeView, folder: str, url: str, entry: object) -> Iterator[KeyEdit]:
    """A mirror's entry stays; only a CA that is not there, and stops every pull, goes."""
    ca = entry.get("ca") if isinstance(entry, dict) else None
    path = ca if isinstance(ca, str) else ""
    if not path:
        return
    full = path if path.startswith("/") else f"{folder}/{path}"
    try:
        missing = content_at(view, view.facts, full) is None
    except Unmeasured:
        return
    if missing:
        yield _delete("host", url, "ca")


def _delete(*keys: str) -> KeyEdit:
    return KeyEdit(op="delete", keys=keys)
