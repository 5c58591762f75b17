"""A private key that lay in a trust place of a node is taken out for good: no copy stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.certs import authority
from support.small_site import PORT, SmallSite, small_site

from gapcheck.fixtures import pki

ANCHOR = "usr/local/share/ca-certificates/registry.crt"
CERTS_D = "etc/containerd/certs.d"
OWN = f"{CERTS_D}/registry.local:{PORT}/ca.crt"
OTHER = f"{CERTS_D}/other.local/ca.crt"


def needle(key: bytes) -> bytes:
    """A line of the key that stands nowhere else."""
    return key.splitlines()[2]


def holding(folder: Path, key: bytes) -> list[Path]:
    """Every file below `folder`, the state folder included, in which the key stands."""
    files = (each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    return [each for each in files if needle(key) in each.read_bytes()]


def broken(folder: Path, *paths: str) -> tuple[SmallSite, bytes]:
    """One node that knows the registry; a key lies in `paths`, behind the certificates there."""
    site = small_site(folder / "site", nodes=1, hosts="127.0.0.1 localhost registry.local\n")
    key = authority("leaked").key_pem
    for path in paths:
        place = site.root("n0") / path
        place.parent.mkdir(parents=True, exist_ok=True)
        old = place.read_bytes() if place.exists() else authority("other").pem
        place.write_bytes(old + key)
    return site, key


def certificates(path: Path) -> frozenset[str]:
    return pki.fingerprints(path.read_bytes())


@pytest.mark.parametrize("path", [ANCHOR, OWN, OTHER], ids=["anchor", "own", "other"])
def test_the_key_goes_from_node_and_backup_and_the_certificates_stay(
    tmp_path: Path, path: str
) -> None:
    site, key = broken(tmp_path, path)
    place = site.root("n0") / path
    held = certificates(place)
    assert held

    done = site.run("fix", "--site", "site.yaml")

    assert "final: the private key in it counts as leaked" in done.err
    assert "NODE-TRUST-005::node/n0" in done.err
    assert holding(tmp_path, key) == []
    assert certificates(place) == held
    run = site.last_run()
    undone = site.run("undo", run, "--site", "site.yaml")
    assert undone.code == 0, undone.err
    assert f"node/n0 /{path}: what was removed for good is not put back (final)" in undone.err
    assert holding(tmp_path, key) == []
    assert certificates(place) == held
    assert f"run {run}: undone" in site.run("runs", run).out


def test_a_bundle_made_of_the_leaking_anchor_is_rebuilt_and_no_backup_keeps_it(
    tmp_path: Path,
) -> None:
    site, key = broken(tmp_path, ANCHOR)
    store = site.root("n0") / "etc/ssl/certs"
    anchor = (site.root("n0") / ANCHOR).read_bytes()
    (store / "ca-certificates.crt").write_bytes(anchor)
    (store / "registry.pem").symlink_to(f"/{ANCHOR}")

    done = site.run("fix", "--site", "site.yaml")

    assert "final: a private key leaked into the store" in done.err
    assert holding(tmp_path, key) == []
    bundle = certificates(store / "ca-certificates.crt")
    assert bundle == pki.fingerprints(anchor)
    undone = site.run("undo", site.last_run(), "--site", "site.yaml")
    assert undone.code == 0, undone.err
    assert "node/n0 trust store rebuilt: the former one held a private key" in undone.err
    assert holding(tmp_path, key) == []
    assert certificates(store / "ca-certificates.crt") == bundle
    again = site.run("undo", site.last_run(), "--site", "site.yaml")
    assert again.code == 0, again.err


def test_a_file_that_is_a_key_alone_is_removed_for_good(tmp_path: Path) -> None:
    site, key = broken(tmp_path)
    alone = site.root("n0") / CERTS_D / "other.local" / "extra.crt"
    alone.parent.mkdir(parents=True)
    alone.write_bytes(key)

    site.run("fix", "--site", "site.yaml")

    assert not alone.exists()
    assert holding(tmp_path, key) == []
    assert site.run("undo", site.last_run(), "--site", "site.yaml").code == 0
    assert not alone.exists()


def test_without_a_key_everything_is_put_back(tmp_path: Path) -> None:
    site, _ = broken(tmp_path)
    broken_ca = site.root("n0") / OWN
    broken_ca.write_bytes(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
    before = site.snapshot()

    done = site.run("fix", "--site", "site.yaml")

    assert "final" not in done.err
    assert site.snapshot() != before
    assert site.run("undo", site.last_run(), "--site", "site.yaml").code == 0
    assert site.snapshot() == before


CLIENT = f"{CERTS_D}/registry.local:{PORT}/client.pem"


@pytest.mark.parametrize(
    "named", ['"client.pem"', '["client.pem"]', '[["client.pem", ""]]', f'[["/{CLIENT}", ""]]']
)
def test_a_client_s_own_certificate_and_key_are_no_leak(tmp_path: Path, named: str) -> None:
    site, key = broken(tmp_path, CLIENT)
    hosts = site.root("n0") / CERTS_D / f"registry.local:{PORT}" / "hosts.toml"
    hosts.write_text(hosts.read_text() + f"  client = {named}\n")

    said = site.run("fix", "--site", "site.yaml")

    assert "NODE-TRUST-00" not in said.err
    assert holding(tmp_path, key) == [site.root("n0") / CLIENT]


def test_a_key_in_a_file_that_nothing_names_is_put_back_by_an_undo(tmp_path: Path) -> None:
    site, key = broken(tmp_path, CLIENT)

    assert "NODE-TRUST-005" in site.run("fix", "--site", "site.yaml").err

    assert site.root("n0") / CLIENT not in holding(tmp_path, key)
    assert site.run("undo", site.last_run(), "--site", "site.yaml").code == 0
    assert site.root("n0") / CLIENT in holding(tmp_path, key)
