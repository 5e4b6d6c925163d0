"""Rules that let a request pass only with a token (JWT): who signs it, and what it must say.

The proxy fetches the keys of an issuer itself and keeps them for a while. What it verifies: the signature,
`iss`, `exp` (which must be there) and `nbf`; claims beyond these are asked of what it read.
Source: Application Load Balancer guide, "Verify JWTs"; API Reference, JwtValidationActionConfig.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from homeport.dataplane.errors import UntranslatableError
from homeport.dataplane.model import Balancer, Listener
from homeport.dataplane.patterns import literal
from homeport.dataplane.rules import Claim, ClaimFormat, Rule, ValidateJwt
from homeport.dataplane.types import Body, digest, seconds, typed

ROOTS = "/etc/ssl/certs/ca-certificates.crt"
"""Whom this machine trusts, where Debian has it."""
FETCH_SECONDS = 5
KEYS_KEPT_SECONDS = 300
_JWT = "envoy.filters.http.jwt_authn"
_CLAIMS = "envoy.filters.http.rbac"
_READ = "claims"


def guards(listener: Listener) -> list[tuple[Rule, ValidateJwt]]:
    """The listener's rules that want a token."""
    return [(rule, rule.guard) for rule in listener.rules if isinstance(rule.guard, ValidateJwt)]


def keys_cluster(balancer: Balancer, guard: ValidateJwt) -> str:
    """What the proxy calls the place where an issuer's keys are."""
    return f"{balancer.id}|keys#{digest(urlsplit(guard.jwks_endpoint).netloc)}"


def clusters(balancer: Balancer, roots: str) -> list[Body]:
    """Where keys are fetched, each place once. `roots` is a file of the authorities that are trusted."""
    found: dict[str, Body] = {}
    for listener in balancer.listeners:
        for _, guard in guards(listener):
            body = _place(balancer, guard, roots)
            found[body["name"]] = body
    return list(found.values())


def _place(balancer: Balancer, guard: ValidateJwt, roots: str) -> Body:
    url = urlsplit(guard.jwks_endpoint)
    if url.scheme != "https" or not url.hostname:
        raise UntranslatableError(f"{guard.jwks_endpoint} is not the address of a key set")
    address = _address(url.hostname)
    name = keys_cluster(balancer, guard)
    san = {"san_type": "IP_ADDRESS" if address else "DNS", "matcher": {"exact": url.hostname}}
    context: Body = {
        "common_tls_context": {
            "validation_context": {"trusted_ca": {"filename": roots}, "match_typed_subject_alt_names": [san]}
        }
    }
    if not address:
        context["sni"] = url.hostname
    tls = typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", **context)
    place = {"address": url.hostname, "port_value": url.port or 443}
    endpoint = {"endpoint": {"address": {"socket_address": place}}}
    return {
        "name": name,
        "type": "STATIC" if address else "STRICT_DNS",
        "connect_timeout": seconds(FETCH_SECONDS),
        "dns_lookup_family": "V4_PREFERRED",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
    }


def _address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def filters(balancer: Balancer, listener: Listener) -> list[Body]:
    """The filters of a listener whose rules want tokens; each rule says which it wants (see `of_rule`)."""
    found = guards(listener)
    if not found:
        return []
    config = typed(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={rule.id: _provider(balancer, guard) for rule, guard in found},
        requirement_map={rule.id: {"provider_name": rule.id} for rule, _ in found},
    )
    made = [{"name": _JWT, "typed_config": config}]
    if any(guard.claims for _, guard in found):
        made.append({"name": _CLAIMS, "typed_config": typed("envoy.extensions.filters.http.rbac.v3.RBAC")})
    return made


def _provider(balancer: Balancer, guard: ValidateJwt) -> Body:
    uri = {
        "uri": guard.jwks_endpoint,
        "cluster": keys_cluster(balancer, guard),
        "timeout": seconds(FETCH_SECONDS),
    }
    return {
        "issuer": guard.issuer,
        "remote_jwks": {"http_uri": uri, "cache_duration": seconds(KEYS_KEPT_SECONDS)},
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "require_expiration": True,
        "payload_in_metadata": _READ,
    }


def of_rule(rule: Rule) -> Body:
    """What a rule's route says to the filters."""
    guard = rule.guard
    if not isinstance(guard, ValidateJwt):
        return {}
    per_route: Body = {
        _JWT: typed("envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig", requirement_name=rule.id)
    }
    if guard.claims:
        policy = {"permissions": [{"and_rules": {"rules": [_said(one) for one in guard.claims]}}]}
        policies = {"claims": {**policy, "principals": [{"any": True}]}}
        config = {"rules": {"action": "ALLOW", "policies": policies}}
        per_route[_CLAIMS] = typed("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", rbac=config)
    return per_route


def _said(claim: Claim) -> Body:
    """The claim has one of its values."""
    rules = [_is(claim, value) for value in claim.values]
    return rules[0] if len(rules) == 1 else {"or_rules": {"rules": rules}}


def _is(claim: Claim, value: str) -> Body:
    match claim.format:
        case ClaimFormat.SINGLE_STRING:
            wanted: Body = {"string_match": {"exact": value}}
        case ClaimFormat.STRING_ARRAY:
            wanted = {"list_match": {"one_of": {"string_match": {"exact": value}}}}
        case ClaimFormat.SPACE_SEPARATED:
            word = rf"(?:.*\s)?{literal(value)}(?:\s.*)?"
            wanted = {"string_match": {"safe_regex": {"regex": word}}}
    path = [{"key": _READ}, {"key": claim.name}]
    return {"metadata": {"filter": _JWT, "path": path, "value": wanted}}
