"""A file after an edit holds what the edit asks for, and every other byte it held before."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gapcheck.errors import EditRefused
from gapcheck.model import SubjectId
from gapcheck.remediations.editing.keys import edited_data, same
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import (
    EditBlock,
    EditJson,
    EditToml,
    EditYaml,
    KeyEdit,
    LineEdit,
    Literal,
    Output,
    RemoveFile,
    SetMode,
    WriteFile,
)

NODE = SubjectId("node/debian")
WHERE: Any = {"target": NODE, "path": "/etc/f", "before_sha256": "0"}
CRI = ("plugins", "io.containerd.grpc.v1.cri")


def put(*keys: str | int, value: Any) -> KeyEdit:
    return KeyEdit(op="set", keys=keys, value=value)


def drop(*keys: str | int) -> KeyEdit:
    return KeyEdit(op="delete", keys=keys)


def toml(text: str, *edits: KeyEdit) -> str:
    done = apply_edit(EditToml(**WHERE, edits=edits), text.encode())
    assert done is not None
    return done.decode()


def yaml(text: str, *edits: KeyEdit, document: int = 0) -> str:
    done = apply_edit(EditYaml(**WHERE, edits=edits, document=document), text.encode())
    assert done is not None
    return done.decode()


def as_json(text: str, *edits: KeyEdit) -> str:
    done = apply_edit(EditJson(**WHERE, edits=edits), text.encode())
    assert done is not None
    return done.decode()


def block(text: str | None, *lines: str, edits: tuple[LineEdit, ...] = ()) -> str:
    change = EditBlock(**WHERE, marker="registry", lines=lines, line_edits=edits)
    done = apply_edit(change, None if text is None else text.encode())
    assert done is not None
    return done.decode()


GUIDE_APPENDED = """version = 2  # written by hand
# the node's own pause image
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.local/pause:3.9" # keep

[timeouts]
  "io.containerd.timeout.bolt.open" = "0s"
[plugins."io.containerd.grpc.v1.cri".registry.configs."registry.local".tls]
  ca_file = "/usr/local/share/ca-certificates/registry.crt"
"""


def test_a_table_that_was_appended_out_of_order_goes_with_its_header() -> None:
    done = toml(GUIDE_APPENDED, drop(*CRI, "registry", "configs"))

    assert (
        done == GUIDE_APPENDED[: GUIDE_APPENDED.index('[plugins."io.containerd.grpc.v1.cri".reg')]
    )


def test_a_new_table_gets_its_own_quoted_header_and_nothing_else_moves() -> None:
    done = toml(
        GUIDE_APPENDED,
        put("plugins", "io.containerd.cri.v1.images", "registry", "config_path", value="/etc/c"),
    )

    assert done == GUIDE_APPENDED + (
        '\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/c"\n'
    )


def test_a_value_is_replaced_where_it_stands_with_its_comment() -> None:
    done = toml(GUIDE_APPENDED, put(*CRI, "sandbox_image", value="registry.local/pause:3.10"))

    assert done == GUIDE_APPENDED.replace("pause:3.9", "pause:3.10")


def test_a_key_of_the_whole_file_is_set_above_its_tables() -> None:
    done = toml("[a]\nb = 1\n", put("version", value=2))

    assert tomllib.loads(done) == {"version": 2, "a": {"b": 1}}
    assert "[a]\nb = 1\n" in done


def test_a_table_with_a_comment_stays_when_its_last_key_goes() -> None:
    done = toml("[a]\n# why this is here\nb = 1\n", drop("a", "b"))

    assert done == "[a]\n# why this is here\n"


def test_crlf_files_keep_their_line_endings() -> None:
    done = toml("a = 1\r\nb = 2\r\n", put("t", "c", value="x"))

    assert done == 'a = 1\r\nb = 2\r\n\r\n[t]\r\nc = "x"\r\n'


def test_an_absent_file_is_made_by_its_first_edit() -> None:
    change = EditToml(**WHERE, edits=(put("a", "b", value=True),))

    assert apply_edit(change, None) == b"[a]\nb = true\n"


@pytest.mark.parametrize(
    ("text", "edit", "why"),
    [
        ("a = [", put("a", value=1), "not TOML"),
        ("a = 1", put("a", "b", value=1), "a is not a table"),
        ("a = [1]", put("a", 5, value=1), "a has no position 5"),
        ("a = 1", put("a", 0, value=1), "a is not a list"),
        ("a = 1", KeyEdit(op="merge", keys=("a",)), "'merge' is not an edit"),
        ("a = 1", KeyEdit(op="set", keys=()), "names no key"),
    ],
    ids=["broken", "through a value", "position", "list", "operation", "no key"],
)
def test_an_edit_that_does_not_apply_says_why(text: str, edit: KeyEdit, why: str) -> None:
    with pytest.raises(EditRefused, match=why) as refused:
        toml(text, edit)
    assert str(refused.value).startswith("/etc/f: ")


VALUES = """# values of the site
global: &g
  tag: "1.44.3"   # pinned
