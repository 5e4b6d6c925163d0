"""Rules that let a client log in first: which of its requests the proxy asks about, and what it tells.

Who is logged in is decided elsewhere (external authorization, on the control plane's socket): the proxy
says which rule a request fell to, and never knows a secret, a session or a provider. While nobody answers,
requests of such rules get 503; all others go on.
Source: Application Load Balancer guide, "Authenticate users".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeport.dataplane import answers
from homeport.dataplane.bootstrap import CONTROL
from homeport.dataplane.errors import UntranslatableError
from homeport.dataplane.model import Balancer, Listener, Protocol
from homeport.dataplane.rules import AuthenticateOidc, Rule
from homeport.dataplane.types import Body, seconds, typed

CALLBACK = "/oauth2/idpresponse"
"""Where a provider sends its users back to, on every listener that lets them log in."""
HEADERS = ("x-amzn-oidc-accesstoken", "x-amzn-oidc-identity", "x-amzn-oidc-data")
"""What targets learn of a user. A client that says them itself is not believed."""
ASK_SECONDS = 15
"""A login asks the provider twice."""
_FILTER = "envoy.filters.http.ext_authz"
_BALANCER, _LISTENER, _RULE = "balancer", "listener", "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which rule a request fell to; `rule_id` "" for what comes back from a provider."""

    balancer_id: str
    listener_id: str
    rule_id: str = ""

    @classmethod
    def read(cls, said: Mapping[str, str]) -> Asked:
        """From what the proxy tells with a request."""
        return cls(
            balancer_id=said.get(_BALANCER, ""),
            listener_id=said.get(_LISTENER, ""),
            rule_id=said.get(_RULE, ""),
        )

    def written(self) -> dict[str, str]:
        """What the proxy is to tell with a request."""
        return {_BALANCER: self.balancer_id, _LISTENER: self.listener_id, _RULE: self.rule_id}


def guards(balancer: Balancer) -> dict[Asked, AuthenticateOidc]:
    """The balancer's rules that let clients log in."""
    return {
        Asked(balancer_id=balancer.id, listener_id=listener.id, rule_id=rule.id): rule.guard
        for listener in balancer.listeners
        for rule in listener.rules
        if isinstance(rule.guard, AuthenticateOidc)
    }


def lets_log_in(listener: Listener) -> bool:
    """Whether a rule of the listener does. Raise `UntranslatableError` where passwords would be read."""
    found = any(isinstance(rule.guard, AuthenticateOidc) for rule in listener.rules)
    if found and listener.protocol is not Protocol.HTTPS:
        raise UntranslatableError(f"nobody logs in over {listener.protocol}: listener {listener.id}")
    return found


def filters(listener: Listener) -> list[Body]:
    """The filter that asks, off wherever a route does not want it."""
    if not lets_log_in(listener):
        return []
    config = typed(
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        transport_api_version="V3",
        grpc_service={"envoy_grpc": {"cluster_name": CONTROL}, "timeout": seconds(ASK_SECONDS)},
        allowed_headers={"patterns": [{"exact": "cookie"}]},
        status_on_error={"code": "ServiceUnavailable"},
    )
    return [{"name": _FILTER, "typed_config": config, "disabled": True}]


def of_rule(rule: Rule, balancer_id: str, listener: Listener) -> Body:
    """What a rule's route says to the filter."""
    if not isinstance(rule.guard, AuthenticateOidc):
        return {}
    return _asks(Asked(balancer_id=balancer_id, listener_id=listener.id, rule_id=rule.id))


def callback(balancer_id: str, listener: Listener) -> list[Body]:
    """The route for what comes back from a provider. It never gets beyond the filter."""
    if not lets_log_in(listener):
        return []
    asks = _asks(Asked(balancer_id=balancer_id, listener_id=listener.id))
    answer = answers.direct(401, server=listener.server_header)
    return [{"name": "login", "match": {"path": CALLBACK}, **answer, "typed_per_filter_config": asks}]


def _asks(asked: Asked) -> Body:
    settings = {"context_extensions": asked.written(), "disable_request_body_buffering": True}
    per_route = typed("envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", check_settings=settings)
    return {_FILTER: typed("envoy.config.route.v3.FilterConfig", config=per_route)}
