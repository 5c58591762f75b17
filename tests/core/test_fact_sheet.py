"""The sheet of a subject: short texts by name, equal for equal facts."""

from __future__ import annotations

import msgspec
from support.healthy import site, with_facts, with_file
from support.looks import look, steady

from gapcheck.fact_sheet import encode_sheet, parse_sheet
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, DirEntry, Present, Unreadable
from gapcheck.fixtures.kube_facts import ConfigMapFact
from gapcheck.model import RELEASE


def sheet(facts: FactSet | None = None, subject: str = "node/debian") -> dict[str, str]:
    found = look(facts)
    return dict(found.sheet(found.measured[subject]))


def test_a_file_is_its_digest_mode_and_owner() -> None:
    facts = with_file(steady()[1], "node/debian", "/etc/x", b"abc", mode=0o640, uid=7, gid=8)
    assert sheet(facts)["file /etc/x"] == "sha256 ba7816bf8f01cfea, mode 640, owner 7:8"


def test_a_link_says_where_it_leads() -> None:
    facts = with_file(steady()[1], "node/debian", "/etc/x", b"abc", link="../y")
    assert sheet(facts)["file /etc/x"].endswith(", link to ../y")


def test_absent_and_unread_are_told_apart() -> None:
    facts = with_file(steady()[1], "node/debian", "/etc/x", Absent("/etc/x"))
    facts = with_file(facts, "node/debian", "/etc/y", Unreadable("permission denied"))
    found = sheet(facts)
    assert found["file /etc/x"] == "absent"
    assert found["file /etc/y"] == "not measured: permission denied"


def test_a_folder_is_the_names_in_it_in_one_order() -> None:
    entries = tuple(DirEntry(name=name, kind=kind) for name, kind in (("b", "file"), ("a", "dir")))
    dirs = {"/etc/certs": Present(entries)}
    facts = with_facts(steady()[1], "node/debian", dirs=dirs)
    assert sheet(facts)["folder /etc/certs"] == "a/, b"


def test_a_long_list_is_cut_and_still_differs_where_its_end_does() -> None:
    def listed(last: str) -> str:
        names = [f"certificate-{number}.pem" for number in range(200)] + [last]
        entries = tuple(DirEntry(name=name, kind="file") for name in names)
        facts = with_facts(steady()[1], "node/debian", dirs={"/x": Present(entries)})
        return sheet(facts)["folder /x"]

    assert len(listed("one")) < 200
    assert listed("z-one") != listed("z-two")


def test_what_a_server_says_differently_each_time_is_left_out() -> None:
    found = sheet(subject="registry")
    assert found["tls stage"] == "done"
    assert not [name for name in found if "date" in name or "seconds" in name or "peer" in name]


def test_names_that_are_not_utf_8_can_be_stored() -> None:
    facts = with_file(steady()[1], "node/debian", "/etc/\udcff", b"x")
    stored = parse_sheet(encode_sheet(sheet(facts)))
    assert "file /etc/\\udcff" in stored


def test_the_setting_holds_policy_waivers_and_checks_and_no_nodes() -> None:
    waiver = {"check": "DNS-HOSTS-001", "reason": "known", "until": "2030-01-31"}
    found = look(None, site(waivers=[waiver], policy={"min_days_left": 9}))
    setting = found.sheet(found.measured["setting"])
    assert setting["waiver DNS-HOSTS-001 * *"] == "until 2030-01-31"
    assert setting["policy min_days_left"] == "9"
    assert setting["gapcheck"] == "0.0"
    assert not [name for name in setting if name.startswith("nodes")]


def test_every_text_of_a_config_map_is_a_fact_of_its_own() -> None:
    def texts(override: str) -> Present[tuple[ConfigMapFact, ...]]:
        keys = {"log.override": "1" * 64, "site.server": override * 64}
        return Present(
            tuple(
                ConfigMapFact(
                    namespace="kube-system",
                    name="coredns-custom",
                    key=key,
                    blob=blob,
                    locus="x",
                    uid="u",
                    resource_version="7",
                )
                for key, blob in keys.items()
            )
        )

    before, after = (
        sheet(with_facts(steady()[1], "dns", coredns=texts(digit)), "dns") for digit in "23"
    )
    differing = {name for name in before if before[name] != after[name]}
    assert differing == {"coredns kube-system/coredns-custom/site.server content sha256"}


def test_another_certificate_in_a_secret_is_another_fact() -> None:
    facts = steady()[1]
    (secret, *others) = facts.by_subject[RELEASE].secrets.value  # type: ignore[union-attr]  # the site has them
    keys = tuple(msgspec.structs.replace(each, blob="9" * 64) for each in secret.keys)
    changed = Present((msgspec.structs.replace(secret, keys=keys), *others))
    before = sheet(facts, "release")
    after = sheet(with_facts(facts, "release", secrets=changed), "release")
    assert [name for name in before if before[name] != after[name] and "sha256" in name]
