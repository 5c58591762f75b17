"""`gapcheck export cronjob`: drift every night, run by the site's own cluster. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gapcheck.errors import UsageError
from gapcheck.exits import Exit
from gapcheck.exporting.grants import check_grants, report_grants
from gapcheck.exporting.inside import (
    CA,
    KUBECONFIG,
    PASSWORD,
    SSH_FOLDER,
    USERNAME,
    Inside,
    inside,
    site_table,
)
from gapcheck.exporting.rbac import ACCOUNT, roles
from gapcheck.exporting.source import Export
from gapcheck.exporting.text import Noted, comment, document
from gapcheck.fixtures import pki
from gapcheck.fixtures.trust_store import pem_block
from gapcheck.site import Site

REGISTRY_SECRET = "gapcheck-registry"  # noqa: S105 - the name of a Secret
_FOLDER, _STATE = "/etc/gapcheck", "/var/lib/gapcheck"
_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_USER = 65532
# A config map of more is refused by the API server (1 MiB).
_MOST_BYTES = 1_000_000
_DEADLINE_S = 3600

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronJob:
    """What the operator chooses; '' = none."""

    image: str
    namespace: str = "gapcheck"
    schedule: str = "17 3 * * *"
    storage: str = "1Gi"
    ssh_secret: str = ""
    pull_secret: str = ""


def cronjob(site: Site, ca_pem: bytes | None, wanted: CronJob) -> Export:
    """All objects as YAML documents; `notes` say what the pod cannot judge, and what is to do.

    Raises UsageError where the site has no live cluster, its CA file holds no certificate that
    Go loads, or what the pod has to read is too large for a config map.
    """
    found = inside(site, ssh=bool(wanted.ssh_secret))
    files = _files(found.site, ca_pem)
    account = {"name": ACCOUNT, "namespace": wanted.namespace}
    grants = [*check_grants(found.site), *report_grants(found.site)]
    place = {"name": "gapcheck", "namespace": wanted.namespace}
    documents = [
        document(_head(found, wanted), _namespace(wanted.namespace)),
        document((), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}),
        *roles(grants, purpose="check", account=account),
        document((), _claim(place, wanted.storage)),
        document((), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": files}),
        document((), _job(found, place, wanted)),
    ]
    notes = (*(f"left: {each}" for each in found.left), *_to_do(found, wanted))
    code = Exit.FAILED if found.left else Exit.OK
    return Export(text="".join(documents), notes=notes, code=code)


def _head(found: Inside, wanted: CronJob) -> Iterator[str]:
    yield from comment(
        "gapcheck drift on a schedule: the history lies on the volume, the last report beside it, "
        "and each verdict is in the PolicyReport objects. A job fails where a check fails (exit "
        "1), something was not measured (6) or the site differs from the last run (8); the job's "
        "condition names the code, its log the cause. The first run begins the history.",
        *(f"Left: {each}" for each in found.left),
    )
    yield from (f"# {line}" for line in _to_do(found, wanted))  # whole, to be copied


def _to_do(found: Inside, wanted: CronJob) -> Iterator[str]:
    """What has to be there and is not made here, for gapcheck handles no passwords and keys."""
    of = f"kubectl -n {wanted.namespace} create secret generic"
    if found.asks_secret:
        files = "--from-file=username=FILE --from-file=password=FILE"
        yield f"needed: {of} {REGISTRY_SECRET} {files}"
    if wanted.ssh_secret:
        files = "--from-file=config=FILE --from-file=known_hosts=FILE --from-file=id=FILE"
        yield f"needed: {of} {wanted.ssh_secret} {files}"
        yield f"needed: its config names {SSH_FOLDER}/id and {SSH_FOLDER}/known_hosts"
        yield f"needed: ssh in the image, and the user {_USER} in its /etc/passwd"


def _files(site: Site, ca_pem: bytes | None) -> Json:
    """What the pod reads: no key, no password, and of the CA file the certificates alone."""
    found: Json = {
        "site.yaml": document((), site_table(site)).removeprefix("---\n"),
        KUBECONFIG: document((), _kubeconfig()).removeprefix("---\n"),
    }
    if ca_pem is not None:
        ders = pki.pool(ca_pem).certificates
        if not ders:
            raise UsageError(
                "the CA file holds no certificate that Go loads", "gapcheck explain CERT-FILE-001"
            )
        found[CA] = "".join(pem_block(der).decode("ascii") for der in ders)
    size = sum(len(text.encode()) for text in found.values())
    if size > _MOST_BYTES:
        raise UsageError(f"site file and CA are {size} bytes; a config map holds {_MOST_BYTES}")
    return found


def _kubeconfig() -> Json:
    """The service account's own way to the API; the token is renewed in its file."""
    cluster = {
        "server": "https://kubernetes.default.svc",
        "certificate-authority": f"{_TOKEN}/ca.crt",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "inside",
        "clusters": [{"name": "inside", "cluster": cluster}],
        "users": [{"name": "account", "user": {"tokenFile": f"{_TOKEN}/token"}}],
        "contexts": [{"name": "inside", "context": {"cluster": "inside", "user": "account"}}],
    }


