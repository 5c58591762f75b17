"""The commands of docs/schedules.md that are gapcheck's own work as they are written."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.certs import authority
from support.command import gapcheck

PAGE = Path(__file__).parents[3] / "docs/schedules.md"


def documented() -> list[str]:
    blocks = PAGE.read_text().split("```console\n")[1:]
    lines = [line for block in blocks for line in block.partition("```")[0].splitlines()]
    return [line.partition(" > ")[0] for line in lines if line.startswith("gapcheck ")]


@pytest.mark.parametrize("line", documented())
def test_command_of_the_page_works(line: str, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(authority().pem)
    (tmp_path / "site.yaml").write_text(
        "version: 1\nregistry: {host: registry.local, ca_file: ca.crt}\n"
        "cluster: {kubeconfig: kubeconfig}\nrelease: {namespace: shop}\n"
    )
    (tmp_path / "units").mkdir()
    found = gapcheck(tmp_path, *shlex.split(line)[1:])
    assert found.code == 0, found.err
    assert found.out or list((tmp_path / "units").iterdir())


def test_the_page_has_a_command_for_each_kind_of_schedule() -> None:
    assert [line.split()[2] for line in documented()] == ["cronjob", "systemd"]
