from __future__ import annotations

from pathlib import Path

from support.kube import ALIASES, Folder
from support.manifests import coderd

from gapcheck.model import Status

CHECK = "DNS-POLICY-001"


def test_a_manifest_gets_the_policy_for_the_hosts_network(tmp_path: Path) -> None:
    folder = Folder(tmp_path, coderd=coderd(extra=ALIASES + "      hostNetwork: true\n"))
    folder.repair(CHECK)
    assert "      dnsPolicy: ClusterFirstWithHostNet\n" in folder.text("manifests/coderd.yaml")
    assert folder.verdict(CHECK).status is Status.PASS
    assert folder.plan(CHECK) == []
