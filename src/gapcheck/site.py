"""The site file: what the operator says about the site, checked key by key.

A typo is an error with file, line and the allowed keys, never a silent default. Loading is
in `site_file`; this module is the shape alone.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gapcheck.hostspec import (
    SUDO,
    bare_host,
    hostspec_name,
    ip_text,
    normal_hostspec,
    split_host_port,
)
from gapcheck.model import (
    CLUSTER,
    DNS,
    NODES,
    REGISTRY,
    RELEASE,
    SITE,
    Scope,
    SubjectId,
    node_subject,
    service_subject,
)


class Part(BaseModel):
    """A table of the site file: unknown keys are errors, values never change afterwards.

    `text_is` names the key that a plain text stands for, where a text may stand for the table.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )
    text_is: ClassVar[str] = ""


class Auth(Part):
    """Credentials by reference only: environment variables, or a file that holds the password."""

    username: str | None = Field(None, description="User name, where it is not a secret.")
    username_env: str | None = Field(None, description="Environment variable with the user name.")
    password_env: str | None = Field(None, description="Environment variable with the password.")
    password_file: str | None = Field(None, description="File whose first line is the password.")

    @model_validator(mode="after")
    def _one_of_each(self) -> Auth:
        if not (self.username or self.username_env):
            msg = "needs username or username_env"
            raise ValueError(msg)
        if bool(self.password_env) == bool(self.password_file):
            msg = "needs exactly one of password_env and password_file"
            raise ValueError(msg)
        return self


class Issuer(Part):
    """The CA that signs a reissued registry certificate; its key stays on this machine."""

    certificate: str = Field(description="CA certificate (PEM), made if absent.")
    key: str = Field(description="CA private key (PEM, mode 0600), made if absent.")


def _issuer_form(value: object) -> str:
    return "<pair>" if isinstance(value, dict | Issuer) else "<external>"


IssuerForm = Annotated[
    Annotated[Issuer, Tag("<pair>")] | Annotated[Literal["external"], Tag("<external>")],
    Discriminator(_issuer_form),
]


