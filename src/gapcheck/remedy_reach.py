"""Which changes a remedy may plan, read from its planner and from what that calls. Pure.

It is for the documentation: what a planner could yield, whatever it finds.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any, get_args

from gapcheck.registry import Remedy
from gapcheck.remediations.plan import AnyChange, Change

_OURS = "gapcheck.remediations."
_KINDS: tuple[Any, ...] = get_args(AnyChange)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The kinds of change a planner can make, and whether one of them cannot be undone."""

    kinds: frozenset[type[Change]]
    final: bool


def reach_of(remedy: Remedy) -> Reach:
    """What the planner of `remedy` can reach."""
    kinds: set[type[Change]] = set()
    final = False
    waiting: list[Any] = [remedy.plan]
    seen: set[Any] = set()
    while waiting:
        function = waiting.pop()
        if function in seen or not isinstance(function, FunctionType):
            continue
        seen.add(function)
        body = _body(function)
        final = final or any(map(_says_final, body))
        for found in _named(function, body):
            if found in _KINDS:
                kinds.add(found)
            elif isinstance(found, FunctionType) and found.__module__.startswith(_OURS):
                waiting.append(found)
    return Reach(kinds=frozenset(kinds), final=final)


def _body(function: FunctionType) -> list[ast.AST]:
    """Every node of the function's body; annotations and decorators are no part of it."""
    source = textwrap.dedent(inspect.getsource(function))
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.FunctionDef)
    return [node for statement in tree.body for node in ast.walk(statement)]


def _named(function: FunctionType, body: list[ast.AST]) -> Iterator[Any]:
    for node in body:
        if isinstance(node, ast.Name):
            yield function.__globals__.get(node.id)


def _says_final(node: ast.AST) -> bool:
    """Whether `final` is True here, or found out here; what was handed in is said elsewhere."""
    if not isinstance(node, ast.keyword) or node.arg != "final":
        return False
    if isinstance(node.value, ast.Constant):
        return node.value.value is True
    return not isinstance(node.value, ast.Name)
