"""The exports of the demo's site through the real command line: complete, and nothing secret."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.ansible import plays
from support.command import Ended, gapcheck

from gapcheck.demo import guide

EXPORTS = (
    ("values",),
    ("manifests",),
    ("ansible",),
    ("node-init",),
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's site, whose registry nobody serves, and the bundle of its facts."""
    folder = tmp_path_factory.mktemp("demo")
    guide.build(folder, 9, now=dt.datetime.now(dt.UTC))
    values = folder / "values.yaml"
    values.write_text(values.read_text() + "oidc:\n  clientSecret: values-s3cret-0123456789\n")
    collected = gapcheck(folder, "collect", "--site", "site.yaml", "-o", "site.tar.gz")
    assert (folder / "site.tar.gz").exists(), collected.err
    return folder


def pieces_of(secret: bytes) -> set[str]:
    """What would show that `secret` was printed: its lines, and the same encoded once more."""
    lines = [line for line in secret.decode().splitlines() if "-----" not in line]
    encoded = base64.b64encode(secret).decode()
    middle = [encoded[at : at + 40] for at in range(0, len(encoded) - 40, 40)]
    again = [base64.b64encode(line.encode()).decode().rstrip("=") for line in lines]
    return {*lines, *middle, *again}


def exported(folder: Path, *words: str, source: str) -> Ended:
    given = ("--bundle", "site.tar.gz") if source == "bundle" else ("--site", "site.yaml")
    return gapcheck(folder, "export", *words, *given)


@pytest.mark.parametrize("source", ["site", "bundle"])
@pytest.mark.parametrize("words", EXPORTS, ids="-".join)
def test_no_export_holds_a_secret_of_the_site(
    words: tuple[str, ...], source: str, demo: Path
) -> None:
    if words == ("node-init",) and source == "bundle":
        return  # it is made from the site file and the CA alone
    found = exported(demo, *words, source=source)
    assert found.code in (0, 1, 6), found.err
    said = found.out + found.err
    assert len(found.out) > 100
    key = (demo / "registry/certs/registry.key").read_bytes()
    assert "PRIVATE KEY" not in said
    assert "s3cret" not in said
    assert {each for each in pieces_of(key) if each in said} == set()


def test_scanner_finds_a_key_wherever_it_stands(demo: Path) -> None:
    key = (demo / "registry/certs/registry.key").read_bytes()
    for text in (key.decode(), base64.b64encode(key).decode()):
        assert any(each in text for each in pieces_of(key))


def test_site_and_bundle_of_it_give_the_same_text(demo: Path) -> None:
    for words in (("manifests",), ("values",), ("ansible",)):
        texts = [exported(demo, *words, source=source).out for source in ("site", "bundle")]
        without_time = ["\n".join(each.splitlines()[3:]) for each in texts]
        assert without_time[0] == without_time[1]


def test_values_move_the_image_that_reaches_nothing(demo: Path) -> None:
    found = exported(demo, "values", source="bundle")
    values = YAML(typ="safe").load(found.out)
    assert values["postgres"]["default"]["image"].startswith("registry.local:9/coderenvs/timescale")
    assert values["timescale"] is None


def test_playbook_has_a_play_for_each_node_that_differs(demo: Path) -> None:
    found = exported(demo, "ansible", source="bundle")
    assert [each["hosts"] for each in plays(found.out)] == [["debian"], ["rhel"]]


def test_target_narrows_the_playbook(demo: Path) -> None:
    found = gapcheck(demo, "export", "ansible", "--bundle", "site.tar.gz", "--target", "rhel")
    assert [each["hosts"] for each in plays(found.out)] == [["rhel"]]
    assert "node/debian" not in found.err


def test_what_is_left_is_said_on_stderr_alone(demo: Path) -> None:
    found = exported(demo, "manifests", source="bundle")
    assert "left: " not in found.out
    assert found.err.startswith(("left: ", "not judged: "))
    quiet = gapcheck(demo, "-q", "export", "manifests", "--bundle", "site.tar.gz")
    assert (quiet.err, quiet.code) == ("", found.code)


@pytest.mark.parametrize(
    "words",
    [
        ("export", "values", "--site", "absent.yaml"),
        ("export", "values", "--bundle", "absent.tar.gz"),
        ("export", "manifests", "--bundle", "site.yaml"),
        ("export", "ansible", "--bundle", "site.tar.gz", "--target", "node/absent"),
        ("export", "ansible", "--bundle", "site.tar.gz", "--select", "NODE-TYPO"),
        ("export", "ansible", "--bundle", "site.tar.gz", "--max-risk", "all"),
        ("export", "rbac", "--site", "site.yaml"),
        ("export", "rbac", "--for", "everything"),
        ("export", "rbac", "--for", "check", "--site", "site.yaml"),
        ("export", "rbac", "--for", "check", "--site", "site.yaml", "--bundle", "site.tar.gz"),
        ("export", "terraform"),
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_4_and_prints_nothing(words: tuple[str, ...], demo: Path) -> None:
    found = gapcheck(demo, *words)
    assert (found.code, found.out) == (4, ""), found.err
    assert found.err


@pytest.mark.parametrize("words", [*EXPORTS, ("rbac",)], ids="-".join)
def test_help_shows_an_example(words: tuple[str, ...], tmp_path: Path) -> None:
    found = gapcheck(tmp_path, "export", *words, "--help")
    assert found.code == 0
    assert f"gapcheck export {words[0]}" in found.out


def test_rights_are_printed_from_the_site_file_alone(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "version: 1\nregistry: {host: registry.local}\n"
        "cluster: {kubeconfig: absent}\nrelease: {namespace: shop, secret: {name: corp-ca}}\n"
    )
    found = gapcheck(tmp_path, "export", "rbac", "--for", "fix", "--namespace", "ops")
    assert found.code == 0, found.err
    (account, *_) = YAML(typ="safe").load_all(found.out)
    assert account["metadata"] == {"name": "gapcheck", "namespace": "ops"}
    assert "resourceNames: [corp-ca]" in found.out


DOCS = Path(__file__).parents[3] / "docs/exports.md"


def documented() -> list[str]:
    """Every command line of the page that is gapcheck's own."""
    blocks = DOCS.read_text().split("```console\n")[1:]
    lines = [line for block in blocks for line in block.partition("```")[0].splitlines()]
    return [line.partition(" > ")[0] for line in lines]


@pytest.mark.parametrize("line", documented())
def test_the_pages_own_commands_work(line: str, demo: Path) -> None:
    site = demo / "site.yaml"
    if "rbac" in line:
        folder = demo / "live"
        folder.mkdir(exist_ok=True)
        live = site.read_text().replace("manifests: manifests", "kubeconfig: kubeconfig")
        (folder / "site.yaml").write_text(live)
    found = gapcheck(folder if "rbac" in line else demo, *line.split()[1:])
    assert found.code in (0, 1, 6), found.err
    assert found.out