class Registry(Part):
    """The private registry."""

    host: str = Field(description="Name as image references write it, without the port.")
    port: int = Field(443, ge=1, le=65535, description="Port of the registry API.")
    address: str | None = Field(None, description="Address to dial instead of resolving the name.")
    ca_file: str | None = Field(
        None, description="PEM file with the CA that clients are given; absent = system store."
    )
    target: str | None = Field(
        None, description="Hostspec of the machine that holds the registry's files."
    )
    certificate: str | None = Field(None, description="Served certificate file on that machine.")
    key: str | None = Field(None, description="Its private key there.")
    issuer: IssuerForm | None = Field(
        None, description="Who reissues: a CA pair here, or `external` (only a CSR is written)."
    )
    storage: str | None = Field(None, description="Directory on that machine where images lie.")
    container: str | None = Field(None, description="Name of the registry's container there.")
    reload: str = Field("none", description="What loads a new pair: none, container, unit:NAME.")
    auth: Auth | None = Field(None, description="Credentials for the API, by reference.")
    proxy: str | None = Field(None, description="HTTPS proxy for the API; none is used otherwise.")
    images: tuple[str, ...] = Field((), description="Image references the site needs.")
    images_from: Literal["release"] | None = Field(
        None, description="`release`: every image the release renders is needed too."
    )

    @model_validator(mode="before")
    @classmethod
    def _split_port(cls, data: object) -> object:
        if not isinstance(data, dict) or not isinstance(data.get("host"), str):
            return data
        host, port = split_host_port(data["host"].strip())
        if port is None:
            return {**data, "host": host}
        if data.get("port") not in (None, port):
            msg = f"host says port {port}, port says {data['port']}"
            raise ValueError(msg)
        return {**data, "host": host, "port": port}

    @field_validator("host")
    @classmethod
    def _host_is_bare(cls, host: str) -> str:
        return bare_host(host).lower()  # image references and certs.d folders are lower case

    @field_validator("address")
    @classmethod
    def _address_is_ip(cls, address: str | None) -> str | None:
        return None if address is None else ip_text(address)

    @field_validator("reload")
    @classmethod
    def _reload_is_known(cls, reload: str) -> str:
        if reload in ("none", "container") or reload.removeprefix("unit:") not in (reload, ""):
            return reload
        msg = f"is {reload!r}; allowed: none, container, unit:NAME"
        raise ValueError(msg)

    @field_validator("target")
    @classmethod
    def _target_is_hostspec(cls, target: str | None) -> str | None:
        return None if target is None else normal_hostspec(target)

    @field_validator("proxy")
    @classmethod
    def _proxy_holds_no_secret(cls, proxy: str | None) -> str | None:
        if proxy is None:
            return None
        parts = urlsplit(proxy)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"{parts.hostname or proxy!r} is not http://HOST:PORT or https://HOST:PORT"
            raise ValueError(msg)
        if parts.password is not None:
            msg = "holds a password; a site file names secrets only by reference"
            raise ValueError(msg)
        return proxy

    @property
    def netloc(self) -> str:
        """host[:port] as an image reference and a certs.d directory write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"  # noqa: PLR2004 - HTTPS


class Node(Part):
    """A machine that pulls images."""

    text_is: ClassVar[str] = "target"

    target: str = Field(description="Hostspec: local://, ssh://u@h:p, docker://c, rootdir://DIR.")
    name: str = Field("", description="Name in reports; default: the host part of the hostspec.")
    sudo: bool = Field(default=False, description="Run the probe and repairs by sudo -n.")
    runtime: Literal["containerd", "docker", "cri-o"] | None = Field(
        None, description="Container runtime, where the node itself does not show it."
    )
    image_root: bool = Field(
        default=False, description="An image being baked: no runtime state expected."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        data = {"target": data} if isinstance(data, str) else data
        if isinstance(data, dict) and isinstance(data.get("target"), str):
            spec = normal_hostspec(data["target"].strip())
            by_sudo = {"sudo": True} if spec.startswith(SUDO) else {}
            name = data.get("name") or hostspec_name(spec)
            return {**data, "target": spec.removeprefix(SUDO), "name": name, **by_sudo}
        return data


class NodesFrom(Part):
    """Nodes found by asking: the cluster's Node objects, or an Ansible inventory."""

    source: Literal["cluster", "inventory"] = Field(alias="from", description="Where from.")
    selector: str = Field("", description="Label selector (cluster) or group (inventory).")
    inventory: str | None = Field(None, description="Inventory file, read as data.")
    allow_exec: bool = Field(default=False, description="Allow an executable inventory to be run.")
    target: str = Field("ssh://{name}", description="Hostspec pattern; {name} and {address}.")
    sudo: bool = Field(default=False, description="Run the probe by sudo -n on each.")
    model_config = ConfigDict(populate_by_name=True)

    @field_validator("target")
    @classmethod
    def _pattern_differs_by_node(cls, target: str) -> str:
        rest = target.replace("{name}", "").replace("{address}", "")
        if rest == target or "{" in rest or "}" in rest:
            msg = f"{target!r} needs {{name}} or {{address}}, and no other braces"
            raise ValueError(msg)
        return normal_hostspec(target)

    @model_validator(mode="after")
    def _inventory_is_named(self) -> NodesFrom:
        if (self.source == "inventory") != bool(self.inventory):
            msg = "needs inventory: FILE with `from: inventory`, and only there"
            raise ValueError(msg)
        return self


def _nodes_form(value: object) -> str:
    return "<from>" if isinstance(value, dict | NodesFrom) else "<list>"


NodesForm = Annotated[
    Annotated[tuple[Node, ...], Tag("<list>")] | Annotated[NodesFrom, Tag("<from>")],
    Discriminator(_nodes_form),
]


