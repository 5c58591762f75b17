"""What the command line does to its surroundings: streams, files, signals, colour."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import sshd
from support.certs import issue
from support.command import COMMAND, Ended, gapcheck, write_site
from support.healthy import ca, healthy, served
from support.registry_server import make_files, talking

from gapcheck.fixtures.bundle import write_bundle

HEAVY = {"rich", "requests", "cryptography", "jinja2", "kubernetes", "docker", "pydantic"}
ESCAPE = "\x1b["


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with red.tar.gz, whose certificate names no host, and an unreachable site."""
    site, facts = healthy()
    write_bundle(tmp_path / "red.tar.gz", site, served(facts, issue(san=None, by=ca())))
    write_site(tmp_path, 1, ca_file=False)
    return tmp_path


# --- streams


def test_report_goes_to_stdout_and_nothing_to_stderr(folder: Path) -> None:
    done = gapcheck(folder, "check", "--bundle", "red.tar.gz")
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("gapcheck ")


def test_json_on_stdout_leaves_the_rest_to_stderr_and_quiet_drops_it(folder: Path) -> None:
    words = ["check", "--bundle", "red.tar.gz", "--report", "json:-"]
    loud, quiet = gapcheck(folder, *words), gapcheck(folder, "-q", *words)
    assert json.loads(loud.out)["run"]["exit"] == loud.code == 1
    assert "CERT-SAN-001 critical" in loud.err
    assert json.loads(quiet.out)["summary"] == json.loads(loud.out)["summary"]
    assert quiet.err == ""


