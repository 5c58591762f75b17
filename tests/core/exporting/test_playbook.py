from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.ansible import modules, plays
from support.certs import NOW
from support.healthy import (
    CONFIG_1,
    HOST,
    ca,
    healthy,
    site,
    with_facts,
    with_file,
)
from support.nodes import BARE_1, CONFIG, config, guide, put, unit, untrusting

from gapcheck.engine import Evaluation
from gapcheck.exits import Exit
from gapcheck.exporting.playbook import playbook
from gapcheck.exporting.source import Export, Source
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.model import Gap, Risk, SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.planner import Wanted
from gapcheck.site import Site

NODE = "node/debian"


def exported(facts: FactSet, of: Site | None = None, **wanted: Any) -> Export:
    evaluation = Evaluation(of or site(), facts, catalogue(), now=NOW)
    source = Source(evaluation=evaluation, wanted=Wanted(**wanted), asked=lambda _c, _s: True)
    return playbook(source)


def only(found: Export) -> Any:
    (play,) = plays(found.text)
    return play


def of_module(play: Any, name: str) -> list[Any]:
    return [args for module, args in modules(play) if module == f"ansible.builtin.{name}"]


def guided() -> FactSet:
    """A Debian node as the guide leaves it: verification switched off."""
    return config(healthy()[1], NODE, CONFIG_1 + guide())


def misled(facts: FactSet, hosts: str, *answers: str) -> FactSet:
    """The node's hosts file is `hosts`, and it answers by it."""
    facts = with_file(facts, NODE, "/etc/hosts", hosts.encode())
    return with_facts(facts, NODE, resolver={HOST: Present(answers)})


def test_edited_file_is_written_whole_and_kept_beside() -> None:
    play = only(exported(guided()))
    assert play["hosts"] == ["debian"]
    (copied,) = of_module(play, "copy")
    assert copied["dest"] == "{{ gapcheck_root }}/etc/containerd/config.toml"
    assert copied["content"].rstrip() == CONFIG_1.rstrip()
    assert copied["backup"] is True
    assert "containerd -c" in copied["validate"]
    assert "mode" not in copied


def test_nothing_but_builtin_modules_is_used() -> None:
    facts, _ = untrusting("debian", folder=False)
    facts = misled(facts, f"127.0.0.1 localhost\n10.0.0.9 {HOST}\n", "10.0.0.9")
    for play in plays(exported(facts, site(policy={"trust": "both"})).text):
        assert {name.rpartition(".")[0] for name, _ in modules(play)} == {"ansible.builtin"}


def test_folders_are_made_by_their_names_which_every_ansible_keeps() -> None:
    """ansible-core 2.20 and later leave `invocation` out of what a loop registers."""
    facts, _ = untrusting("debian", folder=False)
    found = exported(facts)
    (made,) = [args for args in of_module(only(found), "file") if args.get("state") == "directory"]
    assert made["path"] == "{{ gapcheck_root }}{{ item.item }}"
    assert "invocation" not in found.text


def test_a_file_with_parts_that_were_not_taken_is_never_written() -> None:
    facts = guided()
    node: Any = facts.by_subject[SubjectId(NODE)]
    fact = msgspec.structs.replace(node.files[CONFIG].value, redacted=True)
    files = {**node.files, CONFIG: msgspec.structs.replace(node.files[CONFIG], value=fact)}
    found = exported(with_facts(facts, NODE, files=files))
    assert all(CONFIG not in str(play) for play in plays(found.text))
    assert any(f"parts of {CONFIG} were not taken" in note for note in found.notes)
    assert found.code is Exit.FAILED


def test_text_that_looks_like_a_template_is_marked_as_none() -> None:
    text = f"# {{{{ lookup('pipe', 'id') }}}}\n{CONFIG_1}"
    found = exported(config(healthy()[1], NODE, text + guide()))
    assert "content: !unsafe |" in found.text
    assert of_module(only(found), "copy")[0]["content"].rstrip() == text.rstrip()