class Cluster(Part):
    """The cluster: a kubeconfig, or a folder of rendered manifests."""

    kubeconfig: str | None = Field(None, description="Path of a kubeconfig file.")
    context: str | None = Field(None, description="Context in it; default: the current one.")
    manifests: str | None = Field(None, description="Folder of rendered YAML; fixes edit it.")

    @model_validator(mode="after")
    def _one_source(self) -> Cluster:
        if bool(self.kubeconfig) == bool(self.manifests):
            msg = "needs exactly one of kubeconfig and manifests"
            raise ValueError(msg)
        return self


class SecretRef(Part):
    """The secret with the registry's CA."""

    name: str = Field("local-registry-cert", description="Name of the secret.")
    key: str = Field("registry.crt", description="Key in it that holds the CA certificate.")


class Release(Part):
    """The product's Helm release."""

    name: str = Field("coder", description="Release name.")
    namespace: str = Field("coder", description="Its namespace.")
    profile: Literal["coder-v1", "coder-v2", "generic"] = Field(
        "coder-v1", description="Which value keys the chart has."
    )
    secret: SecretRef | None = Field(None, description="Secret with the CA that pods mount.")
    values: tuple[str, ...] = Field((), description="Values files, in the order of -f.")
    chart: str | None = Field(
        None,
        description="Chart (folder or .tgz): judged before an install; a fix upgrades with it.",
    )


class Dns(Part):
    """How the registry's name is to be answered."""

    expected: str | None = Field(None, description="Expected address; default registry.address.")
    resolvers: tuple[str, ...] = Field((), description="DNS servers to ask, address[:port].")
    pods: bool = Field(default=True, description="Whether pods must resolve the name too.")

    @field_validator("expected")
    @classmethod
    def _expected_is_ip(cls, expected: str | None) -> str | None:
        return None if expected is None else ip_text(expected)

    @field_validator("resolvers")
    @classmethod
    def _resolvers_are_addresses(cls, resolvers: tuple[str, ...]) -> tuple[str, ...]:
        for each in resolvers:
            ip_text(split_host_port(each)[0])
        return resolvers


