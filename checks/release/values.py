"""Values that the user set and that no object shows."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import measured
from gapcheck.fixtures.helm_values import (
    chart_facts,
    is_read,
    last_file_with,
    renamed_image_key,
    template_paths,
    user_paths,
    user_values,
)
from gapcheck.fixtures.workload_images import refuse_partial, sets_image, unreached
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView


@check(
    "REL-VALUE-001",
    scope=Scope.RELEASE,
    severity=Severity.MAJOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=7, fault=("H01", "H05")),
)
def user_values_reach_an_object(view: ReleaseView) -> Judgement:
    """Every image that the user set reaches a rendered object, and templates read every key.

    Which keys the templates read is judged only where the release's record or the unpacked
    chart holds them.
    """
    workloads = measured(view.facts.workloads, "the workloads", view.subject) or ()
    paths = user_paths(view)
    yield Evidence("keys set", str(len(paths)), view.facts.source)
    refuse_partial(view, "what the values reach")
    values = user_values(view)
    vain = unreached(view, values, workloads) if workloads else {}
    for path in vain:
        if is_read(view, path):
            yield _not_rendered(view, path, values[path])
        else:
            yield _finding(view, path, values[path])
    for path in _unread(view, paths):
        if path not in vain:
            value = values.get(path, "")
            yield _finding(view, path, value if sets_image(view, path, value) else "")
    if not workloads and template_paths(view) is None:
        reason = "nothing is rendered, and the chart's templates are not known"
        raise NotApplicable(reason)


def _unread(view: ReleaseView, paths: tuple[str, ...]) -> Iterator[str]:
    """Paths that no template names: neither themselves, nor what holds them, nor what they hold."""
    for path in paths:
        inside = path.startswith("global.") or path == "global"
        if not inside and is_read(view, path) is False:
            yield path


def _not_rendered(view: ReleaseView, path: str, value: str) -> Finding:
    """A value that the chart reads and the objects do not show: they were changed by hand."""
    return Finding(
        problem=f"the value {path} = {value} is read by the chart and stands in no object",
        evidence=(Evidence(path, value, last_file_with(view, path) or "--set or the record"),),
        consequence="the objects are not what these values render: they were edited, or rendered "
        "from others; the next rendering undoes that",
        remedy_hint="render the chart with these values again, or write into them what is meant",
        locus=path,
        data={"path": path, "value": value, "instead": ""},
    )


def _finding(view: ReleaseView, path: str, value: str) -> Finding:
    record = chart_facts(view)
    release = view.site.release
    chart = f"{record.chart} {record.chart_version}" if record else "the rendered objects"
    version = record.chart_version if record else ""
    instead = renamed_image_key(path, release.profile if release else "generic", version)
    where = last_file_with(view, path) or "--set or the record"
    return Finding(
        problem=f"the value {path} = {value} reaches nothing of {chart}"
        if value
        else f"no template of {chart} reads the value {path}",
        evidence=(Evidence(path, value or "(set)", where),),
        consequence="the chart uses its own default in its place, without a word"
        if value
        else "the setting has no effect, without a word",
        remedy_hint=f"this chart reads {instead}" if instead else "see the chart's values.yaml",
        locus=path,
        severity=None if value else Severity.MINOR,
        data={"path": path, "value": value, "instead": instead},
    )
