"""Undo of a part, undo of an undo, and what others edited since: shown, and lost only when told."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.certs import authority
from support.guide_site import guide_site
from support.small_site import SmallSite, small_site


@pytest.fixture
def site(tmp_path: Path) -> SmallSite:
    """Three nodes that were repaired."""
    made = small_site(tmp_path / "site", nodes=3)
    assert made.run("fix", "--site", "site.yaml").code == 1
    assert made.repaired() == ["n0", "n1", "n2"]
    return made


def undo(site: SmallSite, run: str, *words: object) -> tuple[int, str]:
    done = site.run("undo", run, "--site", "site.yaml", *words)
    assert done.out == ""
    return done.code, done.err


def states(site: SmallSite) -> list[str]:
    table = site.run("runs").out.splitlines()
    assert table[0].split() == ["RUN", "BEGAN", "(UTC)", "STATE", "CHANGES", "WHERE"]
    at = table[0].index("STATE")
    return [line[at:].split("  ")[0].strip() for line in table[1:]]


def test_one_node_is_undone_and_the_rest_later(site: SmallSite) -> None:
    run = site.last_run()

    assert undo(site, run, "--target", "n1")[0] == 0
    assert site.repaired() == ["n0", "n2"]
    assert states(site) == ["partly undone", "done"]
    code, said = undo(site, run, "--target", "n1")
    assert code == 4
    assert "--target n1: the run changed nothing there that still stands" in said
    assert "it changed: node/n0, node/n2" in said

    assert undo(site, run)[0] == 0
    assert site.repaired() == []
    assert states(site) == ["undone", "done", "done"]
    code, said = undo(site, run)
    assert code == 4
    assert f"run {run} was undone by run" in said


def test_the_undo_of_a_part_can_be_undone(site: SmallSite) -> None:
    run = site.last_run()
    undo(site, run, "--target", "n[01]")
    assert site.repaired() == ["n2"]
    partial = site.last_run()

    assert undo(site, partial, "--target", "n0")[0] == 0
    assert site.repaired() == ["n0", "n2"]
    assert undo(site, partial)[0] == 0
    assert site.repaired() == ["n0", "n1", "n2"]
    assert states(site)[0] == "done"
    assert undo(site, run)[0] == 0
    assert site.repaired() == []


def test_an_edit_since_is_shown_as_a_diff_and_kept_until_forced(site: SmallSite) -> None:
    run = site.last_run()
    hosts = site.hosts("n1")
    hosts.write_text(hosts.read_text() + "10.9.9.9 mine\n")
    before = site.snapshot()

    code, said = undo(site, run)

    assert code == 7
    assert f"run {run}: someone changed what it left; nothing was written" in said
    assert "node/n1 /etc/hosts (left as " in said
    assert "    +10.9.9.9 mine" in said
    assert "node/n0" not in said
    assert site.snapshot() == before

    code, said = undo(site, run, "--force")
    assert code == 0
    lost = said.index("LOST: node/n1 /etc/hosts")
    assert lost < said.index("    +10.9.9.9 mine") < said.index("undone   node/n1")
    assert site.repaired() == []
    assert undo(site, site.last_run())[0] == 0
    assert hosts.read_text().endswith("10.9.9.9 mine\n")


def test_an_edit_after_an_undo_is_shown_too(site: SmallSite) -> None:
    undo(site, site.last_run())
    hosts = site.hosts("n0")
    hosts.write_text("127.0.0.1 renamed\n")

    code, said = undo(site, site.last_run())

    assert code == 7
    assert "-127.0.0.1 localhost" in said
    assert "+127.0.0.1 renamed" in said


def test_a_mode_that_was_changed_since_is_shown(site: SmallSite) -> None:
    site.hosts("n0").chmod(0o600)
    code, said = undo(site, site.last_run())
    assert code == 7
    assert "mode 0644 -> 0600 /etc/hosts" in said


def test_a_file_that_is_gone_is_shown_as_gone(site: SmallSite) -> None:
    site.hosts("n0").unlink()
    code, said = undo(site, site.last_run())
    assert code == 7
    assert "is now absent" in said
    assert "+++ /dev/null" in said


def test_secrets_in_what_others_edited_are_not_shown(tmp_path: Path) -> None:
    site = small_site(tmp_path / "site", nodes=2)
    key = authority("leaked").key_pem.decode()
    tls = '[plugins."io.containerd.grpc.v1.cri".registry.configs."registry.local:9".tls]\n'
    configs = [site.root(each) / "etc/containerd/config.toml" for each in site.nodes()]
    for config in configs:
        config.write_text(config.read_text() + tls + "  insecure_skip_verify = true\n")
    assert site.run("fix", "--site", "site.yaml").code == 1
    assert "insecure" not in configs[0].read_text()
    auth = '[plugins."io.containerd.grpc.v1.cri".registry.configs."other".auth]\n'
    configs[0].write_text(configs[0].read_text() + auth + '  password = "hunter2hunter2"\n')
    configs[1].write_text(configs[1].read_text() + key)

    code, said = undo(site, site.last_run())

    assert code == 7
    assert "+[plugins" in said
    assert "hunter2" not in said
    assert "password" in said
    assert key.splitlines()[1] not in said
    assert "(no diff: /etc/containerd/config.toml may hold a private key or a password)" in said


def test_a_run_is_told_step_by_step(site: SmallSite) -> None:
    run = site.last_run()
    undo(site, run, "--target", "n0")

    told = site.run("runs", run).out

    assert told.startswith(f"run {run}: partly undone, 3 changes\n")
    assert f"site {site.folder / 'site.yaml'}" in told
    assert "EditBlock  node/n1 /etc/hosts\n            for DNS-NODE-001::node/n1" in told
    assert f"undone by run {site.last_run()}" in told
    assert f"undo with: gapcheck undo {run} --site {site.folder / 'site.yaml'}" in told
    assert f"undoes run {run}" in site.run("runs", site.last_run()).out


def test_a_run_that_is_not_there_is_a_usage_error(site: SmallSite) -> None:
    assert site.run("runs", "20200101T000000Z-abcdef").code == 4
    assert site.run("runs", "../..").code == 4


def test_a_damaged_journal_is_one_line_of_the_list(site: SmallSite) -> None:
    run = site.last_run()
    (site.state / "runs" / run / "journal.jsonl").write_bytes(b"rubbish\nmore\n")

    assert states(site) == ["damaged"]
    code, said = undo(site, run)
    assert code == 7
    assert "is damaged" in said


def test_a_node_s_trust_is_not_taken_while_the_registry_serves_what_it_trusts(
    tmp_path: Path,
) -> None:
    with guide_site(tmp_path) as file:
        site = SmallSite(file.parent)
        assert site.run("fix", "--site", "site.yaml").code == 0
        run = site.last_run()

        code, said = undo(site, run, "--target", "node/debian")
        assert code == 4
        assert "serves the certificate that run" in said
        assert "undo all of the run, or say --force" in said

        assert undo(site, run, "--target", "node/debian", "--force")[0] == 0
        assert undo(site, run)[0] == 0
