from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import healthy, with_facts
from support.kube import ALIASES, Folder, planned
from support.manifests import coderd

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.kube_facts import HostAlias
from gapcheck.model import Risk, Status
from gapcheck.remediations.dns.host_aliases import with_alias
from gapcheck.remediations.plan import PatchObject

CHECK = "DNS-ALIAS-001"
INSIDE = """          hostAliases:
            - ip: 10.0.0.2
              hostnames: [registry.local]
          volumeMounts:"""


def stale(*aliases: HostAlias, kind: str = "Deployment") -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    changed = msgspec.structs.replace(workload, host_aliases=aliases, kind=kind)
    return with_facts(facts, "release", workloads=Present((changed, *others)))


@pytest.mark.parametrize(
    "text",
    [
        coderd(extra=ALIASES.replace("10.0.0.2", "10.0.0.9")),
        coderd(extra=ALIASES.replace("registry.local", "$REGISTRY_DOMAIN_NAME")),
        coderd().replace("          volumeMounts:", INSIDE),
    ],
    ids=["old address", "variable", "inside a container"],
)
def test_a_manifest_is_put_right(tmp_path: Path, text: str) -> None:
    folder = Folder(tmp_path, coderd=text)
    folder.repair(CHECK)
    assert folder.verdict(CHECK).status is Status.PASS
    assert folder.plan(CHECK) == []
    assert folder.text("manifests/coderd.yaml").count("hostAliases") == 1
    release: Any = folder.facts().by_subject["release"]
    assert release.workloads.value[0].host_aliases == (
        HostAlias(ip="10.0.0.2", hostnames=("registry.local",)),
    )


def test_a_comment_beside_the_old_address_stays(tmp_path: Path) -> None:
    aliases = ALIASES.replace("10.0.0.2", "10.0.0.9  # the rack in hall 2")
    folder = Folder(tmp_path, coderd=coderd(extra=aliases))
    folder.repair(CHECK)
    assert "# the rack in hall 2" in folder.text("manifests/coderd.yaml")
    assert folder.verdict(CHECK).status is Status.PASS


def test_a_live_workload_keeps_the_names_of_other_hosts() -> None:
    facts = stale(HostAlias(ip="10.0.0.9", hostnames=("git.local", "registry.local")))
    (change,) = planned(CHECK, facts, healthy()[0], "release")
    assert isinstance(change, PatchObject)
    assert change.risk is Risk.RESTART
    assert change.patch["spec"]["template"]["spec"]["hostAliases"] == [
        {"ip": "10.0.0.9", "hostnames": ["git.local"]},
        {"ip": "10.0.0.2", "hostnames": ["registry.local"]},
    ]


def test_the_pod_of_a_live_job_cannot_be_changed() -> None:
    facts = stale(HostAlias(ip="10.0.0.9", hostnames=("registry.local",)), kind="Job")
    with pytest.raises(CannotPlan, match="live Job"):
        planned(CHECK, facts, healthy()[0], "release")


def test_an_entry_of_the_same_address_takes_the_name_and_none_is_made_twice() -> None:
    release: Any = stale(
        HostAlias(ip="10.0.0.2", hostnames=("git.local",)),
        HostAlias(ip="10.0.0.2", hostnames=("Registry.local",)),
        HostAlias(ip="10.0.0.999", hostnames=("bad",)),
    ).by_subject["release"]
    assert with_alias(release.workloads.value[0], "registry.local", "10.0.0.2") == [
        {"ip": "10.0.0.2", "hostnames": ["git.local", "registry.local"]}
    ]


def test_a_live_cron_job_takes_them_at_its_next_run() -> None:
    release: Any = stale(
        HostAlias(ip="10.0.0.9", hostnames=("registry.local",)), kind="CronJob"
    ).by_subject["release"]
    workload = msgspec.structs.replace(
        release.workloads.value[0], pod_path=("spec", "jobTemplate", "spec", "template", "spec")
    )
    facts = with_facts(healthy()[1], "release", workloads=Present((workload,)))
    (change,) = planned(CHECK, facts, healthy()[0], "release")
    assert isinstance(change, PatchObject)
    assert (change.api_version, change.risk) == ("batch/v1", Risk.SAFE)
    assert "hostAliases" in change.patch["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_a_field_inside_a_live_container_is_left_to_a_person() -> None:
    release: Any = healthy()[1].by_subject["release"]
    workload = release.workloads.value[0]
    container = msgspec.structs.replace(workload.containers[0], unknown_fields=("hostAliases",))
    changed = msgspec.structs.replace(workload, containers=(container,))
    facts = with_facts(healthy()[1], "release", workloads=Present((changed,)))
    with pytest.raises(CannotPlan, match="see the manifest"):
        planned(CHECK, facts, healthy()[0], "release")
