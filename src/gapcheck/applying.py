"""A plan that was made before, compared with the site as it is now. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gapcheck.errors import PlanFileError, PlanOutdated
from gapcheck.model import Risk, is_named
from gapcheck.plan_file import Asked, PlanFile, site_name
from gapcheck.remediations.based_on import differences, narrowed
from gapcheck.remediations.plan import Plan, PlannedChange, Unplanned
from gapcheck.remediations.planner import Wanted, build_plan
from gapcheck.suite import Given, Prepared, selects


def asked_by(wanted: Wanted) -> Asked:
    """`wanted` as a plan's file keeps it."""
    return Asked(
        max_risk=wanted.max_risk,
        select=tuple(wanted.select),
        targets=tuple(wanted.targets),
        with_roots=wanted.with_roots,
        drain=wanted.drain,
    )


def still_fitting(given: Given, prepared: Prepared, *, helm: bool) -> Plan:
    """The changes of `given` that `prepared` asks for, where nothing they rest on has changed.

    `helm`: there is a helm program here. Raises PlanFileError where the plan is of another
    site, PlanOutdated where it does not fit.
    """
    file = given.file
    if file.site != site_name(prepared):
        raise PlanFileError(
            str(given.path),
            f"it was made for {file.site}, and this site is {site_name(prepared)}",
            "name its site file with --site",
        )
    plan = _narrow(file, prepared)
    asked = file.asked
    wanted = Wanted(
        max_risk=asked.max_risk,
        select=asked.select,
        targets=asked.targets,
        with_roots=asked.with_roots,
        drain=asked.drain,
        helm=helm,
    )
    fresh = build_plan(prepared.evaluation, wanted=wanted)
    found = differences(plan, file.based_on, fresh=fresh, evaluation=prepared.evaluation)
    if found:
        raise PlanOutdated(str(given.path), found, given.again)
    return plan


def _narrow(file: PlanFile, prepared: Prepared) -> Plan:
    """What `--select`, `--target` and `--max-risk` leave of the plan; the rest is said."""
    request = prepared.request
    most = request.fix.max_risk if request.fix else None
    left = {each.id: _left_out(each, prepared) for each in file.plan.changes}
    if most is not None:
        left.update(_too_costly(file.plan, most))
    plan = narrowed(file.plan, [each for each, why in left.items() if not why])
    kept = {each.id for each in plan.changes}
    out = [
        Unplanned(cause=cause, why=left[each.id])
        for each in file.plan.changes
        if each.id not in kept
        for cause in each.causes
    ]
    unplanned = tuple(dict.fromkeys((*file.plan.unplanned, *out)))
    return msgspec.structs.replace(plan, unplanned=unplanned)


def _left_out(planned: PlannedChange, prepared: Prepared) -> str:
    """Why a change is not asked for, ''."""
    request = prepared.request
    for cause in planned.causes:
        selected = not request.select or any(selects(e, cause.check) for e in request.select)
        if selected and (
            not request.targets or any(is_named(e, cause.subject) for e in request.targets)
        ):
            return ""
    return "left out by --select or --target"


def _too_costly(plan: Plan, most: Risk) -> Iterator[tuple[str, str]]:
    """The changes of every verdict that needs one costlier than `most`: all of it or none."""
    costly = {cause for e in plan.changes if e.change.risk.rank > most.rank for cause in e.causes}
    for each in plan.changes:
        if {*each.causes} & costly:
            yield each.id, f"needs more than --max-risk {most.value}"
