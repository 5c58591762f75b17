"""Hold the registry's name in a marked block of a node's hosts file, and nowhere else in it."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan, Unmeasured
from gapcheck.fixtures.hosts import BLOCK, HostsFile, HostsLine, managed_block, without_name
from gapcheck.fixtures.node_files import before_sha256
from gapcheck.fixtures.node_names import HOSTS, NSSWITCH, dns_alone, hosts_file, lookup_order
from gapcheck.fixtures.nsswitch import files_first
from gapcheck.fixtures.pod_names import registry_name
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import EditBlock, LineEdit
from gapcheck.view import NodeView


@remedy("DNS-HOSTS-001", risk=Risk.SAFE)
def plan_one_entry(finding: Finding, view: NodeView) -> Iterator[EditBlock]:
    """Keep one entry for the registry, in a marked block; other aliases stay on their lines."""
    del finding  # one block repairs every finding about the file
    name = registry_name(view)
    file = _file(view)
    dns = dns_alone(view.facts, name) or ()
    needed = bool(file.of(name)) or view.site.expected_address not in dns
    yield _hosts_change(view, name, file, block=needed)


@remedy("DNS-NODE-001", risk=Risk.SAFE)
def plan_name_on_node(finding: Finding, view: NodeView) -> Iterator[EditBlock]:
    """Hold the name with its expected address in the hosts file, and have that file asked first."""
    del finding  # what the sources say decides, not the wording of the finding
    name = registry_name(view)
    file = _file(view)
    right = file.addresses(name) == (_expected(view),)
    changes = [] if right else [_hosts_change(view, name, file, block=True)]
    changes += _order_change(view)
    if not changes:
        reason = (
            f"{HOSTS} has {name} with the expected address, and another source is asked before "
            f"it: see the hosts line of {NSSWITCH} and the node's name service cache"
        )
        raise CannotPlan(reason)
    yield from changes


def _expected(view: NodeView) -> str:
    expected = view.site.expected_address
    if expected is None:
        reason = "which address? set registry.address or dns.expected in the site file"
        raise CannotPlan(reason)
    return expected


def _file(view: NodeView) -> HostsFile:
    try:
        return hosts_file(view)
    except Unmeasured as gap:
        raise CannotPlan(str(gap)) from gap


def _hosts_change(view: NodeView, name: str, file: HostsFile, *, block: bool) -> EditBlock:
    edits = [
        LineEdit(before=line.text, after=without_name(line, name))
        for line in file.of(name)
        if not line.managed
    ]
    edits += [LineEdit(before=line.text) for line in file.nameless() if _is_left_over(view, line)]
    return EditBlock(
        target=view.subject,
        path=HOSTS,
        before_sha256=before_sha256(view.facts, HOSTS),
        marker=BLOCK,
        lines=managed_block(_expected(view), name) if block else (),
        line_edits=tuple(dict.fromkeys(edits)),
    )


def _is_left_over(view: NodeView, line: HostsLine) -> bool:
    return not line.managed and line.address == view.site.expected_address


def _order_change(view: NodeView) -> Iterator[EditBlock]:
    """The hosts line of nsswitch.conf with files first, where it keeps them from being asked."""
    try:
        order = lookup_order(view)
    except Unmeasured as gap:
        raise CannotPlan(str(gap)) from gap
    if order.line and (order.dns_wins or not order.reads_hosts_file):
        yield EditBlock(
            target=view.subject,
            path=NSSWITCH,
            before_sha256=before_sha256(view.facts, NSSWITCH),
            marker=BLOCK,
            lines=(),
            line_edits=(LineEdit(before=order.line, after=files_first(order.line)),),
            in_place=False,
        )
