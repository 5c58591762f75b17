"""The site file: what it means, and what is said of one that cannot be used."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapcheck.errors import SiteError, UsageError
from gapcheck.hostspec import hostspec_name, normal_hostspec, split_host_port
from gapcheck.model import Scope
from gapcheck.site import Node, NodesFrom, SecretRef, Site
from gapcheck.site_file import LoadedSite, check_ca_file, load_site, site_of_host
from gapcheck.site_schema import EXAMPLE, render_site_reference, schema_json

MINIMAL = "version: 1\nregistry: {host: registry.local}\n"
PAGE = Path(__file__).parents[2] / "docs" / "site-file.md"


def load(folder: Path, text: str | bytes) -> LoadedSite:
    path = folder / "site.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_site(path)


def complaints(folder: Path, text: str | bytes) -> list[str]:
    """Every line of the error, without the folder's name."""
    with pytest.raises(SiteError) as refused:
        load(folder, text)
    return str(refused.value).replace(f"{folder}/", "").splitlines()


def test_a_minimal_file_has_every_default(tmp_path: Path) -> None:
    loaded = load(tmp_path, MINIMAL)
    assert loaded.site == Site.model_validate(
        {"version": 1, "registry": {"host": "registry.local"}}
    )
    assert (loaded.base, loaded.path, loaded.unread) == (tmp_path, tmp_path / "site.yaml", ())


def test_the_port_may_stand_in_the_host(tmp_path: Path) -> None:
    registry = load(tmp_path, "version: 1\nregistry: {host: 'registry.local:5000'}\n").site.registry
    assert (registry.host, registry.port, registry.netloc) == (
        "registry.local",
        5000,
        "registry.local:5000",
    )


def test_an_ipv6_registry_is_written_in_brackets(tmp_path: Path) -> None:
    registry = load(tmp_path, "version: 1\nregistry: {host: '[FD00::5]:5000'}\n").site.registry
    assert (registry.host, registry.netloc) == ("fd00::5", "[fd00::5]:5000")


def test_anchors_aliases_and_merged_tables_are_read(tmp_path: Path) -> None:
    text = MINIMAL + (
        "nodes:\n"
        "  - &first {target: ssh://a, sudo: true, runtime: containerd}\n"
        "  - {<<: *first, target: ssh://b, name: b}\n"
    )
    nodes = load(tmp_path, text).site.node_list
    assert nodes == (
        Node(target="ssh://a", name="a", sudo=True, runtime="containerd"),
        Node(target="ssh://b", name="b", sudo=True, runtime="containerd"),
    )


def test_lists_and_tables_of_defaults_may_be_left_empty(tmp_path: Path) -> None:
    loaded = load(tmp_path, MINIMAL + "nodes:\ndns:\n  # resolvers: []\npolicy:\ncluster: null\n")
    assert loaded.site == load(tmp_path, MINIMAL).site


def test_a_time_may_carry_its_unit(tmp_path: Path) -> None:
    policy = load(tmp_path, MINIMAL + "policy: {probe_timeout_s: 1.5m, deadline_s: 2h}\n").site
    assert (policy.policy.probe_timeout_s, policy.policy.deadline_s) == (90, 7200)


def test_the_expected_address_is_the_registry_s_unless_dns_says_another(tmp_path: Path) -> None:
    text = "version: 1\nregistry: {host: x, address: 10.0.0.2, proxy: 'http://p:1'}\n"
    assert load(tmp_path, text).site.expected_address == "10.0.0.2"
    assert load(tmp_path, text + "dns: {expected: 10.0.0.3}\n").site.expected_address == "10.0.0.3"


def test_a_service_has_an_endpoint_of_port_443_unless_it_names_one(tmp_path: Path) -> None:
    site = load(tmp_path, MINIMAL + "services: [git.local, {host: 'login.local:8443'}]\n").site
    assert [each.endpoint for each in site.services] == [("git.local", 443), ("login.local", 8443)]
    assert site.subjects(Scope.SERVICE) == ("service/git.local", "service/login.local:8443")


