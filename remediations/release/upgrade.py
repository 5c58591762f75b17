"""What is left once the values are right: Helm has to install them. Pure.

What was given with --set is in no file, and a plain upgrade would lose it without a word.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from gapcheck.errors import CannotPlan, Unmeasured
from gapcheck.fixtures.facts import FactSet, Present, ReleaseFacts, ReleaseRecord, measured
from gapcheck.fixtures.helm_values import (
    ValuesFile,
    installed_record,
    joined_values,
    user_values,
    values_files,
    values_of,
)
from gapcheck.fixtures.workload_images import unreached
from gapcheck.model import CLUSTER, RELEASE
from gapcheck.remediations.diff import unified
from gapcheck.remediations.objects import measured_sha256
from gapcheck.remediations.plan import ReadFile, UpgradeRelease
from gapcheck.site import Release
from gapcheck.view import View

# What `--set` takes as it stands: a comma or an equals sign would begin another value.
_SETTABLE = re.compile(r"(?:[\w./\[\]-]|\\\.)+")
_HIDDEN = "***"


def plan_upgrade(view: View[Any]) -> UpgradeRelease:
    """`helm upgrade` with the site's own chart and values files, as they were measured.

    Raises CannotPlan with the command for a person, where gapcheck cannot run it, and why.
    """
    release = view.site.release
    if release is None:
        raise CannotPlan("the site file names no release")
    kept, vain = _in_no_file(view)
    try:
        record = _upgradable(view, vain)
        chart = _fitting_chart(view, release, record)
        values = tuple(_measured(view, path) for path in release.values)
    except (CannotPlan, Unmeasured) as cannot:
        raise by_hand(release, kept, vain, str(cannot)) from cannot
    return UpgradeRelease(
        target=CLUSTER,
        name=release.name,
        namespace=release.namespace,
        revision=record.revision,
        chart=ReadFile(path=release.chart or "", sha256=chart.sha256),
        values=values,
        keeps=kept,
        unset=vain if kept else (),
    )


def _measured(view: View[Any], path: str) -> ReadFile:
    sha256 = measured_sha256(view, path)
    if sha256 is None:
        raise CannotPlan(f"{path} is not there")
    return ReadFile(path=path, sha256=sha256)


def by_hand(
    release: Release | UpgradeRelease, kept: Sequence[str], vain: Sequence[str], why: str
) -> CannotPlan:
    """The command for a person, and why gapcheck does not run it."""
    chart = release.chart.path if isinstance(release, UpgradeRelease) else release.chart or "CHART"
    paths = [each if isinstance(each, str) else each.path for each in release.values]
    words = [f"helm upgrade {release.name} {shlex.quote(chart)} --namespace {release.namespace}"]
    words += [f"-f {shlex.quote(one_of_a_list(path))}" for path in paths]
    notes = [f"gapcheck does not run it: {why}"]
    if kept:
        words += ["--reuse-values", *(f"--set {path}=null" for path in vain)]
        notes.insert(0, f"--reuse-values keeps what is in no values file: {', '.join(kept)}")
    command = " ".join(words)
    return CannotPlan(f"the values are as they should be; run: {command} ({'; '.join(notes)})")


def one_of_a_list(path: str) -> str:
    """`path` as one item of the comma-separated list that helm's --values takes."""
    return '"' + path.replace('"', '""') + '"' if re.search('[,"\n]', path) else path


def _upgradable(view: View[Any], vain: Sequence[str]) -> ReleaseRecord:
    """Helm's record of the release, where it can be upgraded from here."""
    site = view.site
    if site.cluster is None or not site.cluster.kubeconfig:
        raise CannotPlan("the site file names no live cluster")
    if site.release is None or not site.release.values:
        raise CannotPlan("the site file names no values file (release.values)")
    record = installed_record(view)
    if record is None:
        raise CannotPlan("Helm has no record of the release")
    if record.status != "deployed":
        raise CannotPlan(f"its revision {record.revision} is {record.status}")
    odd = next((path for path in vain if not _SETTABLE.fullmatch(path)), "")
    if odd:
        raise CannotPlan(f"the key {odd} has to be quoted for --set")
    return record


def _fitting_chart(view: View[Any], release: Release, record: ReleaseRecord) -> ReleaseRecord:
    """The site's own chart, where it is the installed one and needs nothing from elsewhere."""
    path = release.chart
    if not path:
        raise CannotPlan("the site file names no chart (release.chart)")
    observed = view.release.values.get(path)
    chart = measured(observed, path, RELEASE) if observed else None
    if chart is None or not chart.sha256:
        raise CannotPlan(f"{path} is no chart that was read")
    mine, theirs = (f"{each.chart} {each.chart_version}" for each in (chart, record))
    if mine != theirs:
        raise CannotPlan(f"{path} is {mine}, and {theirs} is installed")
    if chart.unvendored:
        needed = ", ".join(chart.unvendored)
        raise CannotPlan(
            f"{path} lacks the subcharts {needed}; run helm dependency build where they can be had"
        )
    return chart


def _in_no_file(view: View[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Key paths that only the release's record has: those that count, those in vain."""
    record = installed_record(view)
    held = {path for each in values_files(view) for path in each.paths}
    only = [path for path in (record.user_paths if record else ()) if path not in held]
    workloads = measured(view.release.workloads, "the workloads", "release") or ()
    vain = unreached(view, user_values(view), workloads) if workloads else {}
    return (
        tuple(each for each in only if each not in vain),
        tuple(each for each in only if each in vain),
    )


def upgrade_diff(change: UpgradeRelease, facts: FactSet) -> str:
    """Unified diff of the values by key path; what may be secret is masked on both sides."""
    release = facts.by_subject.get(RELEASE)
    if not isinstance(release, ReleaseFacts) or not isinstance(release.record, Present):
        return "(no diff: the release was not measured)\n"
    record = release.record.value
    old = {path: record.user_values.get(path, _HIDDEN) for path in record.user_paths}
    files = values_of(release, [each.path for each in change.values])
    new = {path: old[path] for path in change.keeps if path in old} | _shown(files)
    name = f"values of {change.namespace}/{change.name}"
    text = unified(name, _lines(old), _lines(new)) or "(the values that are shown stay)\n"
    hidden = sum(value == _HIDDEN for value in new.values())
    if hidden:
        text += f"({hidden} values are not shown, and may differ as well)\n"
    return text


def _shown(files: tuple[ValuesFile, ...]) -> dict[str, str]:
    return {path: file.values.get(path, _HIDDEN) for path, file in joined_values(files).items()}


def _lines(values: dict[str, str]) -> bytes:
    return "".join(f"{path}: {value}\n" for path, value in sorted(values.items())).encode()
