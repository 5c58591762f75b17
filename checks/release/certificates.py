"""The CA secret as the release's values and pods name it."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import Unmeasured
from gapcheck.fixtures.ca_mounts import CaMount, ca_mounts, hides, misplaced, misses_key
from gapcheck.fixtures.ca_secret import wanted_secret
from gapcheck.fixtures.helm_values import certificate_secrets, user_values
from gapcheck.fixtures.kube_facts import Workload
from gapcheck.fixtures.workload_images import refuse_partial, release_workloads
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.site import SecretRef
from gapcheck.view import ReleaseView

_CONSEQUENCE = (
    "the product's own calls to the registry fail: x509: certificate signed by unknown authority"
)


@check(
    "REL-CERT-001",
    scope=Scope.RELEASE,
    severity=Severity.MAJOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=7, fault=("H02", "H03", "S03")),
)
def ca_secret_is_mounted_where_go_reads_it(view: ReleaseView) -> Judgement:
    """Values and pods agree on name and key of the CA secret, and Go reads where it is mounted.

    SSL_CERT_FILE and SSL_CERT_DIR count as `env` and `envFrom` of the container set them. What
    the image itself sets cannot be known from a cluster: its default places are taken to hold.
    """
    wanted = wanted_secret(view)
    workloads = release_workloads(view)
    found = tuple(ca_mounts(workloads, wanted.name))
    for each in found:
        yield Evidence("mounted", each.mount.path, each.workload.locus)
    named = certificate_secrets(user_values(view))
    yield from _values(named, wanted)
    if not found:
        refuse_partial(view, f"whether {wanted.name} is mounted")
        yield _unmounted(workloads, wanted, values_are_right=wanted in named)
    unknown = None
    for each in found:
        try:
            yield from _mount(view, each, wanted)
        except Unmeasured as gap:
            unknown = unknown or gap
    if unknown:
        raise unknown
    refuse_partial(view, "every mount")


def _values(named: tuple[SecretRef, ...], wanted: SecretRef) -> Iterator[Finding]:
    if not named or wanted in named:
        return
    by_name = next((each for each in named if each.name == wanted.name), named[0])
    part, seen, meant = ("name", by_name.name, wanted.name)
    if by_name.name == wanted.name:
        part, seen, meant = ("key", by_name.key, wanted.key)
    yield Finding(
        problem=f"the values give {seen or 'nothing'} as the {part} of the certificate secret; "
        f"it is {meant}",
        evidence=(Evidence("value", f"{by_name.name or '-'} / {by_name.key or '-'}", "values"),),
        consequence=f'MountVolume.SetUp failed for volume "{seen}" : secret "{seen}" not found'
        if part == "name"
        else f"the pod sees an empty directory in the place of the CA; {_CONSEQUENCE}",
        remedy_hint=f"set the secret's name to {wanted.name} and its key to {wanted.key}",
        locus="values",
        data={"what": "values", "name": wanted.name, "key": wanted.key},
    )


def _unmounted(
    workloads: tuple[Workload, ...], wanted: SecretRef, *, values_are_right: bool
) -> Finding:
    others = sorted(
        {
            f"{volume.source} ({workload.name})"
            for workload in workloads
            for volume in workload.volumes
            if volume.kind == "secret"
        }
    )
    return Finding(
        problem=f"no container mounts the secret {wanted.name}",
        evidence=(
            Evidence("secrets mounted", ", ".join(others) or "none", "the rendered objects"),
            Evidence("values", "name it" if values_are_right else "do not name it"),
        ),
        consequence=_CONSEQUENCE,
        remedy_hint="set certs.secret in the values, and give helm upgrade every values file",
        locus=wanted.name,
        data={"what": "unmounted", "name": wanted.name, "key": wanted.key},
    )


def _mount(view: ReleaseView, found: CaMount, wanted: SecretRef) -> Iterator[Finding]:
    release = view.site.release
    generic = release is not None and release.profile == "generic"
    data = {"what": "mount", "name": wanted.name, "key": wanted.key, "at": str(found.position)}
    faults = (
        (misses_key(found, wanted.key), Severity.MAJOR, _CONSEQUENCE),
        (misplaced(found, wanted.key), Severity.MINOR if generic else Severity.MAJOR, _CONSEQUENCE),
        (
            hides(found),
            Severity.MAJOR if found.mount.sub_path else Severity.MINOR,
            "programs in the container trust the registry's CA and no other",
        ),
    )
    for why, severity, consequence in faults:
        if why:
            yield Finding(
                problem=f"{found.workload.kind} {found.workload.name}, container "
                f"{found.container.name}: {why}",
                evidence=(
                    Evidence("mountPath", found.mount.path, found.workload.locus),
                    Evidence("subPath", found.mount.sub_path or "(none)", found.workload.locus),
                ),
                consequence=consequence,
                remedy_hint=f"mount {wanted.key} by subPath at /etc/ssl/certs/{wanted.key}",
                locus=found.locus,
                severity=severity,
                data=data,
            )
