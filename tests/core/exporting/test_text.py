from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gapcheck.exporting.text import Noted, Unsafe, comment, document

SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=40)
TEXTS = st.lists(st.text(alphabet="ab #:'\"{}%\t", max_size=8), max_size=5).map("\n".join)
TREES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=6), TREES, max_size=4) | st.lists(TREES, max_size=4))
def test_a_document_reads_back_as_what_it_was_made_of(body: Any) -> None:
    text = document(comment("why: because"), body)
    assert YAML(typ="safe").load(text) == body


@given(st.dictionaries(st.text(max_size=6), TREES, max_size=4))
def test_readers_of_the_older_yaml_see_the_same(body: Any) -> None:
    assert yaml.safe_load(document((), body)) == body


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "0644", "22:22", "1e3", "null", "~", "10.0.0.2"]
)
def test_a_text_that_looks_like_something_else_stays_a_text(word: str) -> None:
    assert yaml.safe_load(document((), {"a": word, "b": [word]})) == {"a": word, "b": [word]}


def test_lines_stay_lines_with_the_blank_ones_at_their_end() -> None:
    text = document((), {"content": "a = 1\n\n[b]\n\n\n", "mode": "0644"})
    assert "content: |+\n  a = 1\n" in text
    assert yaml.safe_load(text) == {"content": "a = 1\n\n[b]\n\n\n", "mode": "0644"}


def test_a_comment_stands_above_its_key_whatever_it_holds() -> None:
    text = document((), {"a": {"b": Noted("x", ("one\n---\ntwo: [", "three"))}})
    assert text == "---\na:\n  # one --- two: [\n  # three\n  b: x\n"


def test_text_for_ansible_that_looks_like_a_template_is_marked() -> None:
    text = document((), {"content": Unsafe("{{ x }}\nb\n")})
    assert text == "---\ncontent: !unsafe |\n  {{ x }}\n  b\n"


@pytest.mark.parametrize(("body", "text"), [({}, "---\n{}\n"), ([], "---\n[]\n")])
def test_an_empty_document_is_no_missing_one(body: Any, text: str) -> None:
    assert document((), body) == text
