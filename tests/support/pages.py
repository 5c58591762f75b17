"""The documentation's pages and the commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """README, CONTRIBUTING and everything of docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> list[str]:
    """What stands in a page's console and sh blocks."""
    return [found[2] for found in _BLOCK.finditer(page.read_text())]


def commands(page: Path) -> list[str]:
    """Command lines of a page, without prompt and remark."""
    found = []
    for block in blocks(page):
        lines = block.splitlines()
        session = any(line.startswith("$ ") for line in lines)
        typed = [line for line in lines if not session or line.startswith("$ ")]
        found += [re.sub(r"\s+# .*", "", line.removeprefix("$ ")).strip() for line in typed]
    return [line for line in found if line and not line.startswith("#")]


def under(page: Path, heading: str) -> str:
    """The first block below `heading`."""
    text = page.read_text().partition(f"## {heading}\n")[2]
    found = _BLOCK.search(text)
    assert found is not None, f"{page.name} has no block under {heading}"
    return found[2]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of a session and what it is to print; `...` stands for anything."""

    command: str
    shown: str


def session(page: Path) -> list[Step]:
    """The commands after `$ ` of a page, in their order."""
    steps: list[Step] = []
    for block in blocks(page):
        if not block.startswith("$ "):
            continue
        for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = each.partition("\n")
            steps.append(Step(command=command, shown=shown))
    return steps
