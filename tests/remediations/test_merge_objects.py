from typing import Any

from gapcheck.model import Cause, CheckId, Risk, SubjectId
from gapcheck.remediations.merge import Draft, merged
from gapcheck.remediations.plan import PatchObject


def draft(check: str, patch: Any, **given: Any) -> Draft:
    change = PatchObject(
        target=SubjectId("cluster"), api_version="v1", kind="Secret", namespace="coder",
        name="local-registry-cert", uid="u-3", resource_version="1", patch=patch, **given,
    )  # fmt: skip
    cause = Cause(CheckId(check), SubjectId("release"))
    return Draft(change=change, causes=(cause,), risk=Risk.SAFE)


def test_two_patches_of_one_object_become_one_with_both_causes() -> None:
    kept, left = merged(
        [
            draft("SECRET-CA-002", {"data": {"registry.crt": "QQ=="}}),
            draft("SECRET-CA-003", {"data": {"ca.crt": "Qg=="}}, rolls_out=True),
        ]
    )
    assert left == []
    assert len(kept) == 1
    change = kept[0].change
    assert isinstance(change, PatchObject)
    assert change.patch == {"data": {"registry.crt": "QQ==", "ca.crt": "Qg=="}}
    assert change.rolls_out
    assert [cause.check for cause in kept[0].causes] == ["SECRET-CA-002", "SECRET-CA-003"]


def test_two_values_for_one_field_leave_the_second_for_a_later_round() -> None:
    kept, left = merged(
        [
            draft("SECRET-CA-002", {"data": {"registry.crt": "QQ=="}}),
            draft("SECRET-CA-003", {"data": {"registry.crt": "Qg=="}}),
        ]
    )
    assert [each.causes[0].check for each in kept] == ["SECRET-CA-002"]
    assert [each.cause.check for each in left] == ["SECRET-CA-003"]
    assert "data.registry.crt" in left[0].why


def test_a_final_patch_is_not_mixed_with_one_that_can_be_undone() -> None:
    kept, left = merged(
        [
            draft("SECRET-KEY-001", {"data": {"registry.key": None}}, final=True),
            draft("SECRET-CA-003", {"data": {"registry.crt": "Qg=="}}),
        ]
    )
    assert len(kept) == 1
    assert [each.cause.check for each in left] == ["SECRET-CA-003"]
