"""README's commands are the ones that are run, and what it points at is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
    return [line for line in lines if line.startswith("gapcheck ")]


def test_ci_runs_the_test_command_of_the_readme_word_for_word() -> None:
    wanted = next(line for block in BLOCKS for line in block.splitlines() if "-m pytest" in line)
    assert wanted in (ROOT / ".ci/run").read_text()
    assert wanted in (ROOT / "CONTRIBUTING.md").read_text().replace("install -e", "install -q -e")


@pytest.mark.parametrize("line", commands())
def test_command_of_the_readme_exists_with_those_options(line: str) -> None:
    words = line.split()
    shown = subprocess.run(
        [sys.executable, "-m", "gapcheck", words[1], "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    for option in (word for word in words if word.startswith("-")):
        assert option in shown.stdout


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *map(str, (ROOT / "docs").glob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), f"{page} points at {target}"


def test_exit_codes_of_the_readme_are_those_of_the_program() -> None:
    from gapcheck.exits import Exit

    listed = {int(code) for code in re.findall(r"^\| (\d) \|", README, re.MULTILINE)}
    assert listed == {int(code) for code in Exit}
