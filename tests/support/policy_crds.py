"""The PolicyReport definitions as a policy engine installs them, out of its Go module."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from support.needs import absent
from support.needs import program as needed

# The newest version whose files hold v1alpha2 of the working group's prototype.
MODULE = "github.com/kyverno/kyverno@v1.11.4"
KINDS = {"PolicyReport": "policyreports", "ClusterPolicyReport": "clusterpolicyreports"}


@cache
def files() -> tuple[Path, ...]:
    """One file a definition; skips the test where the module cannot be had, fails it under CI."""
    words = [needed("go"), "mod", "download", "-json", MODULE]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        absent(f"{MODULE} cannot be had: {done.stdout[-300:]}{done.stderr[-300:]}")
    folder = Path(json.loads(done.stdout)["Dir"]) / "config/crds"
    return tuple(folder / f"wgpolicyk8s.io_{plural}.yaml" for plural in KINDS.values())


def schema(kind: str, *, closed: bool) -> Any:
    """The definition's schema of v1alpha2; `closed` = a key it does not know is an error."""
    for path in files():
        definition = YAML(typ="safe").load(path)
        if definition["spec"]["names"]["kind"] == kind:
            (version,) = (v for v in definition["spec"]["versions"] if v["name"] == "v1alpha2")
            found = version["schema"]["openAPIV3Schema"]
            return _closed(found) if closed else found
    raise LookupError(kind)


def _closed(schema: Any) -> Any:
    """What the API server would prune is refused: all but metadata, which it knows itself."""
    if isinstance(schema, dict):
        known = {key: _closed(value) for key, value in schema.items()}
        if "properties" in known and "additionalProperties" not in known:
            known["additionalProperties"] = False
        return known
    return [_closed(each) for each in schema] if isinstance(schema, list) else schema
