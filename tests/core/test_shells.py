"""Completion, asked of the real shells; the manual page, read by real readers; kubectl's plugin."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import needs

PROGRAMS = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
}
BASH = """
eval "$(gapcheck completion bash)"
COMP_WORDS=({words}) COMP_CWORD={last}
_gapcheck_completion gapcheck
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
COMMANDS = ["check", "collect", "completion"]


def said(*words: str, **settings: str) -> str:
    environment = {**ENVIRONMENT, **settings}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["gapcheck", "c"], COMMANDS),
        (["gapcheck", "export", "an"], ["ansible"]),
        (["gapcheck", "fix", "--max-risk", "s"], ["safe"]),
        (["gapcheck", "completion", "z"], ["zsh"]),
    ],
    ids=["command", "nested command", "value of an option", "argument"],
)
def test_bash_offers_what_fits(words: list[str], offered: list[str]) -> None:
    script = BASH.format(words=" ".join(words), last=len(words) - 1)
    assert said(needs.program("bash"), "--norc", "-c", script).split() == offered


def test_fish_offers_commands_with_their_meaning(tmp_path: Path) -> None:
    script = 'gapcheck completion fish | source; complete -C "gapcheck c"'
    shown = said(needs.program("fish"), "-N", "-c", script, HOME=str(tmp_path))
    assert [line.split("\t")[0] for line in shown.splitlines()] == COMMANDS
    assert "Judge the site" in shown


def test_zsh_completes_at_its_prompt(tmp_path: Path) -> None:
    zsh = needs.program("zsh")
    (tmp_path / ".zshrc").write_text(
        'PS1="ready> "\nautoload -Uz compinit && compinit -u -D\n'
        'eval "$(gapcheck completion zsh)"\n'
    )
    terminal, inside = pty.openpty()
    settings = {**ENVIRONMENT, "ZDOTDIR": str(tmp_path)}
    process = subprocess.Popen(
        [zsh, "-i"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=settings,
        start_new_session=True,
    )
    try:
        read_until(terminal, "ready> ")
        os.write(terminal, b"gapcheck expo\t")
        read_until(terminal, "gapcheck export")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(inside)


def read_until(terminal: int, wanted: str) -> None:
    shown, ends = "", time.monotonic() + 30
    while wanted not in shown and time.monotonic() < ends:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    assert wanted in shown, shown


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "gapcheck.1"
    path.write_text(said("gapcheck", "man"))
    return path


def test_mandoc_finds_nothing_wrong_with_the_page(page: Path) -> None:
    lint = [needs.program("mandoc"), "-Tlint", str(page)]
    found = subprocess.run(lint, capture_output=True, text=True, check=False).stdout
    # A page that is printed by a version has no day of its own.
    assert [line for line in found.splitlines() if "missing date" not in line] == []


def test_man_reads_the_page_without_a_warning(page: Path) -> None:
    words = [needs.program("man"), "--warnings", "-l", str(page)]
    environment = {**ENVIRONMENT, "MANWIDTH": "100"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for wanted in ("gapcheck export rbac", "--max-risk [safe|restart|outage]", "GAPCHECK_STATE"):
        assert wanted in done.stdout


def test_kubectl_runs_gapcheck_as_its_plugin() -> None:
    kubectl = needs.program("kubectl")
    assert said(kubectl, "gapcheck", "--version").startswith("gapcheck, version")
    assert "kubectl-gapcheck" in said(kubectl, "plugin", "list")


def test_plugin_ends_with_the_code_of_gapcheck(tmp_path: Path) -> None:
    words = [needs.program("kubectl"), "gapcheck", "check", "--site", str(tmp_path / "none.yaml")]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
