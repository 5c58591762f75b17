"""Pipelines to copy, read by the tools that their systems' users have, and run where one can."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lab.programs import cache
from ruamel.yaml import YAML
from support import needs
from support.pages import ROOT

EXAMPLES = ROOT / "examples"
PROGRAMS = Path(sys.executable).parent
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
GROOVY_LINT = "npm-groovy-lint@16.2.0"  # newer ones need Node.js 22


def node_program(package: str) -> Path:
    """The program of an npm package, installed once outside the clone."""
    npm = needs.program("npm")
    name = package.partition("@")[0]
    folder = cache() / "npm" / package
    program = folder / "node_modules/.bin" / name
    if not program.exists():
        words = [npm, "install", "--no-fund", "--no-audit", "--prefix", str(folder), package]
        subprocess.run(words, check=True, capture_output=True)
    return program


def said(words: list[object], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", **settings}
    return subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "path", "more"),
    [
        ("vendor.github-workflows", "github-actions/gapcheck.yml", []),
        ("vendor.gitlab-ci", "gitlab-ci/.gitlab-ci.yml", ["--data-transform", "gitlab-ci"]),
    ],
    ids=["github", "gitlab"],
)
def test_pipeline_fits_the_schema_of_its_vendor(schema: str, path: str, more: list[str]) -> None:
    check = [PROGRAMS / "check-jsonschema", "--builtin-schema", schema, *more, EXAMPLES / path]
    done = said(check, EXAMPLES)
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing_in_the_workflow(tmp_path: Path) -> None:
    program = cache() / "go/actionlint-1.7.7/actionlint"
    if not program.exists():
        installed = said(
            [needs.program("go"), "install", ACTIONLINT], tmp_path, GOBIN=str(program.parent)
        )
        assert installed.returncode == 0, installed.stderr
    own_label = 'label "site" is unknown'
    words = [program, "-ignore", own_label, EXAMPLES / "github-actions/gapcheck.yml"]
    done = said(words, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_groovy_lint_finds_no_fault_in_the_pipeline() -> None:
    needs.program("java")
    words = [node_program(GROOVY_LINT), "--noserver", "--failon", "warning"]
    done = said([*words, "-p", EXAMPLES / "jenkins", "-f", "**/Jenkinsfile"], EXAMPLES)
    assert done.returncode == 0, done.stdout
    assert "in 1 linted files" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, with a bundle of the site before and after its repair."""
    folder = tmp_path_factory.mktemp("demo") / "built"
    done = said([PROGRAMS / "gapcheck", "demo", "--out", folder], ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("bundle", "code"), [("green", 0), ("red", 1)])
def test_script_of_the_gitlab_job_stops_where_the_site_is_red(
    demo: Path, bundle: str, code: int, tmp_path: Path
) -> None:
    pipeline = YAML(typ="safe", pure=True).load(EXAMPLES / "gitlab-ci/.gitlab-ci.yml")
    assert set(pipeline["variables"]) == {"GAPCHECK_ASK"}
    script = "\n".join(pipeline["gapcheck"]["script"])
    ask = f"--bundle {demo / bundle}.tar.gz"
    done = said(["bash", "-eo", "pipefail", "-c", script], tmp_path, GAPCHECK_ASK=ask)
    assert done.returncode == code, done.stderr
    kept = pipeline[".gapcheck"]["artifacts"]["paths"]
    assert {each.name for each in tmp_path.iterdir()} == set(kept)
