"""Helm's records of a release as they are in the cluster now, and the workloads in them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gapcheck.errors import RepairRefused
from gapcheck.fixtures.helm import HelmDefect, decode_record
from gapcheck.fixtures.kube_objects import map_of, text_of
from gapcheck.fixtures.probes.kube import KubeError
from gapcheck.fixtures.probes.release import newest_record
from gapcheck.fixtures.yaml_nodes import YamlDefect, load
from gapcheck.model import CLUSTER
from gapcheck.remediations.machines.cluster_api import ClusterApi

ROLLED = ("Deployment", "StatefulSet", "DaemonSet")
_RESOURCES = {"secret": "secrets", "configmap": "configmaps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InManifest:
    """One object of a release's manifest; `namespace` '' = it names none."""

    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One revision as Helm has it. `driver` is secret or configmap, `uid` its object's own.

    `manifest` may hold secrets and is shown nowhere.
    """

    revision: int
    status: str
    description: str
    uid: str
    driver: str
    manifest: str = field(repr=False)

    @property
    def told(self) -> str:
        """What tells this revision from any other that has had its number."""
        return f"revision {self.revision} ({self.uid})"

    def objects(self) -> tuple[InManifest, ...]:
        """The objects that the chart rendered; () where the manifest cannot be read."""
        try:
            values = [each.value for each in load(self.manifest)]
        except YamlDefect:
            return ()
        return tuple(_objects(values))


def newest(api: ClusterApi, namespace: str, name: str) -> Stored | None:
    """The newest revision of the release, None where Helm has no record of it.

    Raises RepairRefused where its record cannot be read.
    """
    for driver, resource in _RESOURCES.items():
        folder = f"/api/v1/namespaces/{quote(namespace)}/{resource}"
        query = {"labelSelector": f"owner=helm,name={name}"}
        try:
            record = newest_record(api.kube().items(folder, query, metadata_only=True))
        except KubeError as failed:
            raise RepairRefused(
                CLUSTER, f"list {resource} -n {namespace}: {failed.why}"
            ) from failed
        found = api.get(f"{folder}/{quote(record)}") if record else None
        if found is not None:
            return _stored(found, driver)
    return None


def has_revision(
    api: ClusterApi, release: Stored, name: str, namespace: str, revision: str
) -> bool:
    """Whether Helm still has the record of a former revision."""
    folder = f"/api/v1/namespaces/{quote(namespace)}/{_RESOURCES[release.driver]}"
    return api.get(f"{folder}/sh.helm.release.v1.{quote(name)}.v{quote(revision)}") is not None


def _stored(found: Mapping[str, Any], driver: str) -> Stored:
    metadata = map_of(found.get("metadata"))
    text = text_of(map_of(found.get("data")), "release").encode()
    try:
        record = decode_record(base64.b64decode(text) if driver == "secret" else text)
    except (HelmDefect, binascii.Error) as bad:
        raise RepairRefused(CLUSTER, f"{text_of(metadata, 'name')}: {bad}") from bad
    info = map_of(record.get("info"))
    return Stored(
        revision=int(record.get("version") or 0),
        status=text_of(info, "status"),
        description=text_of(info, "description"),
        uid=text_of(metadata, "uid"),
        driver=driver,
        manifest=text_of(record, "manifest"),
    )


def _objects(values: list[Any]) -> Iterator[InManifest]:
    for value in values:
        body = map_of(value)
        metadata = map_of(body.get("metadata"))
        if text_of(body, "kind") and text_of(metadata, "name"):
            yield InManifest(
                api_version=text_of(body, "apiVersion"),
                kind=text_of(body, "kind"),
                namespace=text_of(metadata, "namespace"),
                name=text_of(metadata, "name"),
            )
