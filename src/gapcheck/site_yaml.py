"""YAML text as plain data, with the line of every key and every defect named by line.

The text is composed, never constructed: no tag can make an object, an alias cannot grow
the data without bound, and two equal keys are seen instead of the last one winning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_BYTES = 8 * 1024 * 1024
MAX_VALUES = 1_000_000
MAX_DEPTH = 40

KeyPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"


class Problem(NamedTuple):
    """One defect: its line (1-based, 0 = the whole file), its key path, and what is true.

    `whole` False: the value there was read all the same, and may have defects of its own.
    """

    line: int
    path: KeyPath
    why: str
    whole: bool = True

    def __str__(self) -> str:
        return f"{key_text(self.path)}: {self.why}" if self.path else self.why


@dataclass(slots=True)
class Document:
    """One YAML document: its data, the line of each key path, and defects found on the way.

    `empty` are paths whose key stands there with nothing after it, which YAML reads as null.
    """

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    empty: set[KeyPath] = field(default_factory=set)

    def line_of(self, path: KeyPath) -> int:
        """Line of `path`, or of the nearest table around it; 0 = the whole file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def key_text(path: KeyPath) -> str:
    """A key path as people write it: nodes[2].target."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_document(content: bytes, *, tags: frozenset[str] = frozenset()) -> Document:
    """The one document in `content`; every defect is in its `problems`, none is raised.

    A scalar with one of `tags` reads as the text {{TAG}}, so that nobody takes it for a value.
    """
    document = Document()
    if len(content) > MAX_BYTES:
        why = f"holds {len(content)} bytes; at most {MAX_BYTES} are read"
        document.problems.append(Problem(0, (), why))
        return document
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        document.problems.append(_not_utf8(content, wrong))
        return document
    root = _compose(text, document)
    if root is not None:
        try:
            document.data = _Reader(document, tags).read(root, ())
        except _TooMuch as limit:
            document.problems.append(limit.args[0])
    return document


def _not_utf8(content: bytes, wrong: UnicodeDecodeError) -> Problem:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Problem(0, (), "is UTF-16 text; save it as UTF-8")
    line = content.count(b"\n", 0, wrong.start) + 1
    return Problem(line, (), f"byte 0x{content[wrong.start]:02x} is not UTF-8; save it as UTF-8")


def _compose(text: str, document: Document) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    try:
        roots = list(yaml.compose_all(text))
    except MarkedYAMLError as wrong:
        document.problems += _syntax(text, wrong)
        return None
    except ReaderError as wrong:
        line = text.count("\n", 0, int(wrong.position)) + 1
        code = wrong.character if isinstance(wrong.character, int) else ord(wrong.character)
        document.problems.append(Problem(line, (), f"control character 0x{code:02x}"))
        return None
    except (YAMLError, RecursionError, ValueError) as wrong:
        why = "is nested too deeply" if isinstance(wrong, RecursionError) else "is not YAML"
        document.problems.append(Problem(0, (), why))
        return None
    if len(roots) > 1:
        line = roots[1].start_mark.line + 1
        document.problems.append(Problem(line, (), "a second document begins; one is read"))
    elif not roots:
        document.problems.append(Problem(0, (), "is empty"))
    return roots[0] if len(roots) == 1 else None


def _syntax(text: str, wrong: MarkedYAMLError) -> Iterator[Problem]:
    mark = wrong.problem_mark or wrong.context_mark
    number = mark.line if mark else -1
    lines = text.splitlines()
    line = lines[number] if 0 <= number < len(lines) else ""
    tabbed = [
        at for at, each in enumerate(lines, 1) if "\t" in each[: len(each) - len(each.lstrip())]
    ]
    problem = str(wrong.problem or "")
    if "'\\t'" in problem or (number + 1) in tabbed:
        for at in tabbed or [number + 1]:
            yield Problem(at, (), "a tab stands where YAML wants spaces")
    else:
        yield Problem(number + 1, (), _plain(problem, str(wrong.context or ""), line))


def _plain(problem: str, context: str, line: str) -> str:
    """What the YAML reader met, in words that name the repair."""
    told = (
        ("mapping values are not allowed", "a second colon; quote a value that holds ': '"),
        ("expected <block end>", "the indentation fits no line above it"),
        ("expected '<document start>'", "the indentation fits no line above it"),
        ("could not find expected ':'", "a key without a colon after it"),
        ("undefined alias", problem.removeprefix("found ")),
        ("<stream end>", "a bracket or brace is not closed before the end of the file"),
        ("end of stream", "a quote is not closed before the end of the file"),
        ("cannot start any token", f"{problem.removeprefix('found ')}; quote the value"),
        ("expected ',' or", "a comma or a closing bracket is missing"),
    )  # fmt: skip
    for sign, words in told:
        if sign in problem:
            return words
    return f"not YAML: {problem or context or line.strip()}"


class _TooMuch(Exception):
    """The data are larger, or nested deeper, than any site file; carries the Problem."""


class _Reader:
    def __init__(self, document: Document, tags: frozenset[str]) -> None:
        self.document = document
        self.tags = tags
        self.scalars = YAML(typ="safe", pure=True).constructor
        self.count = 0
        self.trail: list[Node] = []

    def read(self, node: Node, path: KeyPath) -> Any:  # noqa: ANN401 - YAML holds anything; the shape is checked next
        self.count += 1
        line = node.start_mark.line + 1
        if self.count > MAX_VALUES:
            why = f"aliases make it hold more than {MAX_VALUES} values"
            raise _TooMuch(Problem(line, (), why))
        if len(self.trail) >= MAX_DEPTH or any(node is above for above in self.trail):
            raise _TooMuch(Problem(line, path[:6], "an alias leads back to itself, or too deep"))
        self.document.lines.setdefault(path, line)
        if not isinstance(node, ScalarNode) and not str(node.tag).startswith(_TAG):
            self.document.problems.append(Problem(line, path, f"tag {node.tag} is not read"))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path, line)
        self.trail.append(node)
        try:
            if isinstance(node, SequenceNode):
                return [self.read(each, (*path, at)) for at, each in enumerate(node.value)]
            assert isinstance(node, MappingNode), "YAML has no fourth kind of node"
            return self._table(node, path)
        finally:
            self.trail.pop()

    def _scalar(self, node: ScalarNode, path: KeyPath, line: int) -> Any:  # noqa: ANN401 - YAML holds anything; the shape is checked next
        kind = node.tag.removeprefix(_TAG) if node.tag else "str"
        if kind in self.tags:
            return f"{{{{{kind}}}}}"
        if kind == "null" and not node.value:
            self.document.empty.add(path)
        if kind in ("str", "timestamp"):
            return node.value
        if kind in ("null", "bool", "int", "float"):
            try:
                return getattr(self.scalars, f"construct_yaml_{kind}")(node)
            except (ValueError, KeyError):
                why = f"{node.value[:40]!r} cannot be read as {kind}"
                self.document.problems.append(Problem(line, path, why))
                return None
        self.document.problems.append(Problem(line, path, f"tag {node.tag} is not read"))
        return None

    def _table(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        table: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, value, own in self._own_then_merged(node):
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self.document.problems.append(Problem(line, path, "a key is not plain text"))
                continue
            name = str(key.value)
            if name not in first:
                first[name] = line
                self.document.lines[*path, name] = line
                table[name] = self.read(value, (*path, name))
            elif own:
                why = f"stands here and on line {first[name]}"
                self.document.problems.append(Problem(line, (*path, name), why, whole=False))
        return table

    def _own_then_merged(
        self, node: MappingNode, depth: int = 0
    ) -> Iterator[tuple[Node, Node, bool]]:
        """Keys written here (True), then those of tables merged by `<<`, which never win."""
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
            else:
                yield key, value, True
        for each in merged:
            self.count += 1
            if depth >= MAX_DEPTH or self.count > MAX_VALUES or not isinstance(each, MappingNode):
                line = each.start_mark.line + 1
                raise _TooMuch(Problem(line, (), "<< merges no table, or too many"))
            for key, value, _ in self._own_then_merged(each, depth + 1):
                yield key, value, False
