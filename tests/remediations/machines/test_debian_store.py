"""The store that is written for an image root is what update-ca-certificates itself makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.certs import Pair, authority
from support.needs import program

from gapcheck.fixtures.targets.root import RootTarget
from gapcheck.remediations.machines.debian_store import refresh_debian_store, subject_hash

SHIPPED = "usr/share/ca-certificates"
LOCAL = "usr/local/share/ca-certificates"
STORE = "etc/ssl/certs"


@cache
def pair(name: str) -> Pair:
    return authority(name)


@pytest.fixture(scope="module")
def tool() -> str:
    return program("update-ca-certificates")


def image(folder: Path) -> Path:
    """A root with a shipped certificate, one that is disabled and one that is missing."""
    for name in (f"{SHIPPED}/mozilla", LOCAL, STORE):
        (folder / name).mkdir(parents=True)
    for name in ("A", "B", "Off"):
        (folder / SHIPPED / f"mozilla/{name}_Root.crt").write_bytes(pair(f"{name} Root").pem)
    names = ["# comment", "mozilla/A_Root.crt", "", "!mozilla/Off_Root.crt"]
    conf = "\n".join((*names, "mozilla/B_Root.crt", "mozilla/No.crt", ""))
    (folder / "etc/ca-certificates.conf").write_text(conf)
    (folder / STORE / "theirs.pem").write_bytes(pair("Put there by hand").pem)
    return folder


def by_the_tool(tool: str, root: Path, *, fresh: bool) -> None:
    subprocess.run(
        [
            tool,
            *(("--fresh",) if fresh else ()),
            "--certsconf", f"{root}/etc/ca-certificates.conf",
            "--certsdir", f"{root}/{SHIPPED}",
            "--localcertsdir", f"{root}/{LOCAL}",
            "--etccertsdir", f"{root}/{STORE}",
            "--hooksdir", f"{root}/none",
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip


def store(root: Path) -> dict[str, Any]:
    """Names in the store: what a link says, without the prefix of the root; or the content."""
    return {
        each.name: str(each.readlink()).removeprefix(str(root))
        if each.is_symlink()
        else (each.read_bytes(), each.stat().st_mode)
        for each in (root / STORE).iterdir()
    }


def nothing(_: Path) -> None:
    """The store as it is first made."""


def one_anchor(root: Path) -> None:
    (root / LOCAL / "registry.crt").write_bytes(GUIDE)


def odd_files(root: Path) -> None:
    local = root / LOCAL
    (local / "sub/dir").mkdir(parents=True)
    (local / "sub/dir/deep (old), one.crt").write_bytes(SECOND)
    (local / "two.crt").write_bytes(GUIDE + SECOND)
    (local / "no newline.crt").write_bytes(pair("No Newline").pem.rstrip(b"\n"))
    (local / "der.crt").write_bytes(pair("Binary").der)
    (local / "empty.crt").write_bytes(b"")
    (local / "ignored.pem").write_bytes(SECOND)
    (local / "copy.crt").write_bytes(GUIDE)
    (local / "gone.crt").symlink_to("nowhere")
    (local / "linked.crt").symlink_to("../../../../etc/linked")
    (root / "etc/linked").write_bytes(pair("Linked").pem)
    (local / "key.crt").write_bytes(KEYED)


def same_subject(root: Path) -> None:
    (root / LOCAL / "old.crt").write_bytes(OTHER)
    (root / LOCAL / "registry.crt").write_bytes(GUIDE)


def replaced(root: Path) -> None:
    one_anchor(root)
    (root / LOCAL / "registry.crt").write_bytes(SECOND)


def second_of_a_subject(root: Path) -> None:
    (root / LOCAL / "aaa.crt").write_bytes(OTHER)
    (root / LOCAL / "zzz.crt").write_bytes(GUIDE)


def removed(root: Path) -> None:
    (root / LOCAL / "registry.crt").unlink(missing_ok=True)


GUIDE = pair("Guide CA").pem
SECOND = pair("Second CA").pem
OTHER = authority("Guide CA").pem
KEYED = pair("With Key").pem + pair("With Key").key_pem

STEPS = [nothing, one_anchor, odd_files, same_subject, second_of_a_subject, replaced, removed]


@pytest.mark.parametrize("fresh", [False, True], ids=["plain", "fresh"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_after_each_change_both_stores_are_equal_to_the_byte(
    tmp_path: Path, tool: str, step: Callable[[Path], None], fresh: bool
) -> None:
    theirs = image(tmp_path / "theirs")
    ours = tmp_path / "ours"
    shutil.copytree(theirs, ours, symlinks=True)
    for change in (nothing, one_anchor, step):
        for root in (theirs, ours):
            change(root)
        by_the_tool(tool, theirs, fresh=fresh and change is step)
        refresh_debian_store(RootTarget(f"rootdir://{ours}", ours), fresh=fresh and change is step)
        assert store(ours) == store(theirs)


def test_this_machines_own_store_is_made_the_same(tmp_path: Path, tool: str) -> None:
    for name in ("theirs", "ours"):
        shutil.copytree("/usr/share/ca-certificates", tmp_path / name / SHIPPED)
        (tmp_path / name / LOCAL).mkdir(parents=True)
        (tmp_path / name / STORE).mkdir(parents=True)
        shutil.copy("/etc/ca-certificates.conf", tmp_path / name / "etc/ca-certificates.conf")
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"

    by_the_tool(tool, theirs, fresh=False)
    refresh_debian_store(RootTarget(f"rootdir://{ours}", ours), fresh=False)

    assert len(store(theirs)) > 200
    assert store(ours) == store(theirs)


@pytest.mark.parametrize(
    "values",
    [
        ["Plain CA"],
        ["  Two   Spaces  INSIDE "],
        ["Größe Ünïcode ÄÖ"],
        ["Tab\tand\nline"],
        ["x" * 64, "Second Organisation"],
    ],
    ids=["plain", "spaces", "unicode", "white", "long"],
)
def test_a_subject_hash_is_openssls(tmp_path: Path, values: list[str]) -> None:
    oids = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME]
    name = x509.Name([x509.NameAttribute(o, v) for o, v in zip(oids, values, strict=False)])
    signer = authority("to sign", key=ec.generate_private_key(ec.SECP256R1()))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.key.public_key())
        .serial_number(1)
        .not_valid_before(signer.cert.not_valid_before_utc)
        .not_valid_after(signer.cert.not_valid_after_utc)
    )
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    file = tmp_path / "c.pem"
    file.write_bytes(built.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.PEM))
    said = subprocess.run(
        [program("openssl"), "x509", "-in", str(file), "-noout", "-hash"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()

    assert subject_hash(name.public_bytes()) == said
