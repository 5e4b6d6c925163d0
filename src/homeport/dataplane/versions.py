"""Which versions of HTTP a group takes: requests of others are answered with 464.

Source: Application Load Balancer guide, "Target groups", protocol version; "Troubleshoot", HTTP 464:
HTTP/1.1 to a group of HTTP2 or GRPC, gRPC to a group of HTTP1, and what is not POST to a group of GRPC.
"""

from __future__ import annotations

from collections.abc import Mapping

from homeport.dataplane.model import Listener, Protocol, ProtocolVersion, TargetGroup, Traffic
from homeport.dataplane.rules import Forward, Rule
from homeport.dataplane.types import Body, typed

FILTER = "homeport.version"
POLICY = "version"
"""What the proxy calls the reason of such a refusal."""


def speak_http2(listener: Listener, traffic: Traffic) -> bool:
    """Whether a listener's clients may: then requests may be gRPC."""
    return listener.prior_knowledge or (listener.protocol is Protocol.HTTPS and traffic.http2)


def filters(listener: Listener, traffic: Traffic, groups: Mapping[str, TargetGroup]) -> list[Body]:
    """The filter that refuses, if a rule of the listener may want it."""
    if not any(_wants(rule, groups, speak_http2(listener, traffic)) for rule in listener.rules):
        return []
    return [{"name": FILTER, "typed_config": typed("envoy.extensions.filters.http.rbac.v3.RBAC")}]


def _wants(rule: Rule, groups: Mapping[str, TargetGroup], http2: bool) -> bool:
    named = rule.action.groups if isinstance(rule.action, Forward) else ()
    versions = {groups[one.group_id].version for one in named if one.group_id in groups}
    return any(http2 or version is not ProtocolVersion.HTTP1 for version in versions)


def of_group(group: TargetGroup, *, grpc: bool) -> Body:
    """What a route to `group` says to the filter. `grpc`: the route's requests are of gRPC's content type."""
    http2, post = _request("protocol", "HTTP/2"), _request("method", "POST")
    match group.version:
        case ProtocolVersion.HTTP2:
            return _refuse(_call("!_", http2))
        case ProtocolVersion.GRPC:
            return _refuse(_call("!_", _call("_&&_", http2, post)))
        case ProtocolVersion.HTTP1:
            return _refuse(http2) if grpc else {}


def _refuse(condition: Body) -> Body:
    policy = {"permissions": [{"any": True}], "principals": [{"any": True}], "condition": condition}
    config = {"rules": {"action": "DENY", "policies": {POLICY: policy}}}
    return {FILTER: typed("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", rbac=config)}


def _request(field: str, value: str) -> Body:
    found = {"select_expr": {"operand": {"ident_expr": {"name": "request"}}, "field": field}}
    return _call("_==_", found, {"const_expr": {"string_value": value}})


def _call(function: str, *arguments: Body) -> Body:
    return {"call_expr": {"function": function, "args": list(arguments)}}