class Service(Part):
    """Another HTTPS service that pods must trust (OIDC, Git)."""

    text_is: ClassVar[str] = "host"
    host: str = Field(description="host[:port].")
    address: str | None = Field(None, description="Address to dial instead of resolving.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        return {"host": data} if isinstance(data, str) else data

    @field_validator("host")
    @classmethod
    def _host_is_bare(cls, host: str) -> str:
        bare_host(split_host_port(host)[0])
        return host

    @field_validator("address")
    @classmethod
    def _address_is_ip(cls, address: str | None) -> str | None:
        return None if address is None else ip_text(address)

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port, 443 where none is given."""
        host, port = split_host_port(self.host)
        return host, port or 443


def _duration_s(value: object) -> object:
    units = {"s": 1, "m": 60, "h": 3600}
    if isinstance(value, str) and value[-1:] in units and value[:-1].replace(".", "", 1).isdigit():
        return float(value[:-1]) * units[value[-1]]
    return value


Seconds = Annotated[
    float,
    BeforeValidator(_duration_s),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9.]+[smh]$"}]}
    ),
]


class Policy(Part):
    """What is good enough, and how far a run may go."""

    min_days_left: int = Field(30, ge=0, description="Renewal window of certificates, days.")
    min_free_bytes: int = Field(10**10, ge=0, description="Room for images, bytes (10 GB).")
    max_clock_skew_s: float = Field(60, ge=0, description="Clock difference allowed, seconds.")
    trust: Literal["registry", "os", "both"] = Field(
        "registry", description="Where a repair puts the CA: per-registry store, OS store, both."
    )
    ca_overlap_days: int = Field(7, ge=0, description="How long an old CA stays beside a new one.")
    probe_timeout_s: Seconds = Field(20.0, gt=0, description="Deadline of one probe, seconds.")
    deadline_s: Seconds | None = Field(None, gt=0, description="Deadline of a whole run, seconds.")
    max_parallel: int = Field(
        64,
        ge=1,
        le=1024,
        description="Targets measured at a time, and nodes of a batch changed at a time.",
    )
    max_risk: Risk = Field("restart", description="Costliest repair that a fix may do.")
    history_days: int = Field(
        400, ge=0, le=36_500, description="How long runs are remembered, days; 0 = not at all."
    )
    certificate_days: int = Field(365, ge=1, le=398, description="Life of a reissued leaf, days.")


Risk = Literal["safe", "restart", "outage"]
Policy.model_rebuild()


def how_to_render(release: Release) -> str:
    """What a person does so that the objects of a chart can be judged before an install."""
    files = "".join(f" -f {each}" for each in release.values)
    return (
        f"helm template {release.name} {release.chart or 'CHART'} -n {release.namespace}{files} "
        "--output-dir rendered, then name that folder as cluster.manifests"
    )


class Waiver(Part):
    """A finding that is accepted for a time."""

    check: str = Field(description="Check id.")
    subject: str = Field("*", description="Subject, as a shell glob.")
    locus: str = Field("*", description="File, image or object inside it, as a shell glob.")
    reason: str = Field(min_length=1, description="Why it is accepted.")
    owner: str = Field("", description="Who accepted it.")
    until: dt.date = Field(description="Last day it counts, YYYY-MM-DD.")


class Site(Part):
    """The whole site file, version 1."""

    version: Literal[1] = Field(description="Version of this format.")
    name: str = Field("", description="Name of the site in reports.")
    registry: Registry = Field(description="The private registry.")
    nodes: NodesForm = Field((), description="Machines that pull images.")
    cluster: Cluster | None = Field(None, description="Kubeconfig or folder of manifests.")
    release: Release | None = Field(None, description="The product's Helm release.")
    dns: Dns = Field(Dns(), description="Expected answers.")
    services: tuple[Service, ...] = Field((), description="Other HTTPS services pods must trust.")
    policy: Policy = Field(Policy(), description="Limits and thresholds.")
    waivers: tuple[Waiver, ...] = Field((), description="Accepted findings.")
    phase: Literal["pre", "installed"] = Field(
        "installed", description="pre: the release is not expected to be there yet."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> Site:
        _refuse_twice("nodes", [node.name for node in self.node_list])
        _refuse_twice("services", [service.host for service in self.services])
        asks_cluster = isinstance(self.nodes, NodesFrom) and self.nodes.source == "cluster"
        if asks_cluster and not (self.cluster and self.cluster.kubeconfig):
            why = "from: cluster needs cluster.kubeconfig, to ask for the Node objects"
            raise PydanticCustomError("elsewhere", why, {"at": ("nodes",)})
        return self

    @property
    def node_list(self) -> tuple[Node, ...]:
        """The nodes, () while they are still to be discovered."""
        return () if isinstance(self.nodes, NodesFrom) else self.nodes

    @property
    def expected_address(self) -> str | None:
        """The address every resolver should give for the registry; None = unknown."""
        return self.dns.expected or self.registry.address

    @property
    def ca_secret(self) -> SecretRef:
        """The secret with the CA, the guide's own name where the site says nothing."""
        return (self.release and self.release.secret) or SecretRef()

    def subjects(self, scope: Scope) -> tuple[SubjectId, ...]:
        """Every subject of `scope` that this site has; nothing is asked for it."""
        found: dict[Scope, tuple[SubjectId, ...]] = {
            Scope.SITE: (SITE,),
            Scope.REGISTRY: (REGISTRY,),
            Scope.CLUSTER: (CLUSTER,) if self.cluster else (),
            Scope.NODE: tuple(node_subject(node.name) for node in self.node_list),
            Scope.NODES: (NODES,) if self.nodes else (),
            Scope.RELEASE: (RELEASE,) if self.release else (),
            Scope.DNS: (DNS,),
            Scope.SERVICE: tuple(service_subject(service.host) for service in self.services),
        }
        return found[scope]


def _refuse_twice(key: str, names: list[str]) -> None:
    """Raise an error at the second of two equal names; its `at` is the key path of that."""
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            why = "is named {name}, as {key}[{first}] is; each needs a name of its own"
            told = {"at": (key, index), "key": key, "name": name, "first": seen[name]}
            raise PydanticCustomError("elsewhere", why, told)
        seen[name] = index
