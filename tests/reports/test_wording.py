import textwrap

from hypothesis import example, given
from hypothesis import strategies as st

from gapcheck.reports.wording import wrapped


@given(st.text("ab/-. \n\t", max_size=120), st.integers(8, 30), st.integers(0, 5))
@example("   " + "a" * 40 + " b", 10, 2)
@example("a" * 9 + "   " + "b" * 9, 10, 2)
@example(" " * 40 + "a b c d e f g", 10, 2)
def test_lines_are_those_of_textwrap(text: str, width: int, indent: int) -> None:
    expected = textwrap.wrap(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    assert list(wrapped(text, width, indent=indent)) == expected