def test_the_secret_with_the_ca_has_the_guide_s_name_unless_the_site_says_another(
    tmp_path: Path,
) -> None:
    assert load(tmp_path, MINIMAL).site.ca_secret == SecretRef()
    text = MINIMAL + "release: {secret: {name: own}}\n"
    assert load(tmp_path, text).site.ca_secret.name == "own"


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, MINIMAL)
    assert loaded.resolve("a/ca.crt") == tmp_path / "a" / "ca.crt"
    assert loaded.resolve("/etc/ca.crt") == Path("/etc/ca.crt")
    assert loaded.resolve("~/ca.crt") == Path.home() / "ca.crt"


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode()
    assert load(tmp_path, text).site == load(tmp_path, MINIMAL).site


ONE = [
    ("", "site.yaml: is empty"),
    ("# nothing\n", "site.yaml: is empty"),
    ("- a\n", "site.yaml:1: is a list; a table is needed; its keys: version, name, registry,"),
    ("version: 1\n", "site.yaml:1: registry: is missing"),
    ("registry: {host: x}\n", "site.yaml:1: version: is missing"),
    ("version: 2\nfoo: 1\n", "site.yaml:1: version: is 2; this gapcheck reads version 1,"),
    ("version: '1'\nregistry: {host: x}\n", "site.yaml:1: version: is the text '1'; allowed: 1 ("),
    ("version: true\nregistry: {host: x}\n", "site.yaml:1: version: is true; allowed: 1"),
    (
        "version: 1\nregistry:\n  hots: x\n  host: x\n",
        "site.yaml:3: registry.hots: unknown key; did you mean host? allowed: host, port, address,",
    ),
    ("version: 1\nregistry:\n", "site.yaml:2: registry: has no value; a table is needed; its keys"),
    (
        MINIMAL + "registries: []\n",
        "site.yaml:3: registries: is reserved for a later version; name the one registry under",
    ),
    (
        MINIMAL + "name: a\nname: b\n",
        "site.yaml:4: name: stands here and on line 3",
    ),
    (
        MINIMAL + "dns:\n  pods: true\n  resolvers: []\n  pods: true\n",
        "site.yaml:6: dns.pods: stands here and on line 4",
    ),
    (MINIMAL + "dns:\n\tpods: true\n", "site.yaml:4: a tab stands where YAML wants spaces"),
    (MINIMAL + "dns:\n  pods: true\n a: b\n", "site.yaml:5: the indentation fits no line above it"),
    ("  version: 1\nregistry: {host: x}\n", "site.yaml:2: the indentation fits no line above it"),
    (MINIMAL + "name: a: b\n", "site.yaml:3: a second colon; quote a value that holds ': '"),
    (MINIMAL + "name: 'a\n", "site.yaml:4: a quote is not closed before the end of the file"),
    (MINIMAL + "nodes: [a\n", "site.yaml:4: a bracket or brace is not closed before the end"),
    (MINIMAL + "name\nphase: pre\n", "site.yaml:4: a key without a colon after it"),
    (MINIMAL + "name: @x\n", "site.yaml:3: character '@' that cannot start any token; quote the"),
    (MINIMAL + "name: *x\n", "site.yaml:3: undefined alias 'x'"),
    (MINIMAL + "---\nname: x\n", "site.yaml:4: a second document begins; one is read"),
    (MINIMAL + "name: !secret x\n", "site.yaml:3: name: tag !secret is not read"),
    (MINIMAL + "dns: !x {pods: true}\n", "site.yaml:3: dns: tag !x is not read"),
    (MINIMAL + "? [a]\n: b\n", "site.yaml:3: a key is not plain text"),
    (MINIMAL + "nodes: &a [*a]\n", "site.yaml:3: nodes[0]: an alias leads back to itself, or too"),
    (MINIMAL + "name: \x01\n", "site.yaml:3: control character 0x01"),
    (MINIMAL.encode() + b"name: \xe9\n", "site.yaml:3: byte 0xe9 is not UTF-8; save it as UTF-8"),
    (MINIMAL.encode("utf-16"), "site.yaml: is UTF-16 text; save it as UTF-8"),
    ("[" * 5000, "site.yaml: is nested too deeply"),
    ("version: 1\nregistry: {host: 5}\n", "site.yaml:2: registry.host: is the number 5; text is n"),
    ("version: 1\nregistry: {host: ''}\n", "site.yaml:2: registry.host: is an empty text; delete"),
    ("version: 1\nregistry: {host: x, ca_file: }\n", "site.yaml:2: registry.ca_file: has no value"),
    (
        "version: 1\nregistry: {host: 'https://x'}\n",
        "site.yaml:2: registry: 'https://x' is not HOST or HOST:PORT (no scheme, no path)",
    ),
    (
        "version: 1\nregistry: {host: 'x:5', port: 6}\n",
        "site.yaml:2: registry: host says port 5, port says 6",
    ),
    ("version: 1\nregistry: {host: x, port: true}\n", "site.yaml:2: registry.port: is true; a wh"),
    ("version: 1\nregistry: {host: x, port: 0}\n", "site.yaml:2: registry.port: is the number 0;"),
    (
        "version: 1\nregistry: {host: x, port: 65536}\n",
        "site.yaml:2: registry.port: is the number 65536; 65535 is the most",
    ),
    (
        "version: 1\nregistry: {host: x, address: y.z}\n",
        "site.yaml:2: registry.address: 'y.z' is not an IP address",
    ),
    (
        "version: 1\nregistry: {host: x, reload: restart}\n",
        "site.yaml:2: registry.reload: is 'restart'; allowed: none, container, unit:NAME",
    ),
    (
        "version: 1\nregistry: {host: x, issuer: extern}\n",
        "site.yaml:2: registry.issuer: is the text 'extern'; did you mean external? allowed: exte",
    ),
    (
        "version: 1\nregistry: {host: x, auth: {username: u}}\n",
        "site.yaml:2: registry.auth: needs exactly one of password_env and password_file",
    ),
    (
        "version: 1\nregistry: {host: x, proxy: 'http://u:p@y:1'}\n",
        "site.yaml:2: registry.proxy: holds a password; a site file names secrets only by",
    ),
    ("version: 1\nregistry: {host: x, images: a}\n", "site.yaml:2: registry.images: is the text"),
    (MINIMAL + "nodes: [null]\n", "site.yaml:3: nodes[0]: is nothing; a table is needed; its keys"),
    (MINIMAL + "phase:\n", "site.yaml:3: phase: has no value; one of the allowed words is needed"),
    (MINIMAL + "name: !!int x\n", "site.yaml:3: name: 'x' cannot be read as int"),
    (MINIMAL + "dns: {<<: 5}\n", "site.yaml:3: << merges no table, or too many"),
    (MINIMAL + "#" * 8 * 1024 * 1024, "site.yaml: holds 8388652 bytes; at most 8388608 are read"),
    (
        "version: 1\nregistry: {host: x, auth: {password_env: p}}\n",
        "site.yaml:2: registry.auth: needs username or username_env",
    ),
    (
        "version: 1\nregistry: {host: x, proxy: 'proxy:3128'}\n",
        "site.yaml:2: registry.proxy: 'proxy:3128' is not http://HOST:PORT or https://HOST:PORT",
    ),
    (MINIMAL + "nodes: a\n", "site.yaml:3: nodes: is the text 'a'; a list is needed"),
    (MINIMAL + "nodes: [5]\n", "site.yaml:3: nodes[0]: is the number 5; a table is needed; its k"),
    (
        MINIMAL + "nodes:\n  - a\n  - ssh://b@a\n",
        "site.yaml:5: nodes[1]: is named a, as nodes[0] is; each needs a name of its own",
    ),
    (
        MINIMAL + "nodes: ['ftp://a']\n",
        "site.yaml:3: nodes[0]: ftp:// is not a hostspec; allowed: local, ssh, docker, podman,",
    ),
    (
        MINIMAL + "nodes: ['ssh://u:hunter2@a']\n",
        "site.yaml:3: nodes[0]: the hostspec of u@a holds a password; use a key",
    ),
    (
        MINIMAL + "nodes: {from: clster}\n",
        "site.yaml:3: nodes.from: is the text 'clster'; did you mean cluster? allowed: cluster, in",
    ),
    (MINIMAL + "nodes: {from: cluster}\n", "site.yaml:3: nodes: from: cluster needs cluster.kub"),
    (MINIMAL + "nodes: {from: inventory}\n", "site.yaml:3: nodes: needs inventory: FILE with"),
    (
        MINIMAL + "nodes: {from: inventory, inventory: i, target: 'ssh://a'}\n",
        "site.yaml:3: nodes.target: 'ssh://a' needs {name} or {address}, and no other braces",
    ),
    (MINIMAL + "cluster: {kubeconfig: a, manifests: b}\n", "site.yaml:3: cluster: needs exactly"),
    (MINIMAL + "release:\n", "site.yaml:3: release: has no value; write {} for the defaults, or"),
    (MINIMAL + "dns: {pods: maybe}\n", "site.yaml:3: dns.pods: is the text 'maybe'; true or fal"),
    (MINIMAL + "dns: {resolvers: [a.b]}\n", "site.yaml:3: dns.resolvers: 'a.b' is not an IP addr"),
    (MINIMAL + "policy: {min_days_left: -1}\n", "site.yaml:3: policy.min_days_left: is the number"),
    (MINIMAL + "policy: {min_days_left: 1.5}\n", "site.yaml:3: policy.min_days_left: is the numbe"),
    (MINIMAL + "policy: {deadline_s: soon}\n", "site.yaml:3: policy.deadline_s: is the text 's"),
    (MINIMAL + "policy: {deadline_s: 0}\n", "site.yaml:3: policy.deadline_s: is the number 0;"),
    (MINIMAL + "policy: {deadline_s: .inf}\n", "site.yaml:3: policy.deadline_s: is the number inf"),
    (MINIMAL + "policy: {trust: OS}\n", "site.yaml:3: policy.trust: is the text 'OS'; allowed: re"),
    (
        MINIMAL + "waivers: [{check: A-B-001, reason: r, until: soon}]\n",
        "site.yaml:3: waivers[0].until: is the text 'soon'; a date is needed, YYYY-MM-DD",
    ),
    (MINIMAL + "services: ['a/b']\n", "site.yaml:3: services[0].host: 'a/b' is not HOST or HOST:P"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), ONE, ids=[line[10:60] for _, line in ONE])
