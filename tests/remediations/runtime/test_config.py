from __future__ import annotations

import tomllib

import pytest
from support.healthy import CONFIG_1, site
from support.nodes import BARE_1, CONFIG, config, docker_node, guide, node, put
from support.repair import planned

from gapcheck.errors import CannotPlan
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import EditBlock, EditJson

HEAD = "version = 2\nroot = '/var/lib/containerd' # ours\n"
TWICE = '\n[plugins."io.containerd.grpc.v1.cri".cni]\n  bin_dir = "/opt/cni/bin"\n'


def test_second_of_two_equal_tables_goes_and_all_else_stays() -> None:
    facts, subject, _ = node("debian")
    text = f"{HEAD}{TWICE}[debug]\nlevel = 'info'\n{TWICE}"
    facts = put(facts, subject, CONFIG, text)
    change = planned("RUN-CONF-001", facts, site(), subject)[0]
    assert isinstance(change, EditBlock)
    after = apply_edit(change, text.encode())
    assert after is not None
    table = tomllib.loads(after.decode())
    assert table["plugins"]["io.containerd.grpc.v1.cri"]["cni"] == {"bin_dir": "/opt/cni/bin"}
    assert table["debug"] == {"level": "info"}
    assert b"root = '/var/lib/containerd' # ours\n" in after


def test_tables_that_differ_are_a_persons() -> None:
    facts, subject, _ = node("debian")
    text = f"{HEAD}{TWICE}{TWICE.replace('/opt', '/usr')}"
    facts = put(facts, subject, CONFIG, text)
    with pytest.raises(CannotPlan, match="lines 4-5 and 7-8"):
        planned("RUN-CONF-001", facts, site(), subject)


def test_line_that_stands_in_a_third_table_too_is_a_persons() -> None:
    facts, subject, _ = node("debian")
    facts = put(facts, subject, CONFIG, f"{BARE_1}{guide('a')}{guide()}{guide()}")
    with pytest.raises(CannotPlan, match="looks the same"):
        planned("RUN-CONF-001", facts, site(), subject)


def test_syntax_error_is_a_persons() -> None:
    facts, subject, _ = node("debian")
    facts = put(facts, subject, CONFIG, "[plugins\n")
    with pytest.raises(CannotPlan, match="by hand"):
        planned("RUN-CONF-001", facts, site(), subject)


def test_short_name_of_the_cri_plugin_goes() -> None:
    facts, subject, _ = node("debian")
    text = f'disabled_plugins = ["cri", "io.x.y.v1.z"]\n{CONFIG_1}'
    change = planned("RUN-CONF-001", put(facts, subject, CONFIG, text), site(), subject)[0]
    after = apply_edit(change, text.encode())
    assert after is not None
    assert tomllib.loads(after.decode())["disabled_plugins"] == ["io.x.y.v1.z"]


def test_other_short_names_are_a_persons() -> None:
    facts, subject, _ = node("debian")
    text = f'disabled_plugins = ["aufs"]\n{CONFIG_1}'
    with pytest.raises(CannotPlan, match="whole plugin ids"):
        planned("RUN-CONF-001", put(facts, subject, CONFIG, text), site(), subject)


def test_misspelt_key_of_docker_goes() -> None:
    facts, subject, _ = node("debian")
    facts = docker_node(facts, subject, '{"insecure-registry": ["x"], "debug": true}')
    change = planned("RUN-CONF-002", facts, site(), subject)[0]
    assert isinstance(change, EditJson)
    after = apply_edit(change, b'{"insecure-registry": ["x"], "debug": true}')
    assert b"insecure" not in (after or b"insecure")


def test_drop_in_with_more_than_registry_settings_is_a_persons() -> None:
    facts, subject, _ = node("debian")
    path = "/etc/containerd/conf.d/site.toml"
    facts = config(facts, subject, f'imports = ["{path}"]\n{CONFIG_1}')
    facts = put(facts, subject, path, TWICE)
    with pytest.raises(CannotPlan, match="merge it"):
        planned("RUN-CONF-002", facts, site(), subject)


def test_unread_drop_in_of_1_x_is_a_persons() -> None:
    facts, subject, _ = node("debian")
    facts = put(facts, subject, "/etc/containerd/conf.d/site.toml", "[debug]\nlevel = 'info'\n")
    with pytest.raises(CannotPlan, match="by hand"):
        planned("RUN-CONF-002", facts, site(), subject)
