"""Evidence: facts, verdicts and reports in one file, judged again with the same bytes."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import re
import stat
import tarfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from support.command import gapcheck

from gapcheck.demo import guide
from gapcheck.errors import BundleError
from gapcheck.fixtures.bundle import open_bundle


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's site with a key that nothing reads, and evidence of a check of it."""
    folder = tmp_path_factory.mktemp("demo")
    guide.build(folder, 9, now=dt.datetime.now(dt.UTC))
    site = folder / "site.yaml"
    site.write_text(
        site.read_text().replace("manifests: manifests", "manifests: manifests\n  context: x")
    )
    made = gapcheck(folder, "check", "--site", "site.yaml", "--evidence", "evidence.tar.gz",
                    "--report", "json:live.json", GAPCHECK_STATE=str(folder / "state"))  # fmt: skip
    assert (folder / "evidence.tar.gz").exists(), made.err
    return folder


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {each.name: (tar.extractfile(each) or io.BytesIO()).read() for each in tar}


def packed(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def judged(text: bytes | str) -> bytes:
    """A JSON report without `run`, as the bytes that it is written in."""
    whole = text.encode() if isinstance(text, str) else text
    return whole[whole.index(b'"summary":') :]


def test_the_facts_judged_later_give_the_same_verdicts_byte_for_byte(demo: Path) -> None:
    later = gapcheck(demo, "check", "--bundle", "evidence.tar.gz", "--report", "json:-")
    inside = members(demo / "evidence.tar.gz")["reports/report.json"]
    assert judged(later.out) == judged(inside) == judged((demo / "live.json").read_bytes())
    assert b"read by nothing in the site file" in judged(inside)
    assert "byte for byte" in later.err


def test_the_time_that_was_judged_for_is_the_time_of_the_second_judgement(demo: Path) -> None:
    words = ("check", "--site", "site.yaml", "--now", "2031-05-05T00:00:00Z")
    gapcheck(demo, *words, "--evidence", "late.tar.gz", "--report", "json:late.json")
    again = gapcheck(demo, "check", "--bundle", "late.tar.gz", "--report", "json:-")
    assert json.loads(again.out)["run"]["now"] == "2031-05-05T00:00:00Z"
    assert judged(again.out) == judged((demo / "late.json").read_bytes())
    now = gapcheck(demo, "check", "--bundle", "late.tar.gz", "--now", "real", "--report", "json:-")
    assert judged(now.out) != judged(again.out)
    assert "byte for byte" not in now.err


def test_it_holds_reports_versions_and_the_digest_of_every_member(demo: Path) -> None:
    found = members(demo / "evidence.tar.gz")
    manifest = json.loads(found.pop("manifest.json"))
    assert set(manifest["members"]) == set(found)
    assert {name for name in found if name.startswith("reports/")} == {
        "reports/report.json", "reports/report.html", "reports/junit.xml",
    }  # fmt: skip
    report = json.loads(found["reports/report.json"])
    assert manifest["judged"]["run"] == report["run"]["id"]
    assert manifest["judged"]["exit"] == report["run"]["exit"]
    assert {"gapcheck", "python", "openssl", "cryptography"} <= set(manifest["judged"]["versions"])
    assert b"<html" in found["reports/report.html"]
    assert stat.S_IMODE((demo / "evidence.tar.gz").stat().st_mode) == 0o600


def test_show_names_run_versions_and_reports(demo: Path) -> None:
    shown = gapcheck(demo, "collect", "--show", "evidence.tar.gz")
    assert shown.code == 0
    assert "judged by run " in shown.out
    assert "reports/report.html, sha256 " in shown.out


def test_a_changed_byte_in_any_member_is_refused_by_its_name(demo: Path, tmp_path: Path) -> None:
    whole = members(demo / "evidence.tar.gz")
    for name, content in whole.items():
        if name == "manifest.json":
            continue
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1]) if content else b"x"
        wrong = content[:middle] + flipped + content[middle + 1 :]
        changed = packed(tmp_path / "b.tar.gz", {**whole, name: wrong})
        found = gapcheck(tmp_path, "check", "--bundle", changed) if name in CLI else None
        if found is not None:
            assert (found.code, found.out) == (4, "")
            assert f"altered: {name} is not what the manifest says" in found.err
        else:
            with pytest.raises(BundleError, match=re.escape(name)):
                open_bundle(changed)


