"""The site file described from its own models: JSON Schema for editors, the reference page.

`python -m gapcheck.site_schema > docs/site-file.md` writes the page anew.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from gapcheck.site import Part

EXAMPLE = """\
# Everything but version and registry.host may be left out.
version: 1
name: plant-7                        # shown in reports

registry:
  host: registry.local               # as image references write it; :PORT may follow
  port: 443
  address: 10.0.0.2                  # dialled instead of resolving the name
  ca_file: ca.crt                    # what clients are given; absent = this machine's store
  target: ssh://root@10.0.0.2        # the machine that holds the registry's files
  certificate: /certs/registry.crt   # there
  key: /certs/registry.key           # there; only its mode and public half are read
  issuer:                            # signs a reissued certificate; or: external
    certificate: issuer/ca.crt
    key: issuer/ca.key               # made here, mode 0600, if absent
  storage: /srv/registry             # there; its free room is judged
  container: registry                # there, by the Docker API
  reload: container                  # what loads a new pair: none, container, unit:NAME
  auth:
    username_env: REGISTRY_USER      # secrets only by reference
    password_file: registry.password
  images:
    - registry.local/coderenvs/coder-service:1.44.3
  images_from: release               # and every image that the release renders

nodes:                               # a list, or a table with `from`
  - node-1                           # short for ssh://node-1
  - target: ssh://admin@10.0.0.12:2222
    name: node-2
    sudo: true
  - target: rootdir://./golden-image # an image root being baked
    image_root: true
# nodes:
#   from: cluster                    # every schedulable Node object
#   selector: "!node.kubernetes.io/exclude"
#   target: ssh://root@{address}     # {name} and {address} are filled in
# nodes:
#   from: inventory                  # an Ansible inventory, read as data
#   inventory: hosts.ini
#   selector: workers:!staging       # groups and hosts, as `ansible` takes them

cluster:
  kubeconfig: ~/.kube/config         # or manifests: DIR, a folder of rendered YAML
  context: plant-7

release:
  name: coder
  namespace: coder
  profile: coder-v1                  # coder-v1, coder-v2 or generic
  secret:
    name: local-registry-cert
    key: registry.crt
  values:
    - values.yaml                    # in the order of helm's -f

dns:
  expected: 10.0.0.2                 # default: registry.address
  resolvers: [10.0.0.53, "[fd00::53]:53"]
  pods: true

services:                            # other HTTPS hosts that pods must trust
  - git.local
  - host: login.local:8443
    address: 10.0.0.9

policy:
  min_days_left: 30
  min_free_bytes: 10_000_000_000
  max_clock_skew_s: 60
  trust: registry                    # where a repair puts the CA: registry, os, both
  ca_overlap_days: 7
  probe_timeout_s: 20s
  deadline_s: 10m
  max_parallel: 64
  max_risk: restart                  # safe, restart or outage
  certificate_days: 365

waivers:
  - check: REG-RUN-001
    subject: registry                # a shell glob, as is locus
    reason: restarted by the night shift until the new host is there
    owner: a.person
    until: 2027-01-31                # the last day it counts

phase: installed                     # pre: the release need not be there yet
"""

_INTRO = """\
# The site file

`site.yaml` says what a site consists of and what is good enough there.
`gapcheck init` writes one from what it can discover, `gapcheck schema site` prints its JSON Schema.

A key that does not exist, a key that stands twice, a value of the wrong kind: each is an error with
its line, the key, and what would be allowed. All of a file's errors are reported at once, nothing
is measured before they are repaired, and the exit code is 4.
A key that is allowed but has no effect beside the others is a printed note.

Paths are relative to the folder of the site file; `~` is the user's home.
Passwords never stand in it: `auth` names an environment variable or a file.
Anchors, aliases and `<<` may be used inside the tables.

## Example

The example shows every table; real site files are shorter.

```yaml
"""

_AFTER_EXAMPLE = """\
```

## Hostspecs

A machine is named by a URL; a bare `HOST` means `ssh://HOST`.

