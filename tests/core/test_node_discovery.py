"""From `nodes: {from: ...}` to named nodes, and gaps for those that cannot be reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapcheck.errors import SiteError
from gapcheck.fixtures.kube_facts import KubeNode
from gapcheck.model import Gap, SubjectId
from gapcheck.node_discovery import resolve_nodes
from gapcheck.site import Node, Site
from gapcheck.site_file import LoadedSite


def site_with(folder: Path, **nodes: Any) -> LoadedSite:
    site = Site.model_validate(
        {
            "version": 1,
            "registry": {"host": "registry.local"},
            "nodes": nodes,
            "cluster": {"kubeconfig": "kubeconfig"},
        }
    )
    return LoadedSite(site=site, base=folder, path=folder / "site.yaml")


def node(name: str, address: str = "10.0.0.1", **changes: Any) -> KubeNode:
    values = {"schedulable": True, "ready": True, "addresses": (address,), **changes}
    return KubeNode(name=name, **values)


def of_inventory(folder: Path, text: str, **nodes: Any) -> tuple[tuple[Node, ...], tuple[Gap, ...]]:
    (folder / "hosts").write_text(text)
    loaded = site_with(folder, **{"from": "inventory", "inventory": "hosts"}, **nodes)
    site, gaps = resolve_nodes(loaded, None)
    return site.node_list, gaps


def test_named_nodes_are_left_as_they_are(tmp_path: Path) -> None:
    site = Site.model_validate({"version": 1, "registry": {"host": "r"}, "nodes": ["a"]})
    loaded = LoadedSite(site=site, base=tmp_path, path=tmp_path)
    assert resolve_nodes(loaded, None) == (site, ())


def test_every_schedulable_node_is_taken_in_the_order_of_names(tmp_path: Path) -> None:
    loaded = site_with(tmp_path, **{"from": "cluster"}, sudo=True)
    site, gaps = resolve_nodes(loaded, (node("b"), node("a"), node("cordoned", schedulable=False)))
    assert site.node_list == (
        Node(target="ssh://a", name="a", sudo=True),
        Node(target="ssh://b", name="b", sudo=True),
    )
    assert gaps == ()


def test_a_selector_takes_nodes_by_label(tmp_path: Path) -> None:
    loaded = site_with(tmp_path, **{"from": "cluster"}, selector="tier=web")
    site, _ = resolve_nodes(loaded, (node("a"), node("b", labels={"tier": "web"})))
    assert [each.name for each in site.node_list] == ["b"]


def test_a_pattern_is_filled_in_and_ipv6_gets_its_brackets(tmp_path: Path) -> None:
    loaded = site_with(tmp_path, **{"from": "cluster"}, target="ssh://root@{address}:2222")
    site, gaps = resolve_nodes(loaded, (node("a", "fd00::5"), node("b", addresses=())))
    assert site.node_list == (Node(target="ssh://root@[fd00::5]:2222", name="a"),)
    assert gaps == (
        Gap(
            subject=SubjectId("node/b"),
            stage="discovery",
            reason="its Node object has no address",
        ),
    )


def test_a_cluster_that_does_not_answer_is_a_gap_and_the_nodes_stay_unnamed(
    tmp_path: Path,
) -> None:
    loaded = site_with(tmp_path, **{"from": "cluster"})
    site, (gap,) = resolve_nodes(loaded, None)
    assert site == loaded.site
    assert (gap.subject, gap.reason) == ("nodes", "the cluster's nodes could not be listed")


def test_no_node_at_all_is_a_gap(tmp_path: Path) -> None:
    loaded = site_with(tmp_path, **{"from": "cluster"}, selector="a=b")
    _, (gap,) = resolve_nodes(loaded, (node("a"),))
    assert gap.reason == "no schedulable node with 'a=b' in the cluster"


def test_a_selector_that_is_none_is_an_error(tmp_path: Path) -> None:
    loaded = site_with(tmp_path, **{"from": "cluster"}, selector="a in b")
    with pytest.raises(SiteError, match=r"nodes\.selector: 'a in b' is not a label selector"):
        resolve_nodes(loaded, ())


@pytest.mark.parametrize(
    ("line", "target", "sudo"),
    [
        ("h", "ssh://h", False),
        ("h ansible_host=10.0.0.9 ansible_port=22 ansible_user=u", "ssh://u@10.0.0.9:22", False),
        ("h ansible_host=fd00::5 ansible_port=22", "ssh://[fd00::5]:22", False),
        ("h ansible_become=yes", "ssh://h", True),
        ("h ansible_become=False", "ssh://h", False),
        ("h ansible_connection=local", "local://", False),
        ("h ansible_connection=community.docker.docker ansible_host=box", "docker://box", False),
        ("h ansible_connection=podman", "podman://h", False),
        (
            "h ansible_ssh_private_key_file='/k/my id'",
            "ssh://h?ssh_identity_file=/k/my%20id",
            False,
        ),
    ],
)
def test_the_settings_of_a_host_make_its_hostspec(
    tmp_path: Path, line: str, target: str, sudo: bool
) -> None:
    nodes, gaps = of_inventory(tmp_path, f"{line}\n")
    assert (nodes, gaps) == ((Node(target=target, name="h", sudo=sudo),), ())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("h ansible_connection=winrm", "ansible_connection 'winrm' is not one gapcheck has"),
        (
            "h ansible_become=1 ansible_become_method=su",
            "ansible_become_method is su; only sudo is used",
        ),
        ("h ansible_become=1 ansible_become_user=x", "ansible_become_user is x; only root is used"),
    ],
)
def test_a_host_that_has_no_way_is_a_gap_and_the_others_are_taken(
    tmp_path: Path, line: str, reason: str
) -> None:
    nodes, (gap,) = of_inventory(tmp_path, f"{line}\nother\n")
    assert [each.name for each in nodes] == ["other"]
    assert (gap.subject, gap.reason) == ("node/h", reason)


def test_every_template_in_a_setting_that_matters_is_told_once(tmp_path: Path) -> None:
    text = (
        "a ansible_host={{x}}\n[w]\nb\nc\n[w:vars]\nansible_user={{ u }}\nfoo={{ y }}\n"
        "[idle]\nd ansible_host={{z}}\n"
    )
    with pytest.raises(SiteError) as refused:
        of_inventory(tmp_path, text, selector="all:!idle")
    assert str(refused.value).replace(f"{tmp_path}/", "").splitlines() == [
        "hosts:1: ansible_host is a template, '{{x}}'; write the value",
        "hosts:6: ansible_user is a template, '{{ u }}'; write the value",
    ]


def test_a_setting_that_makes_no_hostspec_names_its_host(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match=r"hosts:2: host b: 'x' is not a port"):
        of_inventory(tmp_path, "a\nb ansible_port=x\n")


def test_a_missing_inventory_is_an_error(tmp_path: Path) -> None:
    loaded = site_with(tmp_path, **{"from": "inventory", "inventory": "none"})
    with pytest.raises(SiteError, match="none: cannot be read: No such file"):
        resolve_nodes(loaded, None)
