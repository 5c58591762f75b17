"""Which certificates the site lives by, and until when."""

from __future__ import annotations

from support.certs import authority, issue
from support.healthy import ca, healthy, served, with_file

from gapcheck.certificate_life import certificate_lives

BUNDLE = "/etc/extra/bundle.pem"


def test_every_certificate_is_told_once_and_the_soonest_first() -> None:
    _, facts = healthy()
    lives = certificate_lives(facts)
    assert len({life.sha256 for life in lives}) == len(lives)
    assert [life.not_after for life in lives] == sorted(life.not_after for life in lives)
    root = next(life for life in lives if "Example Registry CA" in life.name)
    assert root.places > 3  # the CA file, both nodes, the secret


def test_the_served_leaf_names_the_registry() -> None:
    _, facts = healthy()
    leaf = issue(common_name="another", by=ca())
    found = {life.name: life for life in certificate_lives(served(facts, leaf))}
    assert (found["CN=another"].subject, found["CN=another"].where) == ("registry", "served")


def test_a_bundle_of_public_roots_is_left_out() -> None:
    _, facts = healthy()
    few = b"".join(authority(f"Few {n}").pem for n in range(2))
    many = b"".join(authority(f"Bundled {n}").pem for n in range(11))
    names = {life.name for life in certificate_lives(with_file(facts, "node/rhel", BUNDLE, few))}
    assert any("Few 1" in name for name in names)
    names = {life.name for life in certificate_lives(with_file(facts, "node/rhel", BUNDLE, many))}
    assert not any("Bundled" in name for name in names)


def test_what_is_no_certificate_is_nobodys_life() -> None:
    _, facts = healthy()
    before = certificate_lives(facts)
    assert certificate_lives(with_file(facts, "node/rhel", BUNDLE, b"nonsense")) == before
