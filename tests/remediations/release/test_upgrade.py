"""Whether `helm upgrade` is planned, with what, and what is told where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.certs import NOW
from support.healthy import file_fact, healthy, with_facts
from support.kube import families

from gapcheck.engine import Evaluation
from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Absent, FactSet, Present, ReleaseRecord, Unreadable
from gapcheck.model import CLUSTER, RELEASE, Risk, SubjectId
from gapcheck.remediations.machines.helm import Helm, reason
from gapcheck.remediations.plan import ReadFile, UpgradeRelease
from gapcheck.remediations.planner import Wanted, build_plan, stage_of
from gapcheck.remediations.release.upgrade import plan_upgrade, upgrade_diff
from gapcheck.site import Cluster, Site

IMAGES = {"coderd.image": "registry.local/coderenvs/coder-service:1.44.3"}
OLD = {"coderd.image": "docker.io/coderenvs/coder-service:1.44.3"}


def site(**release: Any) -> Site:
    known: dict[str, Any] = healthy()[0].model_dump(by_alias=True)
    known["cluster"] = {"kubeconfig": "admin"}
    known["release"] |= {"chart": "chart", "values": ["values.yaml"], **release}
    return Site.model_validate(known)


def facts(
    *,
    chart: Any = None,
    hidden: tuple[str, ...] = ("oidc.clientSecret",),
    only: tuple[str, ...] = (),
    **record: Any,
) -> FactSet:
    """A release with an image from outside, and a values file that is right."""
    measured = healthy()[1]
    release: Any = measured.by_subject[RELEASE]
    installed = msgspec.structs.replace(
        release.record.value,
        **{"revision": 3, "user_values": OLD, "user_paths": (*OLD, *hidden, *only), **record},
    )
    (coderd, *others) = release.workloads.value
    wrong = msgspec.structs.replace(coderd.containers[0], image=OLD["coderd.image"])
    coderd = msgspec.structs.replace(coderd, containers=(wrong,))
    file = msgspec.structs.replace(
        installed, revision=0, status="values", user_values=IMAGES, user_paths=(*IMAGES, *hidden)
    )
    found = chart_of() if chart is None else chart
    return with_facts(
        measured,
        "release",
        record=Present(installed),
        workloads=Present((coderd, *others)),
        values={"values.yaml": Present(file), "chart": found},
        files={"values.yaml": file_fact("values.yaml", b"x")[0]},
    )


def chart_of(**changes: Any) -> Present[ReleaseRecord]:
    known: dict[str, Any] = {
        "name": "", "namespace": "", "revision": 0, "status": "chart", "chart": "coder",
        "chart_version": "1.44.3", "sha256": "c" * 64, **changes,
    }  # fmt: skip
    return Present(ReleaseRecord(**known))


def planned(of: FactSet, known: Site | None = None) -> UpgradeRelease:
    evaluation = Evaluation(known or site(), of, families(), now=NOW)
    return plan_upgrade(evaluation.view(RELEASE))


def test_an_upgrade_names_what_it_reads_as_it_was_measured() -> None:
    measured = facts()
    release: Any = measured.by_subject[RELEASE]
    sha256 = release.files["values.yaml"].value.sha256

    assert planned(measured) == UpgradeRelease(
        target=CLUSTER,
        name="coder",
        namespace="coder",
        revision=3,
        chart=ReadFile(path="chart", sha256="c" * 64),
        values=(ReadFile(path="values.yaml", sha256=sha256),),
    )


def test_what_is_in_no_file_is_kept() -> None:
    assert planned(facts(only=("more.token",))).keeps == ("more.token",)


@pytest.mark.parametrize(
    ("of", "known", "why"),
    [
        ({}, {"chart": None}, "the site file names no chart (release.chart)"),
        ({}, {"values": []}, "the site file names no values file"),
        ({"status": "pending-upgrade"}, {}, "its revision 3 is pending-upgrade"),
        ({"chart_version": "1.44.2"}, {}, "chart is coder 1.44.3, and coder 1.44.2 is installed"),
        ({"chart": Unreadable("denied")}, {}, "chart of release could not be measured: denied"),
        ({"chart": Absent("chart/Chart.yaml")}, {}, "chart is no chart that was read"),
        ({"chart": chart_of(unvendored=("postgresql",))}, {}, "lacks the subcharts postgresql"),
        ({"chart": chart_of(sha256="")}, {}, "chart is no chart that was read"),
    ],
    ids=["no chart", "no values", "pending", "version", "unreadable", "absent", "subchart", "old"],
)
def test_what_keeps_gapcheck_from_running_helm_is_told_with_the_command(
    of: dict[str, Any], known: dict[str, Any], why: str
) -> None:
    with pytest.raises(CannotPlan) as told:
        planned(facts(**of), site(**known))

    assert "run: helm upgrade coder " in str(told.value)
    assert why in str(told.value).partition("gapcheck does not run it: ")[2]


def test_a_folder_of_manifests_is_no_cluster_to_upgrade() -> None:
    known = site().model_copy(update={"cluster": Cluster(manifests="m")})
    with pytest.raises(CannotPlan, match="the site file names no live cluster"):
        planned(facts(), known)


def test_a_release_that_helm_does_not_know_is_not_upgraded() -> None:
    absent = with_facts(facts(), "release", record=Absent("nowhere"))
    with pytest.raises(CannotPlan, match="Helm has no record of the release"):
        planned(absent)


def plan(of: FactSet, **wanted: Any) -> Any:
    evaluation = Evaluation(site(), of, families(), now=NOW)
    asked = Wanted(select=("REL-IMAGE-001",), **wanted)
    return build_plan(evaluation, wanted=asked)


def test_the_upgrade_is_planned_with_consent_to_an_outage_alone() -> None:
    (change,) = plan(facts(), helm=True, max_risk=Risk.OUTAGE).changes
    assert isinstance(change.change, UpgradeRelease)
    assert (change.change.risk, stage_of(change.change).name) == (Risk.OUTAGE, "RELEASE")
    for wanted, why in (
        ({"helm": True}, "needs --max-risk outage"),
        ({"max_risk": Risk.OUTAGE}, "no helm program is on PATH"),
    ):
        made = plan(facts(), **wanted)
        assert made.changes == ()
        (left,) = made.unplanned
        command = "run: helm upgrade coder chart --namespace coder -f values.yaml"
        assert left.why.endswith(f"{command} (gapcheck does not run it: {why})")


def test_an_upgrade_that_did_not_help_is_not_made_again_at_the_next_revision() -> None:
    done = planned(facts()).id
    made = plan(facts(revision=4), helm=True, max_risk=Risk.OUTAGE, done=(done,))

    assert made.changes == ()
    assert made.unplanned[0].why.endswith("was applied in this run already and did not help")


def test_the_diff_masks_what_may_be_secret() -> None:
    measured = facts(only=("more.token",))
    assert upgrade_diff(planned(measured), measured) == (
        "--- values of coder/coder\n"
        "+++ values of coder/coder\n"
        "@@ -1,3 +1,3 @@\n"
        f"-coderd.image: {OLD['coderd.image']}\n"
        f"+coderd.image: {IMAGES['coderd.image']}\n"
        " more.token: ***\n"
        " oidc.clientSecret: ***\n"
        "(2 values are not shown, and may differ as well)\n"
    )


CHANGE = UpgradeRelease(
    target=SubjectId("cluster"),
    name="coder",
    namespace="shop",
    revision=3,
    chart=ReadFile(path="charts/coder.tgz", sha256=""),
    values=(ReadFile(path="a.yaml", sha256=""), ReadFile(path='b, "c".yaml', sha256="")),
    keeps=("more.token",),
    unset=("timescale.image",),
)


def test_helm_is_given_whole_paths_and_the_sites_own_cluster() -> None:
    helm = Helm(Cluster(kubeconfig="kube/admin", context="site"), base=Path("/base"))

    assert helm.upgrade_words(CHANGE, "gapcheck run 7") == (
        "upgrade",
        "--namespace=shop",
        "--values=/base/a.yaml",
        '--values="/base/b, ""c"".yaml"',
        "--reuse-values",
        "--set=timescale.image=null",
        "--description=gapcheck run 7",
        "--timeout=300s",
        "--kubeconfig=/base/kube/admin",
        "--kube-context=site",
        "--",
        "coder",
        "/base/charts/coder.tgz",
    )
    assert helm.rollback_words("coder", "shop", "3") == (
        "rollback",
        "--namespace=shop",
        "--timeout=300s",
        "--kubeconfig=/base/kube/admin",
        "--kube-context=site",
        "--",
        "coder",
        "3",
    )


DEPENDENCIES = (
    "Error: An error occurred while checking for chart dependencies. You may need to run `helm "
    "dependency build` to fetch missing dependencies: found in Chart.yaml, but missing in "
    "charts/ directory: postgresql, redis"
)
FORBIDDEN = (
    'Error: services "coderd" is forbidden: User "u" cannot patch resource "services" in API '
    'group "" in the namespace "coder"'
)
HIDDEN = "its words may hold values and are not shown; run it by hand to read them"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (DEPENDENCIES, "the chart lacks its subcharts: postgresql, redis"),
        (FORBIDDEN, "the account may not patch services"),
        ("Error: execution error at (c/a.yaml:7:3): s3cret", "template c/a.yaml, line 7, fails"),
        ("Error: s3cret", HIDDEN),
    ],
    ids=["dependencies", "forbidden", "template", "other"],
)
def test_of_helms_words_only_names_are_told(said: str, told: str) -> None:
    assert reason(said) == told
