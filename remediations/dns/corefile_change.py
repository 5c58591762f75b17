"""A change of the text that CoreDNS or NodeLocal DNSCache runs on. Pure."""

from __future__ import annotations

from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.caddyfile import CorefileError
from gapcheck.fixtures.corefile import with_hosts_entry
from gapcheck.fixtures.facts import ConfigMapFact
from gapcheck.remediations.objects import edit_object, patch_object, put
from gapcheck.remediations.plan import EditYaml, PatchObject
from gapcheck.view import View


def expected_address(view: View[Any]) -> str:
    """The address that pods are to get; CannotPlan where the site does not say."""
    expected = view.site.expected_address
    if expected is None:
        reason = "which address? set registry.address or dns.expected in the site file"
        raise CannotPlan(reason)
    return expected


def with_name(view: View[Any], text: str, name: str) -> str:
    """The Corefile `text` with the registry's name in its hosts block."""
    try:
        return with_hosts_entry(text, expected_address(view), name)
    except (CorefileError, ValueError) as bad:
        reason = f"the Corefile has to be put right by hand first: {bad}"
        raise CannotPlan(reason) from bad


def set_text(view: View[Any], fact: ConfigMapFact, text: str) -> EditYaml | PatchObject:
    """`text` under the key of the config map; CannotPlan where another tool writes it anew."""
    if fact.name.startswith("rke2-"):
        reason = "RKE2 writes this config map anew: put the hosts block into a HelmChartConfig"
        raise CannotPlan(reason)
    if fact.file:
        return edit_object(view, fact, (put(fact, ("data", fact.key), text),))
    return patch_object("ConfigMap", fact, {"data": {fact.key: text}})
