"""PolicyReport objects in a real API server: taken, read back, replaced, taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import policy_crds
from support.command import gapcheck
from support.records import every_status, finding, run_info, verdict

from gapcheck.errors import UsageError
from gapcheck.model import Status
from gapcheck.policy_delivery import deliver
from gapcheck.record import Record
from gapcheck.reports.policyreport import objects
from gapcheck.site_file import LoadedSite, load_site
from lab.control_plane import ControlPlane, control_plane

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that knows no PolicyReport yet."""
    with control_plane(tmp_path_factory.mktemp("control")) as made:
        site = "version: 1\nname: plant-7\nregistry: {host: 127.0.0.1, port: 1}\n"
        kube = "cluster: {kubeconfig: admin}\nrelease: {namespace: shop}\n"
        (made.folder / "site.yaml").write_text(site + kube)
        yield made


@pytest.fixture(scope="module")
def served(bare: ControlPlane) -> ControlPlane:
    """The same one with the definitions of a policy engine, and the release's namespace."""
    for path in policy_crds.files():
        bare.kubectl("apply", "--server-side", "-f", str(path))
    bare.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    bare.kubectl("create", "namespace", "shop")
    return bare


def held(control: ControlPlane) -> dict[tuple[str, str], Any]:
    """Every report that the API server holds, by kind and name."""
    words = ("get", "clusterpolicyreports,policyreports", "-A", "-o", "json")
    items = json.loads(control.kubectl(*words))["items"]
    return {(each["kind"], each["metadata"]["name"]): each for each in items}


def loaded(control: ControlPlane) -> LoadedSite:
    return load_site(control.folder / "site.yaml")


def of(site: str, count: int, words: str = "x") -> Record:
    verdicts = tuple(
        verdict("NODE-TRUST-001", f"node/n{number}", Status.FAIL, findings=(finding(words),))
        for number in range(count)
    )
    return msgspec.structs.replace(every_status(), verdicts=verdicts, run=run_info(site=site))


def test_a_cluster_without_the_definitions_is_refused_before_anything_is_measured(
    bare: ControlPlane,
) -> None:
    words = ("check", "--site", "site.yaml", "--report", "policyreport:cluster")
    found = gapcheck(bare.folder, *words)
    assert (found.code, found.out) == (4, "")
    assert "the cluster serves no wgpolicyk8s.io/v1alpha2" in found.err


def test_objects_are_read_back_as_they_were_written(served: ControlPlane) -> None:
    words = ("check", "--site", "site.yaml", "--report", "policyreport:cluster")
    found = gapcheck(served.folder, *words, "--report", "policyreport:reports.json",
                     GAPCHECK_STATE=str(served.folder / "state"))  # fmt: skip
    assert found.code in (1, 6), found.err
    written = json.loads((served.folder / "reports.json").read_text())["items"]
    assert {each["kind"] for each in written} == {"PolicyReport", "ClusterPolicyReport"}
    there = held(served)
    for each in written:
        kept = there[each["kind"], each["metadata"]["name"]]
        for key in ("summary", "results", "scope"):
            assert kept.get(key) == each.get(key)
        for key in ("labels", "annotations"):
            assert kept["metadata"][key] == each["metadata"][key]


def test_what_a_later_run_no_longer_has_is_deleted_and_no_other_sites(served: ControlPlane) -> None:
    deliver(of("other", 1), loaded(served))
    deliver(of("big", 3000, "long words " * 200), loaded(served))
    before = {name for _, name in held(served) if name.startswith("gapcheck-big-")}
    assert len(before) > 2
    deliver(of("big", 2), loaded(served))
    after = held(served)
    (left,) = [each for (_, name), each in after.items() if name.startswith("gapcheck-big-")]
    assert left["summary"]["fail"] == 2
    assert [name for _, name in after if name.startswith("gapcheck-other-")]


def test_a_release_whose_namespace_is_absent_is_reported_for_the_cluster(
    served: ControlPlane,
) -> None:
    record = of("early", 1)
    missing = verdict("SECRET-NS-001", "release", Status.FAIL, findings=(finding("absent"),))
    record = msgspec.structs.replace(
        record, verdicts=(missing,), run=run_info(site="early", namespace="nowhere")
    )
    deliver(record, loaded(served))
    (kept,) = [
        each for (_, name), each in held(served).items() if name.startswith("gapcheck-early-")
    ]
    assert kept["kind"] == "ClusterPolicyReport"
    assert kept["results"] == next(objects(record, namespace=""))["results"]


def test_a_refusal_says_which_right_is_missing(served: ControlPlane) -> None:
    served.kubectl("create", "serviceaccount", "poor", "-n", "default")
    token = served.kubectl("create", "token", "poor", "-n", "default").strip()
    served.kubeconfig_with("poor", token)
    text = (
        (served.folder / "site.yaml").read_text().replace("kubeconfig: admin", "kubeconfig: poor")
    )
    path = served.folder / "poor.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="may not patch clusterpolicyreports"):
        deliver(of("poor", 1), load_site(path))


def test_kubectl_takes_the_file_as_it_is(served: ControlPlane, tmp_path: Path) -> None:
    found = gapcheck(served.folder, "check", "--site", "site.yaml",
                     "--report", f"policyreport:{tmp_path}/r.json")  # fmt: skip
    assert found.code in (1, 6), found.err
    served.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts",
                   "-f", f"{tmp_path}/r.json")  # fmt: skip