def test_a_defect_is_one_line_with_its_place_and_what_would_be_right(
    tmp_path: Path, text: str | bytes, line: str
) -> None:
    (told,) = complaints(tmp_path, text)
    assert told[: len(line)] == line
    assert "pydantic" not in told


def test_every_defect_of_a_file_is_told_in_its_order(tmp_path: Path) -> None:
    text = (
        "version: 1\n"
        "registry:\n"
        "  hots: x\n"
        "  port: many\n"
        "polcy: {}\n"
        "dns: {pods: maybe, pods: true}\n"
        "phase: after\n"
    )
    assert [line.split(";")[0] for line in complaints(tmp_path, text)] == [
        "site.yaml:2: registry.host: is missing",
        "site.yaml:3: registry.hots: unknown key",
        "site.yaml:4: registry.port: is the text 'many'",
        "site.yaml:5: polcy: unknown key",
        "site.yaml:6: dns.pods: stands here and on line 6",
        "site.yaml:6: dns.pods: is the text 'maybe'",
        "site.yaml:7: phase: is the text 'after'",
    ]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    at=st.integers(0, len(EXAMPLE)),
    put=st.text(st.sampled_from("\t\n -:{}[]#'\"&*!<?|>%@`a1~é\x00"), max_size=6),
    drop=st.integers(0, 9),
)
def test_whatever_is_mistyped_the_file_loads_or_every_line_says_where(
    tmp_path: Path, at: int, put: str, drop: int
) -> None:
    try:
        load(tmp_path, EXAMPLE[:at] + put + EXAMPLE[at + drop :])
    except SiteError as refused:
        told = str(refused).splitlines()
        assert all(line.startswith(f"{tmp_path}/site.yaml:") for line in told)