timescale:
  image: 'timescale:1'
  args:
  - one  # first
  - {a: 1, b: [1, 2]}

certs:
  secret:
    name: ""
  empty: {}
  nothing:
notes: |
  two
  lines

# the end
"""


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (put("timescale", "image", value="r.local/t:1"), "'timescale:1'", "'r.local/t:1'"),
        (put("certs", "secret", "name", value="ca"), 'name: ""', 'name: "ca"'),
        (put("certs", "secret", "key", value="a.crt"), 'name: ""', 'name: ""\n    key: a.crt'),
        (put("certs", "empty", "x", value="yy"), "empty: {}", "empty:\n    x: yy"),
        (put("certs", "nothing", "x", value="yy"), "nothing:", "nothing:\n    x: yy"),
        (put("certs", "nothing", value="true"), "nothing:", 'nothing: "true"'),
        (put("timescale", "args", 1, "a", value=2), "{a: 1,", "{a: 2,"),
        (put("timescale", "args", 1, "c", value="nn"), "[1, 2]}", "[1, 2], c: nn}"),
        (put("timescale", "args", 0, value="two"), "- one", "- two"),
        (put("timescale", "args", 2, value="end"), "[1, 2]}", "[1, 2]}\n  - end"),
        (put("new", "list", value=[{"a": "b"}]), "lines\n", "lines\nnew:\n  list:\n  - a: b\n"),
        (put("notes", value="one\ntwo\n"), "  two\n  lines", "  one\n  two"),
        (drop("timescale", "args", 0), "  - one  # first\n", ""),
        (drop("timescale", "args"), '  args:\n  - one  # first\n  - {a: 1, b: [1, 2]}\n', ""),
        (drop("timescale", "args", 1, "a"), "{a: 1, b", "{b"),
        (drop("certs", "secret", "name"), "secret:\n    name: \"\"", "secret: {}"),
        (drop("notes"), "notes: |\n  two\n  lines\n", ""),
    ],
    ids=str,
)  # fmt: skip
def test_a_yaml_edit_changes_only_its_own_text(edit: KeyEdit, before: str, after: str) -> None:
    assert VALUES.count(before) == 1

    assert yaml(VALUES, edit) == VALUES.replace(before, after)


def test_other_documents_keep_their_bytes() -> None:
    text = "---\na: 1\n...\n---\n# second\nkind: Secret\ndata:   {}\n---\nb:   2\n"

    done = yaml(text, put("data", "ca", value="eA=="), document=1)

    assert done == text.replace("data:   {}", 'data:\n  ca: "eA=="')


def test_an_edit_through_an_anchor_is_refused() -> None:
    text = "a: &x\n  k: 1\nb: *x\n"

    with pytest.raises(EditRefused, match="anchor"):
        yaml(text, put("b", "k", value=2))
    assert yaml(text, put("b", value=3)) == "a: &x\n  k: 1\nb: 3\n"


def test_a_file_without_final_newline_and_a_crlf_file_are_edited() -> None:
    assert yaml("a: 1", put("b", value=2)) == "a: 1\nb: 2\n"
    assert yaml("a: 1", put("a", value=1)) == "a: 1"
    assert yaml("a: 1\r\nb: 2\r\n", put("a", value=3)) == "a: 3\r\nb: 2\r\n"


@pytest.mark.parametrize(
    ("text", "document", "why"),
    [("a: [", 0, "not YAML"), ("a: 1\n", 1, "holds 1 doc"), ("a: 1\na: 2\n", 0, "not YAML")],
    ids=["broken", "document", "twice"],
)  # fmt: skip
def test_a_yaml_file_that_cannot_be_edited_says_why(text: str, document: int, why: str) -> None:
    with pytest.raises(EditRefused, match=why):
        yaml(text, put("a", value=1), document=document)


def test_an_absent_or_empty_yaml_file_gets_its_first_key() -> None:
    assert yaml("", put("a", "b", value=[1])) == "a:\n  b:\n    - 1\n"
    assert yaml("# only a comment\n", put("a", value=1)) == "# only a comment\na: 1\n"


DAEMON = '{\n\t"log-driver": "journald",\n\t"registry-mirrors": ["https://a"],\n\t"x": {}\n}\n'


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (put("log-driver", value="local"), '"journald"', '"local"'),
        (put("registry-mirrors", 1, value="https://b"), '["https://a"]', '["https://a", "https://b"]'),
        (put("x", "y", value=1), "{}", '{\n\t\t"y": 1\n\t}'),
        (put("z", value=[1]), '"x": {}', '"x": {},\n\t"z": [\n\t\t1\n\t]'),
        (drop("x"), ',\n\t"x": {}', ""),
        (drop("log-driver"), '"log-driver": "journald",\n\t', ""),
        (drop("registry-mirrors", 0), '["https://a"]', "[]"),
    ],
    ids=str,
)  # fmt: skip
def test_a_json_edit_changes_only_its_own_text(edit: KeyEdit, before: str, after: str) -> None:
    assert DAEMON.count(before) == 1

    assert as_json(DAEMON, edit) == DAEMON.replace(before, after)


def test_json_on_one_line_stays_on_one_line_and_an_absent_file_is_made() -> None:
    assert as_json('{"a":1}', put("b", "c", value=[1])) == '{"a":1, "b": {"c": [1]}}'
    assert as_json("", put("a", value=1)) == '{\n  "a": 1\n}\n'
    with pytest.raises(EditRefused, match="not JSON"):
        as_json("{,}", put("a", value=1))


HOSTS = "127.0.0.1 localhost\n10.0.0.9 registry.local # old\n\n::1 ip6-localhost\n"


def test_a_block_is_added_replaced_and_removed_without_touching_other_lines() -> None:
    added = block(HOSTS, "10.0.0.2 registry.local")

    assert added == HOSTS + (
        "# BEGIN gapcheck registry\n10.0.0.2 registry.local\n# END gapcheck registry\n"
    )
    assert block(added, "10.0.0.3 registry.local") == added.replace("10.0.0.2", "10.0.0.3")
    assert block(added) == HOSTS


def test_lines_outside_the_block_are_replaced_and_dropped() -> None:
    edits = (
        LineEdit(before="10.0.0.9 registry.local # old"),
        LineEdit(before="127.0.0.1 localhost", after="127.0.0.1 localhost me"),
    )
    done = block(HOSTS, edits=edits)

    assert done == "127.0.0.1 localhost me\n\n::1 ip6-localhost\n"
    with pytest.raises(EditRefused, match="no line is 'gone'"):
        block(HOSTS, edits=(LineEdit(before="gone", after="here"),))


def test_a_block_after_a_last_line_without_newline_and_in_a_crlf_file() -> None:
    assert block("a", "b") == "a\n# BEGIN gapcheck registry\nb\n# END gapcheck registry\n"
    assert (
        block("a\r\n", "b") == "a\r\n# BEGIN gapcheck registry\r\nb\r\n# END gapcheck registry\r\n"
    )
    assert block(None, "b").startswith("# BEGIN")


@pytest.mark.parametrize(
    "text",
    ["# BEGIN gapcheck registry\nx\n", "# END gapcheck registry\n# BEGIN gapcheck registry\n"],
    ids=["no end", "end first"],
)
def test_a_damaged_block_is_refused(text: str) -> None:
    with pytest.raises(EditRefused, match="a block"):
        block(text, "x")


def test_a_line_break_inside_a_line_is_refused() -> None:
    with pytest.raises(EditRefused, match="line break"):
        block("", "a\nb")


def test_whole_files_are_written_and_removed_and_modes_leave_content() -> None:
    written = WriteFile(**WHERE, content=Literal(b"x"))

    assert apply_edit(written, None) == b"x"
    assert apply_edit(RemoveFile(**WHERE), b"x") is None
    assert apply_edit(SetMode(**WHERE, mode=0o600, before_mode=0o644), b"x") == b"x"
    with pytest.raises(EditRefused, match=r"ca\.crt is made by ISSUE-1"):
        apply_edit(WriteFile(**WHERE, content=Output("ISSUE-1", "ca.crt")), None)


NAMES = st.sampled_from(["a", "b", "io.containerd.x", "registry.local:5000", "c d", "on"])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
ODD = st.sampled_from(["no", "1", "~", "a: b", "x\ny\n", "- q", "#"])
SCALARS = st.one_of(TEXT, st.integers(-5, 5), st.booleans(), ODD)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.dictionaries(NAMES, inner, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=8,
)
TABLES = st.dictionaries(NAMES, TREES, max_size=4)
EDITS = st.builds(
    lambda keys, value: put(*keys, value=value) if value is not None else drop(*keys),
    st.lists(NAMES, min_size=1, max_size=3),
    st.one_of(st.none(), TREES),
)


def _expect(data: Mapping[str, Any], edit: KeyEdit) -> Any:
    try:
        return edited_data("", dict(data), (edit,))
    except EditRefused:
        assume(False)


def _pruned(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    inner = {key: _pruned(value) for key, value in data.items()}
    return {key: value for key, value in inner.items() if value != {}}


@settings(max_examples=60, deadline=None)
@given(TABLES, EDITS)
def test_any_json_edit_gives_what_it_asks_for_and_only_once(
    data: dict[str, Any], edit: KeyEdit
) -> None:
    wanted = _expect(data, edit)
    for indent in (None, 4):
        done = as_json(json.dumps(data, indent=indent), edit)
        assert same(json.loads(done), wanted)
        assert as_json(done, edit) == done


@settings(max_examples=600, deadline=None)
@given(TABLES, EDITS)
def test_any_yaml_edit_gives_what_it_asks_for_and_only_once(
    data: dict[str, Any], edit: KeyEdit
) -> None:
    import io

    wanted = _expect(data, edit)
    out = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.dump(data, out)
    text = "# head\n" + out.getvalue() + "# tail\n"
    assume(same(YAML(typ="safe", pure=True).load(text) or {}, data))
    try:
        done = yaml(text, edit)
    except EditRefused as refused:
        raise AssertionError(text) from refused
    assert same(YAML(typ="safe", pure=True).load(done) or {}, wanted)
    assert yaml(done, edit) == done
    assert done.startswith("# head\n")
    assert done.endswith("# tail\n") or data == {}


@settings(max_examples=600, deadline=None)
@given(TABLES, EDITS)
def test_any_toml_edit_gives_what_it_asks_for_and_only_once(
    data: dict[str, Any], edit: KeyEdit
) -> None:
    import tomlkit

    wanted = _expect(data, edit)
    text = "# head\n" + tomlkit.dumps(data)
    assume(same(tomllib.loads(text), data))
    try:
        done = toml(text, edit)
    except EditRefused as refused:
        raise AssertionError(text) from refused
    assert same(_pruned(tomllib.loads(done)), _pruned(wanted))
    assert toml(done, edit) == done
    assert done.startswith("# head\n")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="ascii", exclude_characters="\n\r")), max_size=6),
    st.booleans(),
)
def test_a_block_leaves_every_other_line_alone(lines: list[str], ended: bool) -> None:
    assume(not any("gapcheck" in line for line in lines))
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    done = block(text, "x y")

    assert done.startswith(text)
    assert block(done, "x y") == done
    assert block(done).rstrip("\n") == text.rstrip("\n")