| hostspec | machine |
| --- | --- |
| `local://` | this machine |
| `ssh://user@host:port` | over OpenSSH; `?ssh_config=FILE`, `?ssh_identity_file=FILE` |
| `docker://NAME`, `podman://NAME` | a container |
| `kubectl://POD?namespace=NS` | a pod |
| `rootdir:///abs`, `rootdir://./rel` | the root of an image |
| `agent://NODE` | a pod on that node |

IPv6 addresses stand in brackets: `ssh://root@[fd00::5]:22`.
`sudo+local://` and `sudo+ssh://...` mean `sudo: true`: run by `sudo -n`, which asks no password.
Other backends of testinfra are accepted for reading only. A password in a hostspec is refused.

## Inventories

INI and YAML inventories are read by Ansible's rules for ranges (`node[01:10]`), groups, children
and precedence, with `group_vars/` and `host_vars/` beside the file where they are plain YAML.
`ansible_host`, `ansible_port`, `ansible_user`, `ansible_connection`, `ansible_become` and
`ansible_ssh_private_key_file` make the hostspec; nothing is templated, so `{{` in one of them is an
error with its line. A program is run, as `PROGRAM --list`, only with `allow_exec: true`.

## Keys
"""


def schema_json() -> str:
    """JSON Schema of the site file, descriptions included, with a final newline left off."""
    from gapcheck.site import Node, Service, Site

    schema = Site.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "gapcheck site file, version 1"
    for part in (Node, Service):
        table = schema["$defs"][part.__name__]
        text = {"type": "string", "description": f"Short for a table with only {part.text_is}."}
        schema["$defs"][part.__name__] = {"anyOf": [text, table]}
    return json.dumps(schema, indent=2)


def render_site_reference() -> str:
    """The reference page of the site file, Markdown."""
    return "".join((_INTRO, EXAMPLE, _AFTER_EXAMPLE, *_tables()))


def _tables() -> Iterator[str]:
    from gapcheck.site import Site

    seen: set[type[Part]] = set()
    waiting: list[tuple[str, type[Part]]] = [("", Site)]
    while waiting:
        where, part = waiting.pop(0)
        if part in seen:
            continue
        seen.add(part)
        yield f"\n### {where or 'The file itself'}\n\n{(part.__doc__ or '').splitlines()[0]}\n\n"
        yield "| key | value | default | meaning |\n| --- | --- | --- | --- |\n"
        for name, info in part.model_fields.items():
            key = info.alias or name
            yield _row(key, info)
            inner = f"{where}.{key}" if where else key
            for below in _parts(info.annotation):
                form = "from" if below.__name__ == "NodesFrom" else ""
                waiting.append((f"{inner} (with `{form}`)" if form else inner, below))


def _row(key: str, info: FieldInfo) -> str:
    default = "required" if info.is_required() else _default(info.get_default())
    kind = " or ".join(dict.fromkeys(_kinds(info.annotation)))
    cells = (f"`{key}`", kind, default, info.description or "")
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |\n"


def _default(value: object) -> str:
    if value is None or value in ((), ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, str | int | float) else "as below"


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _kinds(wanted: Any) -> Iterator[str]:  # noqa: ANN401 - an annotation
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        for each in typing.get_args(wanted):
            yield from _kinds(each)
    elif origin is typing.Annotated:
        yield from _kinds(typing.get_args(wanted)[0])
    elif origin is typing.Literal:
        yield ", ".join(f"`{each}`" for each in typing.get_args(wanted))
    elif origin is tuple:
        yield f"list of {' or '.join(_kinds(typing.get_args(wanted)[0]))}"
    elif wanted in _WORDS:
        yield _WORDS[wanted]
    elif wanted is not type(None):
        yield _named(wanted)


def _named(kind: type) -> str:
    from gapcheck.site import Part

    if not issubclass(kind, Part):
        return "date"
    return "text or table" if kind.text_is else "table"


def _parts(wanted: Any) -> Iterator[type[Part]]:  # noqa: ANN401 - an annotation
    from gapcheck.site import Part

    if isinstance(wanted, type) and issubclass(wanted, Part):
        yield wanted
    for each in typing.get_args(wanted):
        yield from _parts(each)


if __name__ == "__main__":
    sys.stdout.write(render_site_reference())