def _namespace(name: str) -> Json:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _claim(place: Json, storage: str) -> Json:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": place, "spec": spec}


def _job(found: Inside, place: Json, wanted: CronJob) -> Json:
    fails = {
        "action": "FailJob",
        "onExitCodes": {"containerName": "gapcheck", "operator": "NotIn", "values": [0]},
    }
    job = {
        "backoffLimit": Noted(0, ("A second try would not see the drift that the first one saw.",)),
        "activeDeadlineSeconds": _DEADLINE_S,
        "podFailurePolicy": Noted(
            {"rules": [fails]}, ("So the job's condition names the exit code.",)
        ),
        "template": {"spec": _pod(found, wanted)},
    }
    spec = {
        "schedule": wanted.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _DEADLINE_S,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": job},
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": place, "spec": spec}


def _pod(found: Inside, wanted: CronJob) -> Json:
    pull = {"imagePullSecrets": [{"name": wanted.pull_secret}]} if wanted.pull_secret else {}
    identity = {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    return {
        "serviceAccountName": ACCOUNT,
        "restartPolicy": "Never",
        **pull,
        "securityContext": {**identity, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(found, wanted)],
        "volumes": [
            {"name": "site", "configMap": {"name": "gapcheck"}},
            {"name": "history", "persistentVolumeClaim": {"claimName": "gapcheck"}},
            {"name": "tmp", "emptyDir": {}},
            *_ssh_volume(wanted),
        ],
    }


def _ssh_volume(wanted: CronJob) -> list[Json]:
    if not wanted.ssh_secret:
        return []
    # 0440: the group of the pod reads it, and ssh minds the mode of its user's own files alone.
    secret = {"secretName": wanted.ssh_secret, "defaultMode": 0o440}
    return [{"name": "ssh", "secret": secret}]


def _container(found: Inside, wanted: CronJob) -> Json:
    command = ["gapcheck", "drift", "--site", f"{_FOLDER}/site/site.yaml", "--begin"]
    for report in (f"json:{_STATE}/report.json", f"html:{_STATE}/report.html"):
        command += ["--report", report]
    mounts = [
        {"name": "site", "mountPath": f"{_FOLDER}/site", "readOnly": True},
        {"name": "history", "mountPath": _STATE},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an empty volume of the pod's own
        *(
            [{"name": "ssh", "mountPath": SSH_FOLDER, "readOnly": True}]
            if wanted.ssh_secret
            else []
        ),
    ]
    return {
        "name": "gapcheck",
        "image": wanted.image,
        "command": [*command, "--report", "policyreport:cluster"],
        "env": [*_environment(found)],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _environment(found: Inside) -> Iterator[Json]:
    # A folder below the volume: the volume's own root belongs to another user.
    yield {"name": "GAPCHECK_STATE", "value": f"{_STATE}/state"}
    yield {"name": "HOME", "value": "/tmp"}  # noqa: S108 - as above
    if found.asks_secret:
        for name, key in ((USERNAME, "username"), (PASSWORD, "password")):
            reference = {"name": REGISTRY_SECRET, "key": key}
            yield {"name": name, "valueFrom": {"secretKeyRef": reference}}