def test_every_tab_is_told(tmp_path: Path) -> None:
    told = complaints(tmp_path, "version: 1\nregistry:\n\thost: x\n\tport: 1\n")
    assert [line.split(" ")[0] for line in told] == ["site.yaml:3:", "site.yaml:4:"]


def test_aliases_cannot_make_a_small_file_large(tmp_path: Path) -> None:
    rows = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    rows += [f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi")]  # noqa: B905 - pairs
    (told,) = complaints(tmp_path, "\n".join(rows))
    assert told.endswith("aliases make it hold more than 1000000 values")


def test_a_password_in_a_hostspec_is_not_repeated(tmp_path: Path) -> None:
    (told,) = complaints(tmp_path, MINIMAL + "nodes: ['ssh://u:hunter2@a']\n")
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none.yaml", "there is no such file"),
        (".", "is a folder; a YAML file is needed"),
        ("a\0b", "cannot be read: embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(SiteError) as refused:
        load_site(tmp_path / name)
    assert refused.value.why == why


def test_an_error_of_several_lines_crosses_a_process(tmp_path: Path) -> None:
    with pytest.raises(SiteError) as refused:
        load(tmp_path, "registry: {host: 5}\n")
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("cluster: {manifests: m, context: c}\n", "cluster.context: manifests have no context"),
        (
            "release: {}\n",
            "release: without cluster or release.chart nothing shows what it renders",
        ),
        (
            "cluster: {kubeconfig: k}\nnodes: {from: cluster, allow_exec: true}\n",
            "nodes.allow_exec: only an inventory is run",
        ),
        (
            "nodes: {from: inventory, inventory: i, target: 'ssh://{name}'}\n",
            "nodes.target: the inventory says how its hosts are reached",
        ),
    ],
)
def test_a_key_without_effect_is_a_note(tmp_path: Path, text: str, unread: str) -> None:
    assert load(tmp_path, MINIMAL + text).unread == (unread,)