def test_nodes_that_need_the_same_share_a_play_and_one_goes_first() -> None:
    of = site(
        nodes=[{"name": name, "target": f"ssh://root@{name}"} for name in ("a", "b", "c")],
        cluster=None,
    )
    facts = guided()
    node = facts.by_subject[SubjectId(NODE)]
    by_subject = {SubjectId(f"node/{name}"): node for name in ("a", "b", "c")}
    facts = msgspec.structs.replace(facts, by_subject={**facts.by_subject, **by_subject})
    play = only(exported(facts, of))
    assert play["hosts"] == ["a", "b", "c"]
    assert play["serial"] == [1, "10%"]
    assert play["any_errors_fatal"] is True


def test_what_changes_notifies_the_restart() -> None:
    play = only(exported(guided()))
    (task,) = [each for each in play["tasks"] if "ansible.builtin.copy" in each]
    assert task["notify"] == ["Restart containerd.service"]
    (handler,) = play["handlers"]
    assert handler["name"] == "Restart containerd.service"
    assert handler["ansible.builtin.systemd"]["state"] == "restarted"
    assert handler["when"] == "gapcheck_root == ''"


def test_a_restart_alone_is_done_only_to_the_process_that_was_measured() -> None:
    facts = unit(healthy()[1], NODE, started=NOW.timestamp() - 10 * 86_400, pid=412)
    play = only(exported(facts, site(policy={"trust": "os"})))
    assert "handlers" not in play
    restart = play["tasks"][-1]
    assert restart["ansible.builtin.systemd"]["name"] == "containerd.service"
    assert restart["when"] == ["gapcheck_root == ''", "gapcheck_unit.stdout | trim == '412'"]


