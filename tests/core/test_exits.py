import pytest

from gapcheck.exits import Exit, of_counts, worst
from gapcheck.model import Status


def test_internal_error_outweighs_a_failed_check() -> None:
    assert worst([Exit.FAILED, Exit.INTERNAL, Exit.OK]) is Exit.INTERNAL


@pytest.mark.parametrize(
    ("counts", "gaps", "expected"),
    [
        ({Status.PASS: 3}, False, Exit.OK),
        ({Status.PASS: 3, Status.FAIL: 1}, True, Exit.FAILED),
        ({Status.PASS: 3, Status.BLOCKED: 1}, False, Exit.UNMEASURED),
        ({Status.PASS: 3}, True, Exit.UNMEASURED),
        ({Status.NOT_APPLICABLE: 9}, False, Exit.NOTHING),
    ],
)
def test_counts_give_the_documented_code(
    counts: dict[Status, int],
    gaps: bool,
    expected: Exit,
) -> None:
    assert of_counts(counts, gaps=gaps) is expected