def test_keys_of_the_registry_s_machine_need_its_hostspec(tmp_path: Path) -> None:
    keys = "storage: /s, key: /k, container: c, images_from: release, reload: container"
    text = f"version: 1\nregistry: {{host: x, {keys}}}\n"
    told = [each.partition(":")[0] for each in load(tmp_path, text).unread]
    assert told == [
        "registry.key",
        "registry.storage",
        "registry.container",
        "registry.reload",
        "registry.images_from",
    ]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("registry.local", "registry.local", 443),
        ("registry.local:5000", "registry.local", 5000),
        ("10.0.0.2:5000", "10.0.0.2", 5000),
        ("[::1]:5000", "::1", 5000),
        ("::1", "::1", 443),
    ],
)
def test_a_host_alone_is_a_site_of_one_registry(text: str, host: str, port: int) -> None:
    site = site_of_host(text, ca=None, address="[fd00::5]").site
    assert (site.registry.host, site.registry.port) == (host, port)
    assert site.registry.address == "fd00::5"


def test_a_host_alone_is_judged_with_this_machine_unless_its_ca_is_given() -> None:
    alone = site_of_host("a", ca=None, address=None).site
    assert alone.subjects(Scope.NODE) == ("node/local",)
    given = site_of_host("a", ca=Path("ca.crt"), address=None).site
    assert given.subjects(Scope.NODE) == ()
    assert given.registry.ca_file == "ca.crt"


@pytest.mark.parametrize(
    "text",
    ["", "https://a", "a/b", "a:0", "a:99999", "a:b", "a:b:c", "u@h", "a b", "[::1", "[a]:1"],
)
def test_an_unusable_host_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not"):
        site_of_host(text, ca=None, address=None)


def test_an_address_that_is_a_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'b' is not an IP address"):
        site_of_host("a", ca=None, address="b")


def test_only_a_ca_file_that_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    with pytest.raises(UsageError, match=r"ca\.crt cannot be opened: No such file"):
        check_ca_file(site_of_host("a", ca=path, address=None))
    with pytest.raises(UsageError, match="cannot be opened: Is a directory"):
        check_ca_file(site_of_host("a", ca=tmp_path, address=None))
    path.write_bytes(b"")
    check_ca_file(site_of_host("a", ca=path, address=None))
    check_ca_file(site_of_host("a", ca=None, address=None))