CLI = ("reports/report.html", "site.json")


def unpacks_alike(changed: bytes, whole: bytes) -> bool:
    """Whether the packing alone differs: another distance into the same zeros, say."""
    with suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(changed) == gzip.decompress(whole)
    return False


def test_a_changed_byte_of_the_file_itself_is_refused_with_the_member_it_hit(
    demo: Path, tmp_path: Path
) -> None:
    """Whether the packing or the content shows it, a member is named, or that it has no start."""
    whole = (demo / "evidence.tar.gz").read_bytes()
    names = [*members(demo / "evidence.tar.gz"), "its start", "its schema", "which no bundle holds"]
    path = tmp_path / "b.tar.gz"
    for place in range(40, len(whole) - 8, len(whole) // 60):
        changed = whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]
        path.write_bytes(changed)
        if unpacks_alike(changed, whole):
            continue
        with pytest.raises(BundleError) as refused:
            open_bundle(path)
        assert any(name in str(refused.value) for name in names), str(refused.value)


def test_verdicts_of_another_version_are_said_to_differ(demo: Path, tmp_path: Path) -> None:
    whole = members(demo / "evidence.tar.gz")
    manifest = json.loads(whole["manifest.json"])
    manifest["judged"]["verdicts_sha256"] = "0" * 64
    manifest["judged"]["versions"]["gapcheck"] = "9.9"
    other = packed(tmp_path / "b.tar.gz", {**whole, "manifest.json": json.dumps(manifest).encode()})
    found = gapcheck(tmp_path, "check", "--bundle", other)
    assert "the verdicts differ from those of run" in found.err
    assert "gapcheck 9.9 (here " in found.err


def test_facts_alone_are_of_the_schema_that_they_were_before(demo: Path) -> None:
    gapcheck(demo, "collect", "--site", "site.yaml", "-o", "facts.tar.gz")
    manifest = json.loads(members(demo / "facts.tar.gz")["manifest.json"])
    assert manifest["schema"] == "gapcheck-bundle/1"
    assert "judged" not in manifest
    evidence = json.loads(members(demo / "evidence.tar.gz")["manifest.json"])
    assert evidence["schema"] == "gapcheck-bundle/2"


@pytest.mark.parametrize(
    "words",
    [
        ("--evidence", "site.yaml"),
        ("--evidence", "."),
        ("--evidence", "absent/e.tar.gz"),
        ("--evidence", "x.json", "--report", "json:x.json"),
    ],
)
def test_evidence_replaces_nothing_that_is_read_or_reported(
    words: tuple[str, ...], demo: Path
) -> None:
    before = (demo / "site.yaml").read_bytes()
    found = gapcheck(demo, "check", "--site", "site.yaml", *words)
    assert (found.code, found.out) == (4, "")
    assert (demo / "site.yaml").read_bytes() == before


def test_evidence_can_be_made_of_a_bundle(demo: Path, tmp_path: Path) -> None:
    made = gapcheck(
        demo, "check", "--bundle", "evidence.tar.gz", "--evidence", tmp_path / "e.tar.gz"
    )
    assert (tmp_path / "e.tar.gz").exists(), made.err
    again = gapcheck(tmp_path, "check", "--bundle", "e.tar.gz")
    assert "byte for byte" in again.err


def test_the_packing_is_the_same_for_the_same_run(demo: Path) -> None:
    """No time of the packing, no order of chance: gzip's header holds neither name nor time."""
    head = (demo / "evidence.tar.gz").read_bytes()[:10]
    assert head[4:8] == b"\0\0\0\0"
    assert gzip.decompress((demo / "evidence.tar.gz").read_bytes())
