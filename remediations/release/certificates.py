"""Name and mount the CA secret: in the values file, and in rendered manifests."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan, Unmeasured
from gapcheck.fixtures.ca_mounts import MAIN_WORKLOAD, CaMount, ca_mounts, read_folder
from gapcheck.fixtures.ca_secret import release_secrets
from gapcheck.fixtures.facts import Container, Volume, Workload
from gapcheck.fixtures.helm_values import certificate_secrets, user_values
from gapcheck.fixtures.workload_images import release_workloads
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.objects import edit_file, edit_object, put
from gapcheck.remediations.plan import EditYaml, KeyEdit, UpgradeRelease
from gapcheck.remediations.release.upgrade import plan_upgrade
from gapcheck.remediations.release.values_file import set_values
from gapcheck.site import SecretRef
from gapcheck.view import ReleaseView

_FIELDS = {"init": "initContainers", "container": "containers", "ephemeral": "ephemeralContainers"}


@remedy("REL-CERT-001", risk=Risk.OUTAGE)
def plan_ca_mount(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | UpgradeRelease]:
    """Give name and key of the CA secret in the values file, and mount it where Go reads it.

    Once the values are right, the live release is upgraded by helm with `--max-risk outage`,
    where helm and `release.chart` are there; else the command is told.
    """
    wanted = SecretRef(name=finding.data["name"], key=finding.data["key"])
    changes = [*_values(view, wanted)]
    if finding.data["what"] == "unmounted":
        changes += _mounted(view, wanted)
    if finding.data["what"] == "mount":
        changes += _moved(finding, view, wanted)
    if not changes:
        yield plan_upgrade(view)
    yield from changes


def _values(view: ReleaseView, wanted: SecretRef) -> Iterator[EditYaml]:
    """Edits after which the values name the secret, for the charts whose keys are known."""
    release = view.site.release
    named = certificate_secrets(user_values(view))
    if release is None or wanted in named or not release.values:
        return
    if release.profile == "coder-v1":
        yield from set_values(
            view, {"certs.secret.name": wanted.name, "certs.secret.key": wanted.key}
        )
    if release.profile == "coder-v2" and named:
        at = next((i for i, each in enumerate(named) if each.name == wanted.name), 0)
        entry = f"coder.certs.secrets[{at}]"
        yield from set_values(view, {f"{entry}.name": wanted.name, f"{entry}.key": wanted.key})
    if release.profile == "coder-v2" and not named:
        entry_list = [{"name": wanted.name, "key": wanted.key}]
        edit = KeyEdit(op="set", keys=("coder", "certs", "secrets"), value=entry_list)
        yield edit_file(view, release.values[-1], (edit,))


def _mounted(view: ReleaseView, wanted: SecretRef) -> Iterator[EditYaml]:
    """Edits of the manifest of the main workload after which it mounts the secret."""
    workload = _main(view)
    if workload is None:
        return
    wrong = _misnamed(view, workload)
    if wrong is not None:
        edit = put(
            workload, (*workload.pod_path, "volumes", wrong, "secret", "secretName"), wanted.name
        )
        yield edit_object(view, workload, (edit,))
        return
    volume = {"name": wanted.name, "secret": {"secretName": wanted.name}}
    edits = [_appended(workload, ("volumes",), len(_volumes(workload)), volume)]
    for container in workload.containers:
        if container.kind == "container":
            mount = {
                "name": wanted.name,
                "mountPath": f"{_folder(container)}/{wanted.key}",
                "subPath": wanted.key,
                "readOnly": True,
            }
            place = (*_at(workload, container), "volumeMounts")
            edits.append(_appended(workload, place, len(container.mounts), mount))
    yield edit_object(view, workload, edits)


def _main(view: ReleaseView) -> Workload | None:
    """The manifest of the product's main workload; None where there is none to edit."""
    release = view.site.release
    workloads = [each for each in release_workloads(view) if each.file]
    name = MAIN_WORKLOAD.get(release.profile, "") if release else ""
    main = [each for each in workloads if each.name == name]
    if workloads and not main:
        reason = "which of the workloads calls the registry is not known; mount the secret there"
        raise CannotPlan(reason)
    return main[0] if main else None


def _volumes(workload: Workload) -> list[str]:
    """Names of the volumes in file order; a projected one comes once."""
    return list(dict.fromkeys(each.name for each in workload.volumes))


def _misnamed(view: ReleaseView, workload: Workload) -> int | None:
    """Place of a volume whose secret does not exist: a misspelt name."""
    existing = {each.name for each in release_secrets(view)}
    for volume in workload.volumes:
        if volume.kind == "secret" and not volume.optional and volume.source not in existing:
            return _place(workload, volume)
    return None


def _place(workload: Workload, volume: Volume) -> int:
    if [each.name for each in workload.volumes].count(volume.name) > 1:
        reason = f"the volume {volume.name} has several sources; correct it by hand"
        raise CannotPlan(reason)
    return _volumes(workload).index(volume.name)


def _at(workload: Workload, container: Container) -> tuple[str | int, ...]:
    """Keys of the container inside its pod."""
    alike = [each for each in workload.containers if each.kind == container.kind]
    return (_FIELDS[container.kind], alike.index(container))


def _appended(
    workload: Workload, place: tuple[str | int, ...], length: int, value: object
) -> KeyEdit:
    """An edit that adds `value` to the list of that length, making the list where it is absent."""
    keys = (*workload.pod_path, *place)
    return put(workload, (*keys, length), value) if length else put(workload, keys, [value])


def _moved(finding: Finding, view: ReleaseView, wanted: SecretRef) -> Iterator[EditYaml]:
    """Edits after which one mount shows the CA where Go reads it, and hides nothing."""
    found = _mount_of(finding, view, wanted)
    workload = found.workload
    if not workload.file:
        return
    name = found.file_of(wanted.key)
    if not name:
        reason = f"the volume's items leave out {wanted.key}; add it there"
        raise CannotPlan(reason)
    place = (
        *workload.pod_path,
        *_at(workload, found.container),
        "volumeMounts",
        found.position,
    )
    target = f"{_folder(found.container)}/{_free_name(wanted.key)}"
    edits = (
        put(workload, (*place, "mountPath"), target),
        put(workload, (*place, "subPath"), name),
    )
    yield edit_object(view, workload, edits)


def _folder(container: Container) -> str:
    try:
        return read_folder(container)
    except Unmeasured as unknown:
        raise CannotPlan(str(unknown)) from unknown


def _free_name(key: str) -> str:
    """A file name for `key` that is not the image's own bundle."""
    return "registry-ca.crt" if key in ("ca-certificates.crt", "ca-bundle.crt") else key


def _mount_of(finding: Finding, view: ReleaseView, wanted: SecretRef) -> CaMount:
    return next(
        each
        for each in ca_mounts(release_workloads(view), wanted.name)
        if each.locus == finding.locus and str(each.position) == finding.data["at"]
    )