@pytest.mark.parametrize(
    ("text", "spec", "name"),
    [
        ("node-1", "ssh://node-1", "node-1"),
        ("Root@Node-1:22", "ssh://Root@Node-1:22", "Node-1"),
        ("fd00::5", "ssh://[fd00::5]", "fd00::5"),
        ("ssh://u@[fd00::5]:22", "ssh://u@[fd00::5]:22", "fd00::5"),
        ("ssh://a?ssh_config=/x/y", "ssh://a?ssh_config=/x/y", "a"),
        ("local", "local://", "local"),
        ("sudo+local://", "sudo+local://", "local"),
        ("sudo+ssh://u@a:22", "sudo+ssh://u@a:22", "a"),
        ("docker://My_Box", "docker://My_Box", "My_Box"),
        ("kubectl://pod?namespace=x", "kubectl://pod?namespace=x", "pod"),
        ("rootdir://./roots/rhel/", "rootdir://./roots/rhel/", "rhel"),
        ("rootdir:///", "rootdir:///", "root"),
    ],
)
def test_a_hostspec_is_a_url_and_has_a_name(text: str, spec: str, name: str) -> None:
    assert normal_hostspec(text) == spec
    assert hostspec_name(spec) == name


@pytest.mark.parametrize("spec", ["local://", "ssh://ops@a:22"])
def test_a_node_by_sudo_is_the_same_in_either_spelling(spec: str) -> None:
    short = Node.model_validate(f"sudo+{spec}")
    assert short == Node.model_validate({"target": spec, "sudo": True})


@pytest.mark.parametrize(
    "text",
    ["", "a b", "ssh://", "docker://", "a\nb", "ssh://a:x", "foo://a", "sudo+foo://a"],
)
def test_what_is_no_hostspec_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not|nothing"):
        normal_hostspec(text)


def test_host_and_port_are_split_by_the_last_colon_outside_of_brackets() -> None:
    assert split_host_port("a:1") == ("a", 1)
    assert split_host_port("[::1]") == ("::1", None)
    assert split_host_port("fd00::5") == ("fd00::5", None)


def test_the_reference_page_is_what_the_models_say() -> None:
    """Anew: python -m gapcheck.site_schema > docs/site-file.md."""
    assert PAGE.read_text() == render_site_reference()


def test_the_example_of_the_reference_page_loads_and_leaves_no_key_unread(tmp_path: Path) -> None:
    loaded = load(tmp_path, EXAMPLE)
    assert loaded.unread == ()
    written = loaded.site.model_dump(by_alias=True, exclude_unset=True)
    assert written.keys() == Site.model_fields.keys()


@pytest.mark.parametrize("source", ["cluster", "inventory"])
def test_the_commented_forms_of_the_example_load_too(tmp_path: Path, source: str) -> None:
    block = EXAMPLE[EXAMPLE.index(f"# nodes:\n#   from: {source}") :]
    lines = [row[2:] for row in block.split("\n\n")[0].splitlines()]
    end = next((at for at, row in enumerate(lines) if at and row.startswith("nodes:")), None)
    text = "\n".join(lines[:end]) + "\n"
    nodes = load(tmp_path, f"{MINIMAL}{text}cluster: {{kubeconfig: k}}\n").site.nodes
    assert isinstance(nodes, NodesFrom)
    assert nodes.source == source


def test_the_schema_describes_every_key_and_the_short_forms() -> None:
    schema = json.loads(schema_json())
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["version", "registry"]
    assert schema["$defs"]["Node"]["anyOf"][0]["type"] == "string"
    assert "from" in schema["$defs"]["NodesFrom"]["properties"]
    tables = [d.get("anyOf", [d])[-1] for d in schema["$defs"].values()]
    assert all("description" in key for t in tables for key in t["properties"].values())


def test_loading_the_loader_imports_neither_pydantic_nor_a_yaml_reader() -> None:
    program = "import gapcheck.site_file, sys; print([m for m in sys.modules if m in %r])"
    heavy = ("pydantic", "ruamel.yaml", "cryptography", "kubernetes", "requests")
    done = subprocess.run(
        [sys.executable, "-c", program % (heavy,)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