@pytest.mark.parametrize("words", [["list"], ["check", "--bundle", "red.tar.gz"], ["--help"]])
@pytest.mark.parametrize("shell", ["| head -1", ">/dev/full", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_stream_that_is_shut_or_full_is_no_defect(
    words: list[str], shell: str, folder: Path
) -> None:
    line = f'{sys.executable} -m gapcheck "$@" {shell}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "a defect of gapcheck" not in done.stderr
    if "full" in shell:
        assert done.returncode == 4
        assert "the output cannot be written: No space left on device" in done.stderr
    else:
        assert done.returncode == (1 if "check" in words and "head" not in shell else 0)


def test_every_help_page_is_shown_without_loading_a_heavy_library() -> None:
    program = """
import sys, click
from gapcheck.cli import cli
def pages(command, words):
    try:
        cli.main([*words, "--help"], standalone_mode=False)
    except SystemExit:
        pass
    for name, each in getattr(command, "commands", {}).items():
        pages(each, [*words, name])
pages(cli, [])
print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    for name in ("check", "fix", "plan", "undo", "collect", "explain", "init", "demo", "node-init"):
        assert f" {name} [" in done.stdout or f" {name} \n" in done.stdout, name
    assert not HEAVY & {name.partition(".")[0] for name in done.stderr.split()}


# --- colour


def on_terminal(folder: Path, *words: str, **env: str) -> str:
    """What a terminal of ours is shown, both streams together."""
    ours, theirs = pty.openpty()
    clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, env={**clean, "TERM": "xterm-256color", **env},
        stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    finally:
        os.close(ours)
    assert process.wait(timeout=30) == 1
    return shown.decode()


def test_colour_is_for_terminals_alone_and_can_be_refused(folder: Path) -> None:
    words = ("check", "--bundle", "red.tar.gz")
    assert f"{ESCAPE}1;31m" in on_terminal(folder, *words)
    assert ESCAPE not in on_terminal(folder, *words, NO_COLOR="1")
    assert ESCAPE not in on_terminal(folder, "--no-color", *words)
    piped = gapcheck(folder, *words)
    assert ESCAPE not in piped.out + piped.err


# --- files


def unchanged(folder: Path, act: Callable[[], Ended]) -> Ended:
    """The end of `act`, which changed no file of `folder`."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = act()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    return done


@pytest.mark.parametrize("where", ["absent/out", "site.yaml/out", ".", "site.yaml"])
@pytest.mark.parametrize("command", ["check", "fix", "collect"])
def test_output_that_cannot_or_may_not_be_written_is_refused_before_anything_is_asked(
    command: str, where: str, folder: Path
) -> None:
    asked: list[socket.socket] = []
    with talking(asked.append) as port:
        write_site(folder, port, ca_file=False)
        option = ["-o", where] if command == "collect" else ["--report", f"json:{where}"]
        done = unchanged(folder, lambda: gapcheck(folder, command, "--site", "site.yaml", *option))
    assert (done.code, done.out, asked) == (4, "", [])
    done.line(where, ":")


def test_report_never_takes_the_place_of_what_is_judged(folder: Path) -> None:
    words = ["check", "--bundle", "red.tar.gz", "--report"]
    own = unchanged(folder, lambda: gapcheck(folder, *words, "html:./red.tar.gz"))
    assert own.code == 4
    own.line("red.tar.gz", "is read by this run, and would be lost")
    twice = unchanged(folder, lambda: gapcheck(folder, *words, "json:a", "--report", "html:./a"))
    assert twice.code == 4
    twice.line("only one report can go to ./a")


def test_report_into_a_pipe_or_a_link_leaves_pipe_and_link(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("real")
    with (folder / "got").open("wb") as got:
        reader = subprocess.Popen(["cat", folder / "pipe"], stdout=got)
        try:
            words = ["--report", "json:pipe", "--report", "html:link"]
            done = gapcheck(folder, "check", "--bundle", "red.tar.gz", *words)
            assert reader.wait(timeout=10) == 0
        finally:
            reader.kill()
    assert done.code == 1
    assert (folder / "pipe").is_fifo()
    assert json.loads((folder / "got").read_text())["schema"] == "gapcheck/1"
    assert (folder / "link").is_symlink()
    assert "<html" in (folder / "real").read_text()


def test_pattern_that_names_no_check_is_refused(folder: Path) -> None:
    for words in (
        ["list"],
        ["check", "--bundle", "red.tar.gz"],
        ["plan", "--bundle", "red.tar.gz"],
    ):
        done = gapcheck(folder, *words, "--select", "NODE-TRUTS")
        assert done.code == 4, words
        done.line("--select NODE-TRUTS: no such check")


def test_repair_of_a_pattern_that_names_nothing_begins_nothing(folder: Path) -> None:
    (folder / "root/etc").mkdir(parents=True)
    (folder / "root/etc/hosts").write_text("127.0.0.1 localhost\n")
    write_site(folder, 1, "nodes: [rootdir://./root]\n", ca_file=False)
    words = ["--yes", "--site", "site.yaml", "--target", "root", "--target", "rooot"]
    done = gapcheck(folder, "fix", *words, GAPCHECK_STATE=str(folder / "state"))
    assert done.code == 4
    done.line("--target rooot: no such subject")
    assert (folder / "root/etc/hosts").read_text() == "127.0.0.1 localhost\n"


# --- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["check", "collect"])
def test_signal_during_a_hanging_probe_ends_the_run_and_its_children(
    number: signal.Signals, command: str, tmp_path: Path
) -> None:
    make_files(tmp_path)
    option = ["-o", "out.tar.gz"] if command == "collect" else ["--report", "json:out.json"]
    with sshd.running(tmp_path / "sshd", "ForceCommand sleep 60") as node:
        write_site(tmp_path, 1, f"nodes:\n  - {{name: odd, target: '{node.hostspec}'}}\n")
        process = subprocess.Popen(
            [*COMMAND, command, "--site", "site.yaml", *option],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        child = child_of(process)
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert time.monotonic() - began < 3
    assert (process.returncode, out, err.strip()) == (2, "", "gapcheck: interrupted")
    assert has_ended(child)
    assert not (tmp_path / option[1].removeprefix("json:")).exists()


def has_ended(pid: int) -> bool:
    """Whether it ended; one that nobody has waited for yet (Z) counts as ended."""
    argv = ["ps", "-o", "stat=", "-p", str(pid)]
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        stat = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
        if stat == "" or stat.startswith("Z"):
            return True
    return False


def child_of(process: subprocess.Popen[str]) -> int:
    """The ssh that `process` has started, waited for."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        argv = ["ps", "-A", "-o", "ppid=,pid=,comm="]
        listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        for parent, pid, name in (line.split(None, 2) for line in listed.splitlines()):
            if int(parent) == process.pid and name.endswith("ssh"):
                return int(pid)
        time.sleep(0.05)
    raise AssertionError("no ssh was started")
