"""A Helm release as Helm stores it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

TEMPLATE = """image: {{ .Values.coderd.image }}
{{- with .Values.certs.secret }}{{ .name }}{{ end }}
env: {{ .Values.envbox.image }} {{ .Values.postgres.default.image }}
"""


def release(**changes: Any) -> dict[str, Any]:
    """A deployed release of a chart like the guide's."""
    return {
        "name": "coder",
        "namespace": "coder",
        "version": 3,
        "info": {"status": "deployed"},
        "manifest": "---\nkind: X\n",
        "config": {
            "coderd": {"image": "registry.local/coderenvs/coder-service:1.44.3"},
            "timescale": {"image": "registry.local/coderenvs/timescale:1.44.3"},
            "certs": {"secret": {"name": "local-registry-cert", "key": "registry.crt"}},
            "oidc": {"clientSecret": "helm-s3cret"},
        },
        "chart": {
            "metadata": {"name": "coder", "version": "1.27.0", "appVersion": "1.27.0"},
            "values": {
                "coderd": {"image": "docker.io/coderenvs/coder-service:1.27.0"},
                "admin": {"password": "default-s3cret"},
            },
            "templates": [
                {
                    "name": "templates/coderd.yaml",
                    "data": base64.b64encode(TEMPLATE.encode()).decode(),
                }
            ],
        },
        **changes,
    }


def stored(record: Mapping[str, Any]) -> bytes:
    """The record as Helm puts it under the key `release`."""
    return base64.b64encode(gzip.compress(json.dumps(record).encode(), mtime=0))


def secret(record: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret that holds the record, as the API returns it."""
    version = record["version"]
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": f"sh.helm.release.v1.{record['name']}.v{version}",
            "namespace": record["namespace"],
            "labels": {"owner": "helm", "name": record["name"], "version": str(version)},
        },
        "data": {"release": base64.b64encode(stored(record)).decode()},
    }
