"""`helm upgrade` and `helm rollback` by a repair, with the real helm and a real API server."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.certs import authority
from support.command import Ended, gapcheck
from support.places import Places, plan_of

from gapcheck.fixtures.probes.charts import chart_sha256
from gapcheck.model import CLUSTER, SubjectId
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.plan import ReadFile, UpgradeRelease
from gapcheck.remediations.runs import list_runs
from gapcheck.site import Cluster
from lab.control_plane import ControlPlane, control_plane, controllers
from lab.product import CHART
from lab.programs import go_programs

pytestmark = pytest.mark.lab

RIGHT = "registry.local:1/coderenvs/coder-service:1.44.3"
WRONG = "docker.io/coderenvs/coder-service:1.44.3"
HIDDEN = "s3cret-of-the-site"
FILE = "values, of the site.yaml"
VALUES: dict[str, Any] = {
    "coderd": {"image": RIGHT, "replicas": 0},
    "envbox": {"image": "registry.local:1/coderenvs/envbox:1.44.3"},
    "postgres": {"default": {"enable": False, "password": HIDDEN}},
}
SITE = """version: 1
name: plant-7
registry: {host: registry.local, address: 127.0.0.1, port: 1, ca_file: site-ca.crt}
cluster: {kubeconfig: admin}
release: {name: coder, namespace: NAMESPACE, chart: chart, values: ["VALUES"]}
"""


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("control")) as made, controllers(made):
        yield made


class Installed:
    """The chart, installed in a namespace of its own with an image from outside.

    The site's values file is right, and what was given by --set stands in no file.
    """

    def __init__(self, control: ControlPlane, folder: Path) -> None:
        self.control = control
        self.folder = folder
        self.namespace = f"coder-{folder.name}"
        shutil.copytree(CHART, folder / "chart")
        (folder / "site-ca.crt").write_bytes(authority().pem)
        (folder / "admin").write_bytes(control.kubeconfig.read_bytes())
        text = SITE.replace("NAMESPACE", self.namespace).replace("VALUES", FILE)
        (folder / "site.yaml").write_text(text)
        self.write(VALUES)
        control.kubectl("create", "namespace", self.namespace)
        given = (f"coderd.image={WRONG}", f"oidc.clientSecret={HIDDEN}")
        self.helm("install", "coder", "chart", f'--values="{FILE}"', *(f"--set={e}" for e in given))

    def write(self, values: Mapping[str, Any]) -> None:
        (self.folder / FILE).write_text(json.dumps(values, indent=2))

    def helm(self, *words: str) -> str:
        argv = [str(go_programs("helm") / "helm"), *words, f"--namespace={self.namespace}"]
        done = subprocess.run(
            [*argv, "--kubeconfig=admin"], cwd=self.folder, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def gapcheck(self, *words: str, helm: bool = True) -> Ended:
        path = os.environ["PATH"]
        if helm:
            path = f"{go_programs('helm')}:{path}"
        found = gapcheck(self.folder, *words, "--site", "site.yaml", PATH=path,
                         HELM_DRIVER="memory", HTTPS_PROXY="http://127.0.0.1:9",
                         GAPCHECK_STATE=str(self.folder / "state"))  # fmt: skip
        assert HIDDEN not in found.out + found.err
        return found

    def fix(self, *more: str, helm: bool = True) -> Ended:
        return self.gapcheck("fix", "--select", "REL-IMAGE-001", "--yes", *more, helm=helm)

    @property
    def revisions(self) -> list[tuple[int, str]]:
        found = json.loads(self.helm("history", "coder", "--output=json"))
        return [(each["revision"], each["status"]) for each in found]

    @property
    def image(self) -> str:
        words = ("get", "deployment/coderd", "-n", self.namespace, "-o", "json")
        pod = json.loads(self.control.kubectl(*words))["spec"]["template"]["spec"]
        return str(pod["containers"][0]["image"])


@pytest.fixture
def here(control: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(control, tmp_path_factory.mktemp("site"))


def test_below_outage_the_command_is_told_and_nothing_is_done(here: Installed) -> None:
    found = here.fix()

    assert found.code == 1, found.out
    said = " ".join((found.out + found.err).split())
    assert f"run: helm upgrade coder chart --namespace {here.namespace} -f '\"{FILE}\"'" in said
    assert "--reuse-values keeps what is in no values file: oidc.clientSecret" in said
    assert "gapcheck does not run it: needs --max-risk outage" in said
    assert here.revisions == [(1, "deployed")]


def test_without_helm_the_command_is_told(here: Installed) -> None:
    found = here.fix("--max-risk", "outage", helm=False)

    assert "gapcheck does not run it: no helm program is on PATH" in found.line("helm upgrade")
    assert here.revisions == [(1, "deployed")]


def test_the_release_is_upgraded_judged_anew_and_rolled_back(here: Installed) -> None:
    found = here.fix("--max-risk", "outage")

    assert found.code == 0, found.out + found.err
    assert f"-coderd.image: {WRONG}" in found.err
    assert f"+coderd.image: {RIGHT}" in found.err
    assert "revision 1 became 2" in found.err
    assert "upgraded and rolled out (0 of 0 new pods are ready)" in found.err
    assert here.revisions == [(1, "superseded"), (2, "deployed")]
    assert here.image == RIGHT
    kept = json.loads(here.helm("get", "values", "coder", "--output=json"))
    assert kept["oidc"] == {"clientSecret": HIDDEN}
    again = here.fix("--max-risk", "outage")
    assert (again.code, here.revisions[-1]) == (0, (2, "deployed")), again.err

    undone = here.gapcheck("undo", run_of(found), "--yes")

    assert undone.code == 0, undone.err
    said = " ".join((undone.out + undone.err).split())
    assert "helm rollback to revision 1" in said
    assert "rolled back to revision 1, as revision 3; " in said
    assert here.revisions[-1] == (3, "deployed")
    assert here.image == WRONG


def test_the_values_file_is_corrected_before_helm_is_run(here: Installed) -> None:
    here.write({**VALUES, "coderd": {"image": WRONG, "replicas": 0}})

    found = here.fix("--max-risk", "outage")

    assert found.code == 0, found.err
    steps = [line for line in found.err.splitlines() if line.startswith("  applied")]
    assert ["edit yaml" in steps[0], "upgrade release" in steps[1]] == [True, True]
    assert json.loads((here.folder / FILE).read_text())["coderd"]["image"] == RIGHT
    assert here.image == RIGHT


def run_of(found: Ended) -> str:
    return re.findall(r"gapcheck undo (\S+)", found.err)[-1]


def test_a_plan_is_applied_word_for_word_or_refused_at_another_revision(here: Installed) -> None:
    words = ("--select", "REL-IMAGE-001", "--max-risk", "outage")
    assert here.gapcheck("plan", *words, "-o", "plan.json").code in (0, 1)
    text = (here.folder / "plan.json").read_text()
    assert HIDDEN not in text
    assert "cluster pods of release" in text
    here.helm("upgrade", "coder", "chart", "--reuse-values", "--set=certs.secret.name=other")

    refused = here.gapcheck("apply", "plan.json", "--yes")

    assert refused.code == 7, refused.err
    place = f"release {here.namespace}/coder"
    assert f"cluster {place}: was version 1, is version 2" in " ".join(refused.err.split())
    assert here.gapcheck("plan", *words, "-o", "plan.json").code in (0, 1)
    done = here.gapcheck("apply", "plan.json", "--yes")
    assert "repaired   REL-IMAGE-001::release" in done.err
    assert (here.revisions[-1], here.image) == ((3, "deployed"), RIGHT)


def test_an_undo_is_refused_where_someone_upgraded_since(here: Installed) -> None:
    run = run_of(here.fix("--max-risk", "outage"))
    here.helm("upgrade", "coder", "chart", "--reuse-values", "--set=coderd.replicas=0")

    refused = here.gapcheck("undo", run, "--yes")

    assert refused.code == 7, refused.err
    assert f"HelmRelease/{here.namespace}/coder (left at revision 2" in refused.err
    assert here.revisions[-1] == (3, "deployed")
    forced = here.gapcheck("undo", run, "--yes", "--force")
    assert forced.code == 0, forced.err
    assert here.revisions[-1] == (4, "deployed")
    assert here.image == WRONG


class HelmPlaces(Places):
    """Places whose cluster is the real one."""

    installed: Installed

    def machine(self, subject: SubjectId, locks: FolderLocks | None = None) -> Machine:
        del locks
        assert subject == CLUSTER
        folder, namespace = self.installed.folder, self.installed.namespace
        cluster = Cluster(kubeconfig="admin")
        return ClusterMachine(cluster, base=folder, namespace=namespace, wait_s=2)


@pytest.fixture
def places(here: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HelmPlaces:
    monkeypatch.setenv("PATH", f"{go_programs('helm')}:{os.environ['PATH']}")
    made = HelmPlaces(tmp_path)
    made.installed = here
    return made


def upgrade(here: Installed, **more: Any) -> UpgradeRelease:
    def read(path: str) -> ReadFile:
        return ReadFile(path=path, sha256=chart_sha256(here.folder / path))

    wanted: dict[str, Any] = {
        "target": CLUSTER, "name": "coder", "namespace": here.namespace, "revision": 1,
        "chart": read("chart"), "values": (read(FILE),), "keeps": ("oidc.clientSecret",), **more,
    }  # fmt: skip
    return UpgradeRelease(**wanted)


def test_a_run_that_is_killed_at_any_boundary_is_rolled_back_to_the_same_objects(
    places: HelmPlaces,
) -> None:
    here = places.installed
    for at in range(1, 10):
        before = int(here.revisions[-1][0])
        run, plan = f"run-{at}", plan_of(upgrade(here, revision=before))
        child = os.fork()
        if child == 0:
            seen: list[str] = []

            def hook(step: str, seen: list[str] = seen, at: int = at) -> None:
                seen.append(step)
                if len(seen) == at:
                    os._exit(77)

            places.apply(plan, run=run, hook=hook)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        here.control.kubectl("delete", "lease", "gapcheck", "-n", here.namespace,
                             "--ignore-not-found")  # fmt: skip
        if any(each.id == run and each.changes for each in list_runs(places.state)):
            (result,) = places.undo(run, by=f"{run}-undo")
            assert result.state == "undone", result
        assert here.image == WRONG, at
        if code == 0:
            assert at > 5
            return
        assert code == 77
    pytest.fail("the run never ended by itself")


def test_an_undo_that_was_killed_after_its_rollback_is_asked_for_again(places: HelmPlaces) -> None:
    here = places.installed
    child = os.fork()
    if child == 0:
        places.apply(plan_of(upgrade(here)))
        places.undo(by="run-2", hook=lambda step: os._exit(7) if "acted" in step else None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert here.revisions[-1] == (3, "deployed")
    here.control.kubectl("delete", "lease", "gapcheck", "-n", here.namespace)

    (result,) = places.undo(by="run-3")

    assert (result.state, here.revisions[-1]) == ("undone", (3, "deployed"))
    assert here.image == WRONG
    (again,) = places.undo("run-3", by="run-4")
    assert (again.state, here.image) == ("undone", RIGHT), again


def test_an_upgrade_that_fails_is_rolled_back_and_shows_no_value(places: HelmPlaces) -> None:
    here = places.installed
    here.write({**VALUES, "coderd": {"image": HIDDEN, "replicas": -1}})

    (result,) = places.apply(plan_of(upgrade(here)))

    assert result.state == "failed"
    assert "helm upgrade: Deployment coderd is invalid at spec.replicas" in result.detail
    assert "rolled back to revision 1, as revision 3" in result.detail
    assert HIDDEN not in result.detail
    assert here.revisions[-2:] == [(2, "failed"), (3, "deployed")]
    assert here.image == WRONG


def test_values_that_do_not_render_change_nothing(places: HelmPlaces) -> None:
    here = places.installed
    here.write({**VALUES, "coderd": HIDDEN})

    (result,) = places.apply(plan_of(upgrade(here)))

    assert result.state == "failed"
    assert "nothing was written there" in result.detail
    assert HIDDEN not in result.detail
    assert here.revisions == [(1, "deployed")]


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        ("revision", "is at revision 1, and was measured at 4"),
        ("chart", "chart has changed since it was measured"),
        ("values", "yaml has changed since it was measured"),
        ("pending", "revision 1 is pending-upgrade"),
    ],
)
def test_what_is_not_as_it_was_measured_is_refused(
    places: HelmPlaces, breaks: str, why: str
) -> None:
    here = places.installed
    change = upgrade(here, **({"revision": 4} if breaks == "revision" else {}))
    if breaks == "chart":
        (here.folder / "chart/templates/more.yaml").write_text("# more\n")
    if breaks == "values":
        here.write({})
    if breaks == "pending":
        pend(here)

    (result,) = places.apply(plan_of(change))

    assert (result.state, "nothing was written there" in result.detail) == ("failed", True)
    assert why in result.detail
    assert len(here.revisions) == 1


def pend(here: Installed, revision: int = 1) -> None:
    """Leave a record as a helm leaves it that was killed."""
    name = ("secret", f"sh.helm.release.v1.coder.v{revision}", "-n", here.namespace)
    stored = json.loads(here.control.kubectl("get", *name, "-o", "json"))["data"]["release"]
    record = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(stored))))
    record["info"] |= {"status": "pending-upgrade", "description": "Preparing upgrade"}
    packed = base64.b64encode(gzip.compress(json.dumps(record).encode()))
    data = {"release": base64.b64encode(packed).decode()}
    here.control.kubectl("patch", *name, "-p", json.dumps({"data": data}))


def test_an_upgrade_that_was_cut_off_with_its_helm_is_rolled_back(places: HelmPlaces) -> None:
    here = places.installed
    child = os.fork()
    if child == 0:
        places.apply(plan_of(upgrade(here)), hook=lambda s: os._exit(7) if "acted" in s else None)
        os._exit(0)
    os.waitpid(child, 0)
    here.control.kubectl("delete", "lease", "gapcheck", "-n", here.namespace)
    pend(here, 2)

    (result,) = places.undo()

    assert (result.state, here.revisions[-1]) == ("undone", (3, "deployed")), result
    assert here.image == WRONG


def test_a_foreign_upgrade_after_a_cut_off_run_is_not_rolled_back(places: HelmPlaces) -> None:
    here = places.installed
    child = os.fork()
    if child == 0:
        places.apply(plan_of(upgrade(here)), hook=lambda s: os._exit(7) if "backed" in s else None)
        os._exit(0)
    os.waitpid(child, 0)
    here.control.kubectl("delete", "lease", "gapcheck", "-n", here.namespace)
    here.helm("upgrade", "coder", "chart", "--reuse-values", "--set=coderd.replicas=0")

    (result,) = places.undo()

    assert result.state == "failed"
    assert "is at revision 2 (Upgrade complete), which run run-1 did not make" in result.detail
    assert here.revisions[-1] == (2, "deployed")


def test_rights_that_helm_lacks_are_named_before_it_is_run(places: HelmPlaces) -> None:
    here = places.installed
    token = account(here, here.gapcheck("export", "rbac", "--for", "check").out)
    here.control.kubeconfig_with(f"{here.namespace}-poor", token)
    shutil.copy(here.control.folder / f"{here.namespace}-poor", here.folder / "admin")
    lacks = places.machine(CLUSTER).missing_rights([upgrade(here)])

    assert {
        f"create secrets -n {here.namespace}",
        f"patch deployments.apps/coderd -n {here.namespace}",
        f"patch services/coderd -n {here.namespace}",
    } <= set(lacks)
    assert f"get secrets -n {here.namespace}" not in lacks


def account(here: Installed, rbac: str) -> str:
    here.control.kubectl("apply", "-f", "-", given=rbac)
    return here.control.kubectl("create", "token", "gapcheck", "-n", here.namespace).strip()


def test_the_exported_rights_are_enough(here: Installed) -> None:
    token = account(here, here.gapcheck("export", "rbac", "--for", "fix").out)
    here.control.kubeconfig_with(f"{here.namespace}-own", token)
    shutil.copy(here.control.folder / f"{here.namespace}-own", here.folder / "admin")

    found = here.fix("--max-risk", "outage")

    assert found.code == 0, found.err
    undone = here.gapcheck("undo", run_of(found), "--yes")
    assert undone.code == 0, undone.err
