"""A number and its noun agree, in every text that the checks and repairs write."""

from __future__ import annotations

from support.healthy import other_ca, site, verdict_of, with_file
from support.nodes import FOLDER, untrusting

from gapcheck.counting import counted


def test_one_is_singular_and_all_else_is_plural() -> None:
    assert [counted(n, "CA") for n in (0, 1, 2)] == ["0 CAs", "1 CA", "2 CAs"]
    assert counted(2, "registry", "registries") == "2 registries"


def test_evidence_of_one_root_and_one_ca_is_in_the_singular() -> None:
    facts, subject = untrusting("debian")
    facts = with_file(facts, subject, f"{FOLDER}/ca.crt", other_ca().pem)
    (finding,) = verdict_of("NODE-TRUST-001", facts, site(), subject).findings
    assert {"1 root", "1 CA"} <= {each.value for each in finding.evidence}
