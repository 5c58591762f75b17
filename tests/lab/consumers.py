"""The real consumers of a cluster: kubelet's pull of a canary on each node, and the product."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.machines import until
from lab.product import NAMESPACE
from lab.registries import HOST

if TYPE_CHECKING:
    from lab.control import Control

_PATIENCE_S = 120.0
_FAILED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")


def canary(control: Control, node: str) -> str:
    """Have `node` pull and run a pod; '' where it runs, else what kubelet says of it."""
    name = f"canary-{node}"
    container = {
        "name": "canary", "image": f"{HOST}/busybox:1", "imagePullPolicy": "Always",
        "command": ["/bin/sleep", "600"],
    }  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0,
        },
    }  # fmt: skip
    control.apply(pod)
    try:
        return _settled(control, name)
    finally:
        control.kubectl("delete", "pod", name, "-n", "default", "--now", "--ignore-not-found")


def _settled(control: Control, name: str) -> str:
    said: list[str] = []

    def is_settled() -> bool:
        pod = json.loads(control.kubectl("get", "pod", name, "-n", "default", "-o", "json"))
        said[:] = _said_of(pod) or _sandbox_event(control, name)
        return bool(said)

    until(f"the pod {name} to run or to fail", is_settled, _PATIENCE_S)
    return "" if said == ["running"] else said[0]


def _said_of(pod: dict[str, Any]) -> list[str]:
    """['running'], or why the container waits, or [] while neither is known."""
    for status in pod["status"].get("containerStatuses", []):
        state = status["state"]
        if "running" in state and status["started"]:
            return ["running"]
        waiting = state.get("waiting", {})
        if waiting.get("reason") in _FAILED:
            return [waiting.get("message", waiting["reason"])]
    return []


def _sandbox_event(control: Control, name: str) -> list[str]:
    chosen = f"involvedObject.name={name},reason=FailedCreatePodSandBox"
    said = control.kubectl(
        "get", "events", "-n", "default", "--field-selector", chosen, "-o", "json"
    )
    return [event["message"] for event in json.loads(said)["items"]][-1:]


def restart_product(control: Control) -> None:
    """Have coderd start anew, as it does one day."""
    control.kubectl("rollout", "restart", "deployment/coderd", "-n", NAMESPACE)


def product(control: Control) -> str:
    """'' where the newest coderd is ready, else what it, or kubelet of it, says."""
    said: list[str] = []

    def is_settled() -> bool:
        said[:] = _product_says(control)
        return bool(said)

    until("coderd to be ready or to fail", is_settled, _PATIENCE_S)
    return "" if said == ["ok"] else said[0]


def store(control: Control) -> str:
    """'' where the product's database runs, else what kubelet says of it."""
    said: list[str] = []

    def is_settled() -> bool:
        words = ("get", "pod", "timescale-0", "-n", NAMESPACE, "-o", "json", "--ignore-not-found")
        found = control.kubectl(*words)
        said[:] = _said_of(json.loads(found)) if found else []
        return bool(said)

    until("timescale to run or to fail", is_settled, _PATIENCE_S)
    return "" if said == ["running"] else said[0]


def _product_says(control: Control) -> list[str]:
    found = control.kubectl(
        "get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=coderd", "-o", "json"
    )
    pods = sorted(json.loads(found)["items"], key=lambda pod: pod["metadata"]["creationTimestamp"])
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if not alive or not _is_newest(control, alive[-1]):
        return []
    name = alive[-1]["metadata"]["name"]
    waits = _said_of(alive[-1])
    if waits != ["running"]:
        return waits or _mount_event(control, name)
    # Its log has a line for each change of the answer, the time before it.
    lines = control.kubectl("logs", "-n", NAMESPACE, name, check=False).splitlines()
    return [lines[-1].split(" ", 2)[2]] if lines and "deadline exceeded" not in lines[-1] else []


def _is_newest(control: Control, pod: dict[str, Any]) -> bool:
    found = json.loads(control.kubectl("get", "deployment/coderd", "-n", NAMESPACE, "-o", "json"))
    if found["status"].get("observedGeneration") != found["metadata"]["generation"]:
        return False
    sets = json.loads(control.kubectl("get", "replicasets", "-n", NAMESPACE, "-o", "json"))["items"]
    revision = found["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    key = "deployment.kubernetes.io/revision"
    wanted = [each["metadata"]["name"] for each in sets
              if each["metadata"]["annotations"].get(key) == revision]  # fmt: skip
    return any(pod["metadata"]["name"].startswith(f"{each}-") for each in wanted)


def _mount_event(control: Control, name: str) -> list[str]:
    chosen = f"involvedObject.name={name},reason=FailedMount"
    said = control.kubectl(
        "get", "events", "-n", NAMESPACE, "--field-selector", chosen, "-o", "json"
    )
    return [event["message"] for event in json.loads(said)["items"]][-1:]
