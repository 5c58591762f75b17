"""Guide step 4, better form: the registry's folder holds what containerd can use."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.certs_d import HostFolder
from gapcheck.fixtures.effective import Effective, effective_registry
from gapcheck.fixtures.node_trust import is_trusted
from gapcheck.fixtures.runtimes import require_runtime
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

_X509 = "x509: certificate signed by unknown authority"


@check(
    "RUN-HOSTS-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("RUN-CONF-001", "RUN-CONF-002", "RUN-REG-001"),
    source=Source(step=4, fault=("K09", "K10", "K11", "K12", "K13")),
)
def registry_folder_is_usable(view: NodeView) -> Judgement:
    """The folder that containerd uses for the registry is one it can use in full.

    hosts.toml is valid for this version, its CA files exist and hold certificates, and the
    registry's own entry may both resolve and pull.
    """
    require_runtime(view, "containerd")
    effective = effective_registry(view)
    assert effective is not None
    folder = effective.folder
    if folder is None:
        raise NotApplicable("no folder is in use for this registry")
    severity = Severity.MINOR if is_trusted(view) else None
    yield from _files(folder)
    yield from _hosts(folder, effective, severity)
    if folder.is_empty:
        yield _finding(
            folder.path,
            f"{folder.path} is used for {effective.netloc} and holds nothing that has effect",
            f"it hides every later folder, and pulls fail: {_X509}",
            severity,
        )
    yield Evidence("folder in use", folder.path)


def _files(folder: HostFolder) -> Iterator[Finding]:
    for each in folder.ca_files:
        if each.defect:
            yield _finding(
                each.path,
                f"{each.path} is named as CA and {_lack(each.defect)}",
                f"every pull from the registry fails: {each.defect}",
            )


def _lack(defect: str) -> str:
    return "does not exist" if defect.startswith("unable to read") else "holds no certificate"


def _hosts(
    folder: HostFolder, effective: Effective, severity: Severity | None
) -> Iterator[Finding]:
    hosts = folder.hosts
    if hosts is None:
        return
    if hosts.defect:
        yield _finding(
            hosts.path,
            f"{hosts.path} is dropped as a whole: {hosts.defect}",
            f"only *.crt files beside it count; without them pulls fail: {_X509}",
            severity,
        )
        return
    ours = [each for each in hosts.endpoints if each.netloc == effective.netloc]
    server = next((each for each in ours if each.is_server), None)
    covered = bool(server and (server.ca or server.skip_verify))
    for each in ours:
        if each.plain_http:
            yield _finding(
                hosts.path,
                f"{hosts.path} asks {each.url} without TLS",
                "images and credentials cross the network readable and unverified",
            )
        if not each.is_server and not (each.pulls and each.resolves) and not covered:
            missing = "pull" if each.resolves else "resolve"
            yield _finding(
                hosts.path,
                f'{hosts.path}: host."{each.url}" may not {missing}',
                f"containerd then asks the server entry, which has no ca: {_X509}",
                severity,
            )


def _finding(
    path: str, problem: str, consequence: str, severity: Severity | None = None
) -> Finding:
    return Finding(
        problem=problem,
        evidence=(Evidence("file", path),),
        consequence=consequence,
        remedy_hint="rewrite it: a host table that pulls and resolves, with the CA beside it",
        locus=path,
        severity=severity,
        data={"path": path},
    )
