"""An API server that keeps objects, over real TLS: versions, conflicts and merge patches."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.apiserver import kubeconfig, status
from support.certs import authority, issue

Json = dict[str, Any]
_LISTED = ("/api/v1/nodes", "/api/v1/pods")
_WITH_GENERATION = ("deployments", "statefulsets", "daemonsets", "cronjobs")


@dataclass
class ObjectApi:
    """`objects` by path; `denied` are (verb, plural) that are forbidden.

    `requests` are (verb, path) as they came; without `reviews` nobody is told beforehand.
    `evictions` are answers to evictions by the pod's name, 201 (it is gone at once) for others.
    While `stuck`, no new pod of a workload gets ready.
    """

    kubeconfig: Path
    objects: dict[str, Json] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    count: int = 100
    requests: list[tuple[str, str]] = field(default_factory=list)
    reviews: bool = True
    evictions: dict[str, int] = field(default_factory=dict)
    stuck: bool = False

    def denies(self, verb: str, plural: str) -> bool:
        """Whether the account may not do `verb`, as RBAC or as HTTP calls it."""
        methods = {"create": "POST", "update": "PUT", "patch": "PATCH", "get": "GET"}
        return (methods.get(verb, verb.upper()), plural) in self.denied

    def listed(self, path: str) -> list[Json]:
        """Every object of the kind that `path` lists, of all namespaces."""
        kind = path.rpartition("/")[2]
        return [body for at, body in self.objects.items() if at.split("/")[-2] == kind]

    def evict(self, path: str) -> tuple[int, Json]:
        """Delete the pod at once, or say what `evictions` has for it."""
        answer = self.evictions.get(path.rpartition("/")[2], 201)
        if answer == 201:
            del self.objects[path]
        return answer, status(answer, "the budget web needs it") if answer > 299 else {}

    def put(self, path: str, body: Json) -> Json:
        """Keep `body` at `path` as a new object."""
        self.count += 1
        metadata = {**body.get("metadata", {}), "uid": f"uid-{self.count}"}
        made = {**body, "metadata": metadata}
        return self.kept(path, made)

    def kept(self, path: str, body: Json) -> Json:
        """Keep `body` at `path` as its next version."""
        self.count += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.count)}
        old = self.objects.get(path)
        if path.split("/")[-2] in _WITH_GENERATION:
            generation = old["metadata"]["generation"] if old else 0
            changed = old is None or old.get("spec") != body.get("spec")
            metadata["generation"] = generation + changed
            status = ready(body, metadata["generation"])
            body = {**body, "status": {**status, "availableReplicas": 0} if self.stuck else status}
        self.objects[path] = {**body, "metadata": metadata}
        return self.objects[path]


def ready(body: Json, generation: int) -> Json:
    """The status of a workload all of whose pods are there."""
    wanted = body.get("spec", {}).get("replicas", 1)
    return {
        "observedGeneration": generation,
        "updatedReplicas": wanted,
        "availableReplicas": wanted,
    }


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._handle()

    def __getattr__(self, name: str) -> Any:
        """Every other verb is handled as GET is."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null")
        path = urlsplit(self.path).path
        api: ObjectApi = self.server.api  # type: ignore[attr-defined] # set by object_api
        api.requests.append((self.command, path))
        plural = path.split("/")[-1 if self.command == "POST" else -2]
        if (self.command, plural) in api.denied:
            self._send(403, status(403))
            return
        self._send(*getattr(self, f"_{self.command.lower()}")(api, path, body))

    def _get(self, api: ObjectApi, path: str, _: Json) -> tuple[int, Json]:
        if path in _LISTED:
            return 200, {"items": [e for e in api.listed(path) if self._is_asked_for(e)]}
        found = api.objects.get(path)
        return (200, found) if found else (404, status(404))

    def _is_asked_for(self, body: Json) -> bool:
        """Whether the field selector, which can only name a pod's node, takes it."""
        selector = parse_qs(urlsplit(self.path).query).get("fieldSelector", [""])[0]
        node = selector.removeprefix("spec.nodeName=")
        return not node or body["spec"].get("nodeName") == node

    def _post(self, api: ObjectApi, path: str, body: Json) -> tuple[int, Json]:
        if path.endswith("/selfsubjectaccessreviews"):
            if not self.server.api.reviews:  # type: ignore[attr-defined] # set by object_api
                return 404, status(404)
            asked = body["spec"]["resourceAttributes"]
            return 201, {"status": {"allowed": not api.denies(asked["verb"], asked["resource"])}}
        if path.endswith("/eviction"):
            return api.evict(path.removesuffix("/eviction"))
        path = f"{path}/{body['metadata']['name']}"
        if path in api.objects:
            return 409, status(409, "already exists")
        return 201, api.put(path, body)

    def _put(self, api: ObjectApi, path: str, body: Json) -> tuple[int, Json]:
        old = api.objects[path]
        if body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
            return 409, status(409, "the object has been modified")
        metadata = {**body["metadata"], "uid": old["metadata"]["uid"]}
        return 200, api.kept(path, {**body, "metadata": metadata})

    def _patch(self, api: ObjectApi, path: str, body: Json) -> tuple[int, Json]:
        old = api.objects[path]
        version = body.get("metadata", {}).get("resourceVersion")
        if version not in (None, old["metadata"]["resourceVersion"]):
            return 409, status(409, "the object has been modified")
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        return 200, api.kept(path, merged(old, body))

    def _delete(self, api: ObjectApi, path: str, _: Json) -> tuple[int, Json]:
        return (200, api.objects.pop(path)) if path in api.objects else (404, status(404))

    def _send(self, code: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's own output is what counts."""


@contextmanager
def object_api(folder: Path) -> Iterator[ObjectApi]:
    """A server that keeps objects, and a kubeconfig for it in `folder`."""
    ca = authority("kubernetes")
    leaf = issue(common_name="kube-apiserver", san=("127.0.0.1",), by=ca)
    (folder / "api.pem").write_bytes(leaf.pem + leaf.key_pem)
    (folder / "api-ca.crt").write_bytes(ca.pem)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "api.pem")
    httpd.socket = context.wrap_socket(
        httpd.socket, server_side=True, do_handshake_on_connect=False
    )
    api = ObjectApi(kubeconfig(folder, httpd.server_address[1]))
    httpd.api = api  # type: ignore[attr-defined] # the handler finds it there
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
