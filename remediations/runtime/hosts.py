"""Repairs of guide step 4: a registry folder that containerd can use."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change
from gapcheck.remediations.runtime.settle import settle
from gapcheck.view import NodeView


@remedy("RUN-HOSTS-001", risk=Risk.RESTART)
def plan_folder(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Write the registry's ca.crt and its own entry of hosts.toml; mirrors' entries stay.

    Files below config_path count from the next pull on; nothing is restarted for them.
    """
    del finding  # the whole state is planned, whichever part is wrong
    yield from settle(view)
