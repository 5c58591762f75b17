"""What of a file may be shown to a person: no private key, no password. Pure."""

from __future__ import annotations

from gapcheck.fixtures.helm import dotted, is_public
from gapcheck.fixtures.manifests import public_text
from gapcheck.fixtures.probes.paths import kind_of
from gapcheck.fixtures.redact import kept
from gapcheck.fixtures.yaml_nodes import YamlDefect, load
from gapcheck.fixtures.yaml_redact import redacted
from gapcheck.remediations.diff import unified

_KEY = b"PRIVATE KEY"
_YAML = (".yaml", ".yml")


def public(path: str, content: bytes | None) -> bytes | None:
    """`content` of `path` with what may be secret masked; None: nothing of it may be shown."""
    if content is None:
        return b""
    if _KEY in content:
        return None
    if not path.endswith(_YAML) or path.endswith("/registries.yaml"):
        return kept(content, kind_of(path))
    try:
        text = content.decode()
        documents = load(text)
        if any(isinstance(each.value, dict) and "kind" in each.value for each in documents):
            return public_text(text, documents, "default").encode()
        keep = lambda _: lambda keys, value: is_public(dotted(keys), value)  # noqa: E731 - as a table of values is read
        return redacted(text, documents, keep).encode()
    except (UnicodeDecodeError, YamlDefect):
        return None


def public_diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Unified diff of two contents as they may be shown, or a line that says why there is none."""
    old, new = public(path, before), public(path, after)
    if old is None or new is None:
        return f"(no diff: {path} may hold a private key or a password)\n"
    if old == new and before is not None and after is not None:
        return "(the difference lies in parts that are not shown)\n"
    return unified(path, None if before is None else old, None if after is None else new)
