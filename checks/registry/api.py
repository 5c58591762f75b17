"""Whether a registry answers behind the port, and whether it lets the site in."""

from __future__ import annotations

from gapcheck.checks.tls_words import demand
from gapcheck.fixtures.facts import AuthFact, HttpFact, Unreadable, require
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_OK, _UNAUTHORIZED = 200, 401
_REFUSED = (400, 403, 495, 496)  # nginx: 400 outside, 495 and 496 in its own log
_MEANINGS = {
    400: "bad request: with an empty body, the registry's htpasswd file is gone",
    403: "forbidden: a proxy or firewall stands in front",
    404: "not found: another web server or another virtual host answers",
    429: "too many requests",
    502: "bad gateway: the proxy in front does not reach the registry",
    503: "service unavailable: the registry's storage check fails, or a proxy has no backend",
    504: "gateway timeout: the proxy in front does not reach the registry",
}


@check(
    "REG-API-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("REG-NET-001", "REG-HTTP-001"),
    source=Source(step=2, fault=("R03",)),
    manual="another program answers there, or the registry is ill: compare the answer shown with "
    "its log (docker logs), and publish the right port or repair the proxy in front.",
)
def registry_api_answers(view: RegistryView) -> Judgement:
    """GET /v2/ is answered as by a registry: 200, or 401 where a login is needed."""
    tls = view.facts.tls
    error = tls.error if tls.stage != "done" else demand(tls)
    if isinstance(view.facts.api, Unreadable) and error:
        yield Finding(
            problem=f"no request could be made: the TLS handshake ends with {error}",
            evidence=(Evidence("handshake", error, tls.peer),),
            consequence="no client gets an answer from the API",
            because=(CheckId("REG-TLS-001"),),
        )
        return
    answer = require(view.facts.api, "the answer to GET /v2/", view.subject)
    kind = answer.headers.get("content-type", "none")
    seen = Evidence("GET /v2/", f"{answer.status}, content type {kind}", answer.url)
    yield seen
    if answer.status in (_OK, _UNAUTHORIZED) and not _is_page(answer):
        return
    yield Finding(
        problem=_problem(answer, asks_certificate=tls.asks_certificate),
        evidence=(seen, Evidence("body", answer.body[:200] or "empty", answer.url)),
        consequence="every pull fails: the client takes the answer for an error of the registry",
        remedy_hint="find what answers there, by its headers and body",
        locus=answer.url,
    )


def _is_page(answer: HttpFact) -> bool:
    """Whether the answer is a web page: no registry sends one."""
    return "html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == "<"


def _problem(answer: HttpFact, *, asks_certificate: bool) -> str:
    if answer.status in (_OK, _UNAUTHORIZED):
        return f"{answer.url} is answered with a web page ({answer.status}), not by a registry"
    if asks_certificate and answer.status in _REFUSED:
        return (
            f"{answer.url} is answered with {answer.status} to a client without a certificate: "
            "the TLS server in front demands one"
        )
    where = answer.headers.get("location")
    if where:
        return f"{answer.url} is answered with {answer.status}, a redirect to {where}"
    meaning = _MEANINGS.get(answer.status, "no answer of a registry")
    return f"{answer.url} is answered with {answer.status}, {meaning}"


@check(
    "REG-AUTH-001",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    after=("REG-API-001",),
    source=Source(step=2, fault=("R05", "R06", "R22")),
    manual="gapcheck has no password to give: name a login that works under registry.auth (by "
    "environment variable or file), and give nodes and pods the same as a pull secret.",
)
def registry_lets_the_site_in(view: RegistryView) -> Judgement:
    """The registry needs no login, or accepts the one that the site file names."""
    auth = require(view.facts.auth, "the registry's login", view.subject)
    asked = f"{auth.scheme} {auth.realm} {auth.service}".strip()
    yield Evidence("login", asked, "WWW-Authenticate")
    if auth.scheme == "none" or auth.accepted == "yes":
        return
    yield Finding(
        problem=_refused(view, auth),
        evidence=(Evidence("login", f"{asked}: {auth.detail}", "GET /v2/"),),
        consequence="pulls fail: 401 Unauthorized, or `no basic auth credentials`",
        remedy_hint="name a login under registry.auth that the registry accepts",
        locus="login",
        because=tuple(map(CheckId, ("REG-TLS-002", "REG-TLS-001")))
        if _held_back(view, auth)
        else (),
    )


def _held_back(view: RegistryView, auth: AuthFact) -> bool:
    """Whether the site's login was kept, because the connection was not verified."""
    known = auth.scheme in ("basic", "bearer")
    return auth.accepted == "not-tried" and known and view.site.registry.auth is not None


def _refused(view: RegistryView, auth: AuthFact) -> str:
    if _held_back(view, auth):
        return f"the site's login was not sent: {auth.detail}"
    if auth.accepted == "not-tried":
        return f"the registry asks for a login by {auth.scheme}: {auth.detail}"
    return f"the registry does not let the site in: {auth.detail}"
