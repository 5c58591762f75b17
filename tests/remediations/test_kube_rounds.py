from __future__ import annotations

from pathlib import Path

from support.certs import NOW
from support.healthy import ca, with_facts, with_file
from support.kube import VALUES, Folder, families
from support.manifests import coderd, secret, timescale

from gapcheck.engine import Evaluation
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.model import Status, Verdict
from gapcheck.registry import catalogue
from gapcheck.remediations.plan import EditYaml, WriteFile


class Guide(Folder):
    """What the guide leaves behind, in a folder of manifests."""

    def __init__(self, base: Path) -> None:
        text = secret({"registry.crt": ca().pem, "registry.key": ca().key_pem})
        super().__init__(base, coderd=coderd(), timescale=timescale(), secret=text)
        self.values(VALUES.replace("postgres:\n  default:\n    image", "timescale:\n  image"))

    def facts(self) -> FactSet:
        facts = super().facts()
        for node in ("node/debian", "node/rhel"):
            facts = with_facts(facts, node, dns_only={})
        return facts


def failing(folder: Folder) -> dict[str, Verdict]:
    evaluation = Evaluation(folder.site, folder.facts(), families(), now=NOW)
    return {each.check: each for each in evaluation.all() if each.status is Status.FAIL}


def test_each_fault_of_the_guide_is_found_and_one_round_repairs_them_all(tmp_path: Path) -> None:
    folder = Guide(tmp_path)
    found = failing(folder)
    assert set(found) == {"SECRET-KEY-001", "REL-IMAGE-001", "REL-VALUE-001", "DNS-POD-001"}
    roots = {check for check, verdict in found.items() if not verdict.root_causes}
    assert roots == {"SECRET-KEY-001", "REL-VALUE-001", "DNS-POD-001"}
    for check, verdict in found.items():
        changes = folder.plan(check, verdict.subject)
        assert changes
        assert all(isinstance(each, EditYaml | WriteFile) for each in changes)
    before = folder.text("values.yaml")
    folder.repair("REL-VALUE-001", "REL-IMAGE-001", "SECRET-KEY-001")
    folder.repair("DNS-POD-001", subject="dns")
    assert failing(folder) == {}
    assert folder.text("values.yaml") != before
    assert folder.text("values.yaml") == VALUES
    assert folder.text("manifests/secret.yaml") == secret({"registry.crt": ca().pem})


def test_no_check_of_the_whole_catalogue_crashes_on_the_guides_folder(tmp_path: Path) -> None:
    folder = Guide(tmp_path)
    facts = with_file(folder.facts(), "node/debian", "/etc/hosts", b"10.0.0.2 \n")
    facts = with_facts(facts, "node/debian", resolver={"registry.local": Present(())})
    verdicts = list(Evaluation(folder.site, facts, catalogue(), now=NOW).all())
    assert [each.reason for each in verdicts if "crashed" in each.reason] == []
    assert {each.check for each in verdicts if each.status is Status.FAIL} >= {
        "DNS-HOSTS-001",
        "SECRET-KEY-001",
    }
