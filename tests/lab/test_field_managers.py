"""Who owns the fields that a repair writes, by a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.places import Places, plan_of

from gapcheck.model import CLUSTER, SubjectId
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.plan import PatchObject
from gapcheck.site import Cluster
from lab.control_plane import ControlPlane, control_plane

pytestmark = pytest.mark.lab

NEW, OLD = "10.0.0.2", "10.9.9.9"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("control")) as made:
        yield made


class Owned(Places):
    """A workload and a secret that GitOps applies server-side, in a namespace of their own."""

    control: ControlPlane

    @property
    def namespace(self) -> str:
        return self.home.name.replace("_", "-")

    def machine(self, subject: SubjectId, locks: FolderLocks | None = None) -> Machine:
        del locks
        assert subject == CLUSTER
        cluster = Cluster(kubeconfig=str(self.control.kubeconfig))
        return ClusterMachine(cluster, base=self.home, namespace=self.namespace, wait_s=0.1)

    def applies(self, kind: str, **changes: Any) -> str:
        """GitOps applies its text; what the API server says."""
        words = ("apply", "--server-side", "--field-manager=gitops", "-f", "-")
        body = getattr(self, kind)(**changes)
        return self.control.kubectl(*words, given=json.dumps(body), check=False)

    def deployment(self, ip: str = OLD, name: str = "registry.local") -> dict[str, Any]:
        spec = {
            "hostAliases": [{"ip": ip, "hostnames": [name]}],
            "containers": [{"name": "c", "image": "i"}],
        }
        metadata = {"name": "coderd", "namespace": self.namespace}
        pod = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
        selector = {"matchLabels": {"a": "b"}}
        return {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"selector": selector, "template": pod},
        }  # fmt: skip

    def secret(self, **data: str) -> dict[str, Any]:
        metadata = {"name": "ca", "namespace": self.namespace}
        values = {"ca": "b2xk", "key": "a2V5", **data}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": values}

    def now(self, kind: str) -> Any:
        name = {"deployment": "deployment/coderd", "secret": "secret/ca"}[kind]
        words = ("get", name, "-n", self.namespace, "-o", "json", "--show-managed-fields")
        return json.loads(self.control.kubectl(*words))

    def patch(self, kind: str, body: Any, **more: Any) -> PatchObject:
        found = self.now(kind)
        metadata = found["metadata"]
        return PatchObject(
            target=CLUSTER, api_version=found["apiVersion"], kind=found["kind"],
            namespace=self.namespace, name=metadata["name"], uid=metadata["uid"],
            resource_version=metadata["resourceVersion"], patch=body,
            generation=metadata.get("generation", 0), **more,
        )  # fmt: skip

    def repair(self) -> None:
        """The stale alias goes and the right one comes; the CA is renewed, a leaked key goes."""
        aliases = {"hostAliases": [{"ip": NEW, "hostnames": ["registry.local"]}]}
        pods = self.patch("deployment", {"spec": {"template": {"spec": aliases}}})
        results = self.apply(
            plan_of(pods, self.patch("secret", {"data": {"ca": "bmV3", "key": None}}))
        )
        assert [each.state for each in results] == ["applied", "applied"], results


@pytest.fixture
def here(control: ControlPlane, tmp_path: Path) -> Owned:
    made = Owned(tmp_path)
    made.control = control
    control.kubectl("create", "namespace", made.namespace)
    assert "serverside-applied" in made.applies("deployment")
    assert "serverside-applied" in made.applies("secret")
    return made


def test_what_a_repair_takes_away_is_gone_whoever_owned_it(here: Owned) -> None:
    here.repair()

    pod = here.now("deployment")["spec"]["template"]["spec"]
    assert pod["hostAliases"] == [{"ip": NEW, "hostnames": ["registry.local"]}]
    assert here.now("secret")["data"] == {"ca": "bmV3"}


def test_a_later_apply_of_what_we_changed_conflicts_and_names_gapcheck(here: Owned) -> None:
    here.repair()

    said = here.applies("deployment", ip=NEW, name="other.local")
    field = f'.spec.template.spec.hostAliases[ip="{NEW}"].hostnames'
    assert f'conflict with "gapcheck" using apps/v1: {field}' in said
    assert 'conflict with "gapcheck" using v1: .data.ca' in here.applies("secret")


def test_an_undo_gives_the_fields_back_to_their_owner(here: Owned) -> None:
    before = {
        kind: here.now(kind)["metadata"]["managedFields"] for kind in ("deployment", "secret")
    }
    here.repair()

    (result,) = here.undo()

    assert result.state == "undone", result
    for kind, owners in before.items():
        assert here.now(kind)["metadata"]["managedFields"] == owners
    assert "serverside-applied" in here.applies("deployment", name="other.local")
    assert "serverside-applied" in here.applies("secret", ca="bmV3ZXI=")


def test_an_undo_of_the_undo_makes_the_fields_ours_again(here: Owned) -> None:
    here.repair()
    here.undo(by="run-2")

    here.undo("run-2", by="run-3")

    assert here.now("secret")["data"] == {"ca": "bmV3"}
    assert 'conflict with "gapcheck" using v1: .data.ca' in here.applies("secret")