@pytest.mark.parametrize(
    ("name", "argv", "bundle"),
    [
        (
            "debian",
            ["update-ca-certificates", "--fresh"],
            "/etc/ssl/certs/ca-certificates.crt",
        ),
        ("rhel", ["update-ca-trust"], "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    ],
)
def test_the_store_is_rebuilt_by_the_tool_of_the_family(
    name: str, argv: list[str], bundle: str
) -> None:
    facts, _ = untrusting(name, folder=False)
    play = only(exported(facts, site(policy={"trust": "os"})))
    (command,) = of_module(play, "command")
    assert command["argv"] == argv
    (said,) = [task for task in play["tasks"] if "ansible.builtin.debug" in task]
    assert said["ansible.builtin.debug"]["msg"] == bundle
    assert "gapcheck_before.stat.checksum" in said["changed_when"]
    assert said["notify"] == ["Restart containerd.service"]
    written = [each["dest"] for each in of_module(play, "copy")]
    assert all("gapcheck-" in each and each.endswith(".crt") for each in written)


def test_hosts_line_of_another_address_goes_and_the_block_comes() -> None:
    facts = misled(healthy()[1], f"127.0.0.1 localhost\n10.0.0.9 {HOST} other\n", "10.0.0.9")
    play = only(exported(facts))
    (block,) = of_module(play, "blockinfile")
    assert block["marker"] == "# {mark} gapcheck registry"
    assert block["block"] == f"10.0.0.2\t{HOST}"
    assert block["unsafe_writes"] is True
    (line,) = of_module(play, "replace")
    assert line["regexp"] == rf"^10\.0\.0\.9\ {HOST.replace('.', chr(92) + '.')}\ other$"
    assert line["replace"] == "10.0.0.9 other"


def test_a_line_that_stands_in_the_block_too_is_not_taken_out_of_it_again() -> None:
    text = f"10.0.0.2\t{HOST}\n10.0.0.9\t{HOST}\n"
    play = only(exported(misled(healthy()[1], text, "10.0.0.2", "10.0.0.9")))
    assert of_module(play, "lineinfile") == []
    (copied,) = of_module(play, "copy")
    assert copied["content"].count(HOST) == 1


def test_a_file_that_goes_is_compared_first() -> None:
    facts = put(healthy()[1], NODE, "/etc/pki/tls/registry.crt", ca().pem)
    found = exported(facts, select=("NODE-TRUST-002",))
    play = only(found)
    (gone,) = of_module(play, "file")
    assert gone == {"path": "{{ gapcheck_root }}/etc/pki/tls/registry.crt", "state": "absent"}
    (looked,) = [t for t in play["tasks"] if t["name"] == "Look at the files"]
    assert looked["loop"][0]["sha256"][1] == "absent"


def test_node_over_sudo_becomes_root() -> None:
    nodes = [{"name": "debian", "target": "ssh://ops@10.0.0.11:2222", "sudo": True}]
    found = exported(guided(), site(nodes=nodes, cluster=None))
    assert only(found)["become"] is True
    assert "#   debian ansible_host=10.0.0.11 ansible_user=ops ansible_port=2222\n" in found.text


def test_root_of_an_image_is_written_here_and_below_its_folder_only() -> None:
    nodes = [{"name": "debian", "target": "rootdir://./roots/debian"}]
    play = only(exported(guided(), site(nodes=nodes, cluster=None)))
    assert play["connection"] == "local"
    assert play["vars"]["gapcheck_root"] == "{{ playbook_dir }}/roots/debian"
    assert play["tasks"][0]["name"] == "No path leads out of the root"


def test_node_without_a_name_for_an_inventory_is_left() -> None:
    nodes = [{"name": "a:b", "target": "ssh://root@10.0.0.11"}]
    facts = guided()
    by_subject = {**facts.by_subject, SubjectId("node/a:b"): facts.by_subject[SubjectId(NODE)]}
    facts = msgspec.structs.replace(facts, by_subject=by_subject)
    found = exported(facts, site(nodes=nodes, cluster=None))
    assert only(found)["hosts"] == "all"
    assert any("node a:b: no name for an inventory" in note for note in found.notes)


def test_risk_that_is_not_allowed_is_left() -> None:
    found = exported(guided(), max_risk=Risk.SAFE)
    assert only(found)["name"] == "Nothing to change"
    assert any("needs --max-risk restart" in note for note in found.notes)


def test_nothing_wrong_gives_a_play_that_changes_nothing() -> None:
    found = exported(healthy()[1])
    assert only(found)["tasks"] == []
    assert (found.code, found.notes) == (Exit.OK, ())


def test_node_that_was_not_reached_is_said() -> None:
    facts = healthy()[1]
    gap = Gap(subject=SubjectId(NODE), stage="connect", reason="no route to host")
    by_subject = {k: v for k, v in facts.by_subject.items() if k != NODE}
    facts = msgspec.structs.replace(facts, by_subject=by_subject, gaps=(gap,))
    found = exported(facts)
    assert found.code is Exit.UNMEASURED
    assert "not judged: node/debian connect: no route to host" in found.notes


def test_bare_node_gets_folder_files_and_configuration() -> None:
    facts, _ = untrusting("debian", folder=False)
    facts = config(facts, NODE, BARE_1)
    play = only(exported(facts))
    folders = next(t for t in play["tasks"] if t["name"] == "Look at the folders")
    assert folders["loop"] == [f"/etc/containerd/certs.d/{HOST}"]
    copies = of_module(play, "copy")
    written = {each["dest"].removeprefix("{{ gapcheck_root }}"): each for each in copies}
    assert set(written) == {
        f"/etc/containerd/certs.d/{HOST}/ca.crt",
        f"/etc/containerd/certs.d/{HOST}/hosts.toml",
        CONFIG,
    }
    new = written[f"/etc/containerd/certs.d/{HOST}/ca.crt"]
    assert new["mode"] == "0644"
    assert new["content"].encode().split() == ca().pem.split()


def test_lines_of_a_file_with_parts_that_were_not_taken_are_left() -> None:
    facts = misled(healthy()[1], f"127.0.0.1 localhost\n10.0.0.9 {HOST} other\n", "10.0.0.9")
    node: Any = facts.by_subject[SubjectId(NODE)]
    fact = msgspec.structs.replace(node.files["/etc/hosts"].value, redacted=True)
    found = exported(with_facts(facts, NODE, files={**node.files, "/etc/hosts": Present(fact)}))
    assert of_module(only(found), "replace") == []
    assert any("parts of /etc/hosts were not taken" in note for note in found.notes)
