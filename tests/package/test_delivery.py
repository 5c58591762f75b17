"""Every part of a delivery is installed, and runs the demo, where there is no network."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.bare_root import debian, enter
from support.deliveries import build
from support.pages import DOCS, under

pytestmark = [pytest.mark.timeout(1500), pytest.mark.xdist_group("delivery")]

# The oldest and a newer Python of the release.
SUITES = ("bookworm", "trixie")
DEMO = """
gapcheck demo --out /tmp/demo > /tmp/said || { tail -n 20 /tmp/said >&2; exit 1; }
tail -n 12 /tmp/said
gapcheck check --bundle /tmp/demo/green.tar.gz > /dev/null
"""
PAGE = DOCS / "install.md"
# The page's own commands, in a folder with what was carried.
ARRIVED = "mkdir /tmp/in && cd /tmp/in && ln -s /carried/* .\n" + under(PAGE, "Verify what arrived")
WHEELHOUSE = f"{ARRIVED}{under(PAGE, 'Wheelhouse')}export PATH=/opt/gapcheck/bin:$PATH\n"
SDIST = WHEELHOUSE.replace("wheels gapcheck\n", "wheels ./gapcheck-*[0-9].tar.gz\n")
SINGLE_FILE = (
    f"{ARRIVED}{under(PAGE, 'One file')}cd /usr/local/bin\n{under(PAGE, 'kubectl gapcheck')}"
)
JUDGED_BY_PYTEST = """
pytest -q -p no:cacheprovider --pyargs gapcheck.checks --bundle /tmp/demo/green.tar.gz > /dev/null
"""


def green(root: Path, command: str, delivered: Path) -> str:
    done = enter(root, command, carried=delivered)
    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stdout
    return done.stdout


def test_bare_root_has_no_network_and_no_gapcheck(tmp_path: Path) -> None:
    tried = "import socket; socket.create_connection(('192.0.2.1', 443), 5)"
    done = enter(debian("bookworm"), f'python3 -c "{tried}"', carried=tmp_path)
    assert "Network is unreachable" in done.stderr
    assert enter(debian("bookworm"), "gapcheck --version", carried=tmp_path).returncode == 127


@pytest.mark.parametrize("suite", SUITES)
def test_wheelhouse_installs_and_judges_offline(suite: str, delivered: Path) -> None:
    green(debian(suite), WHEELHOUSE + DEMO + JUDGED_BY_PYTEST, delivered)


def test_sdist_is_built_offline_from_the_wheelhouse(delivered: Path) -> None:
    assert SDIST != WHEELHOUSE
    green(debian("bookworm"), SDIST + DEMO, delivered)


@pytest.mark.parametrize("suite", SUITES)
def test_single_file_runs_under_both_of_its_names(suite: str, delivered: Path) -> None:
    command = f"{SINGLE_FILE}kubectl-gapcheck --version\n{DEMO}"
    assert "gapcheck, version" in green(debian(suite), command, delivered)


def test_sums_are_those_of_every_file(delivered: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=delivered, check=True)
    listed = {line.split()[1] for line in (delivered / "SHA256SUMS").read_text().splitlines()}
    assert listed == {each.name for each in delivered.iterdir()} - {"SHA256SUMS"}
    assert len(listed) == 5


def test_sdist_holds_the_folders_and_no_links_to_them(delivered: Path) -> None:
    with tarfile.open(next(delivered.glob("*[0-9].tar.gz"))) as archive:
        members = archive.getmembers()
    assert not [each.name for each in members if each.issym()]
    assert any(each.name.endswith("src/gapcheck/checks/node/trust.py") for each in members)


def test_wheel_holds_every_module_of_the_checkout(delivered: Path) -> None:
    source = Path(__file__).parents[2] / "src"
    wanted = {str(each.relative_to(source)) for each in modules(source / "gapcheck")}
    with zipfile.ZipFile(next(delivered.glob("gapcheck-*.whl"))) as wheel:
        assert wanted <= set(wheel.namelist())


def modules(folder: Path) -> list[Path]:
    """Python files below `folder`; rglob would not follow the links to the four folders."""
    found = []
    for each in folder.iterdir():
        if each.is_dir() and each.name != "__pycache__":
            found += modules(each)
        found += [each] if each.suffix == ".py" else []
    return found


def test_wheelhouse_holds_native_wheels_of_every_python(delivered: Path) -> None:
    with tarfile.open(next(delivered.glob("*-wheelhouse-*.tar"))) as archive:
        names = [Path(each).name for each in archive.getnames()]
    for python in ("cp311", "cp312", "cp313", "cp314"):
        assert [name for name in names if name.startswith("msgspec-") and f"-{python}-" in name]


def test_equal_source_and_wheels_give_equal_bytes(delivered: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    build(again, "--part", "wheelhouse", "--part", "pex")
    names = {each.name for each in again.iterdir()} - {"SHA256SUMS"}
    assert len(names) == 4
    for name in sorted(names):
        assert digest(again / name) == digest(delivered / name), name


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
