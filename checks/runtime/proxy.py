"""Beyond the guide: a proxy in the daemon's environment does not take the registry's pulls."""

from __future__ import annotations

from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.proxies import proxy_for
from gapcheck.fixtures.runtimes import require_runtime
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView


@check(
    "RUN-PROXY-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    source=Source(step=4, fault=("K17",)),
)
def registry_is_not_proxied(view: NodeView) -> Judgement:
    """The runtime asks the registry directly: no proxy of its environment applies to it."""
    runtime = require_runtime(view)
    if not view.facts.running:
        raise NotApplicable("the root of an image runs no daemon")
    if runtime.unit is None:
        reason = runtime.unit_gap or "no systemd unit runs it"
        raise Unmeasured(f"the environment of {runtime.kind}", reason)
    if runtime.unit.environment_unread:
        raise Unmeasured(f"the environment of {runtime.kind}", runtime.unit.environment_unread)
    environment = runtime.unit.environment
    registry = view.site.registry
    proxy = proxy_for(environment, registry.host, registry.port)
    excepted = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if not proxy:
        shown = "none" if not excepted else f"NO_PROXY={excepted}"
        yield Evidence("proxy for the registry", shown, runtime.service)
        return
    yield Finding(
        problem=f"{runtime.kind} asks {registry.netloc} through the proxy {proxy}",
        evidence=(
            Evidence("HTTPS_PROXY", proxy, runtime.service),
            Evidence("NO_PROXY", excepted or "not set", runtime.service),
        ),
        consequence="pulls fail with proxyconnect, 403 or 503 where the proxy cannot reach it",
        remedy_hint=f"add {registry.host} to NO_PROXY of {runtime.service}",
        locus=runtime.service,
        data={"unit": runtime.service, "no_proxy": excepted},
    )
