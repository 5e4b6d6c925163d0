"""A rule's actions, checked. Pure.

Source: API Reference, Action and its configurations; Application Load Balancer guide, "Listener rule
actions", "Authenticate users", "Verify JWTs".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from homeport.services.elbv2.errors import InvalidLoadBalancerAction, TooManyActions, ValidationError
from homeport.services.elbv2.model.rules import (
    Action,
    Claim,
    FixedResponse,
    Forward,
    Jwt,
    Oidc,
    Redirect,
    Weighted,
)
from homeport.services.elbv2.plan.requests import LIMITS

Given = Mapping[str, Any]
Seal = Callable[[str], bytes]

CONFIGS: Mapping[str, str] = {
    "authenticate-oidc": "AuthenticateOidcConfig",
    "authenticate-cognito": "AuthenticateCognitoConfig",
    "redirect": "RedirectConfig",
    "fixed-response": "FixedResponseConfig",
    "forward": "ForwardConfig",
    "jwt-validation": "JwtValidationConfig",
}
"""The member that holds an action's configuration."""
FINAL = ("forward", "redirect", "fixed-response")
CONTENT_TYPES = ("text/plain", "text/css", "text/html", "application/javascript", "application/json")
WEIGHT_MAX = 999
STICKY_MAX = 604800
SESSION_MAX = 604800
_PLACEHOLDER = re.compile(r"#\{([a-z]+)\}")
_OWN_CLAIMS = frozenset({"exp", "iss", "nbf", "iat"})


def actions_of(
    given: Sequence[Given], *, protocol: str, seal: Seal, held: Sequence[Action]
) -> tuple[Action, ...]:
    """The actions of a rule of a listener of that protocol, in their order.

    `seal` closes the client secret of an OIDC provider; `held` are the actions that the rule had, whose
    secret may be kept. Raise `InvalidLoadBalancerAction`, `ValidationError`, `TooManyActions`.
    """
    if not given:
        raise ValidationError("A rule must have at least one action")
    if len(given) > 2:
        raise TooManyActions("A rule has at most two actions")
    ordered = _in_order(given)
    kinds = [one["Type"] for one in ordered]
    if sum(kind in FINAL for kind in kinds) != 1:
        raise InvalidLoadBalancerAction(f"A rule must have exactly one action of type {', '.join(FINAL)}")
    if kinds[-1] not in FINAL:
        raise InvalidLoadBalancerAction(
            f"The action of type '{kinds[-1]}' cannot be the last action of a rule"
        )
    if protocol not in {"HTTP", "HTTPS"} and kinds != ["forward"]:
        raise InvalidLoadBalancerAction(
            f"Only actions of type 'forward' are supported with listeners of protocol '{protocol}'"
        )
    if len(kinds) > 1 and protocol != "HTTPS":
        raise InvalidLoadBalancerAction(f"Actions of type '{kinds[0]}' are supported only on HTTPS listeners")
    return tuple(_action(one, protocol=protocol, seal=seal, held=held) for one in ordered)


def _in_order(given: Sequence[Given]) -> list[Given]:
    orders = [one.get("Order") for one in given]
    if len(given) > 1:
        if None in orders:
            raise ValidationError("You must specify an order for each action of a rule with multiple actions")
        if len(set(orders)) != len(orders):
            raise ValidationError("The order of an action must be unique in its rule")
    return sorted(given, key=lambda one: one.get("Order") or 0)


def _action(given: Given, *, protocol: str, seal: Seal, held: Sequence[Action]) -> Action:
    kind, order = given["Type"], given.get("Order")
    if kind == "authenticate-cognito":
        raise InvalidLoadBalancerAction(
            "Actions of type 'authenticate-cognito' are not supported by Homeport: it has no user pools; "
            "'authenticate-oidc' works with any OpenID Connect provider."
        )
    for other, member in CONFIGS.items():
        if other != kind and given.get(member):
            raise InvalidLoadBalancerAction(f"For actions of type '{kind}', you cannot specify '{member}'")
    if kind != "forward" and given.get("TargetGroupArn"):
        raise InvalidLoadBalancerAction(f"For actions of type '{kind}', you cannot specify 'TargetGroupArn'")
    config = given.get(CONFIGS[kind])
    if kind == "forward":
        return _forward(given.get("TargetGroupArn"), config, protocol, order)
    if not config:
        raise InvalidLoadBalancerAction(
            f"For actions of type '{kind}', you must specify the following fields: '{CONFIGS[kind]}'"
        )
    match kind:
        case "redirect":
            return _redirect(config, protocol, order)
        case "fixed-response":
            return _fixed(config, order)
        case "jwt-validation":
            return _jwt(config, order)
        case _:
            return _oidc(config, order, seal, held)


def _forward(single: str | None, config: Given | None, protocol: str, order: int | None) -> Forward:
    tuples = (config or {}).get("TargetGroups") or []
    groups = tuple(
        Weighted(group_arn=one.get("TargetGroupArn", ""), weight=one.get("Weight", 1)) for one in tuples
    )
    if single and groups and [one.group_arn for one in groups] != [single]:
        raise InvalidLoadBalancerAction(
            "If you specify both ForwardConfig and TargetGroupArn, they must name the same one"
        )
    if single and not groups:
        groups = (Weighted(group_arn=single, weight=1),)
    if not groups:
        raise InvalidLoadBalancerAction("You must specify a target group for actions of type 'forward'")
    most = LIMITS["target-groups-per-action-on-application-load-balancer"]
    if protocol not in {"HTTP", "HTTPS"}:
        most = LIMITS["target-groups-per-action-on-network-load-balancer"]
    arns = [one.group_arn for one in groups]
    if len(groups) > most:
        raise InvalidLoadBalancerAction(f"An action forwards to at most {most} target groups")
    if len(set(arns)) != len(arns):
        raise InvalidLoadBalancerAction("A target group cannot be specified more than once in an action")
    if any(not 0 <= one.weight <= WEIGHT_MAX for one in groups):
        raise InvalidLoadBalancerAction(f"The weight of a target group must be between 0 and {WEIGHT_MAX}")
    return _sticky(groups, (config or {}).get("TargetGroupStickinessConfig") or {}, protocol, order)


def _sticky(groups: tuple[Weighted, ...], sticky: Given, protocol: str, order: int | None) -> Forward:
    enabled, seconds = bool(sticky.get("Enabled")), sticky.get("DurationSeconds")
    if enabled and protocol not in {"HTTP", "HTTPS"}:
        raise InvalidLoadBalancerAction("Target group stickiness needs a listener of protocol HTTP or HTTPS")
    if enabled and seconds is None:
        raise InvalidLoadBalancerAction(
            "You must specify DurationSeconds when enabling target group stickiness"
        )
    if seconds is not None and not 1 <= seconds <= STICKY_MAX:
        raise InvalidLoadBalancerAction(f"DurationSeconds must be between 1 and {STICKY_MAX}")
    return Forward(groups=groups, sticky=enabled, sticky_seconds=seconds, order=order)


def _redirect(config: Given, protocol: str, order: int | None) -> Redirect:
    found = Redirect(
        status=int(config["StatusCode"].removeprefix("HTTP_")),
        protocol=config.get("Protocol", "#{protocol}"),
        host=config.get("Host", "#{host}"),
        port=config.get("Port", "#{port}"),
        path=config.get("Path", "/#{path}"),
        query=config.get("Query", "#{query}"),
        order=order,
    )
    _check_placeholders("Host", found.host, ("host",))
    _check_placeholders("Path", found.path, ("host", "path", "port"))
    _check_placeholders("Query", found.query, ("host", "path", "port", "protocol", "query"))
    if not found.path.startswith("/"):
        raise InvalidLoadBalancerAction(
            "The Path parameter must be a valid path, should start with a '/', and may contain up to one of "
            "each of these placeholders: '#{path}', '#{host}', '#{port}'."
        )
    if found.port != "#{port}" and not (found.port.isdecimal() and 1 <= int(found.port) <= 65535):
        raise InvalidLoadBalancerAction("The Port parameter must be a number from 1 to 65535, or '#{port}'")
    if protocol == "HTTPS" and found.protocol == "HTTP":
        raise InvalidLoadBalancerAction("You cannot redirect HTTPS to HTTP")
    fresh = Redirect(status=found.status, order=order)
    same_protocol = found.protocol in {"#{protocol}", protocol}
    if same_protocol and found == _with_protocol(fresh, found.protocol):
        raise InvalidLoadBalancerAction(
            "The RedirectConfig is not valid because it creates a redirect loop: change at least one of "
            "protocol, host, port, path and query"
        )
    return found


def _with_protocol(redirect: Redirect, protocol: str) -> Redirect:
    return Redirect(status=redirect.status, protocol=protocol, order=redirect.order)


def _check_placeholders(member: str, text: str, allowed: Sequence[str]) -> None:
    used = _PLACEHOLDER.findall(text)
    if len(set(used)) != len(used) or not set(used) <= set(allowed) or "#{" in _PLACEHOLDER.sub("", text):
        names = ", ".join(f"'#{{{name}}}'" for name in allowed)
        raise InvalidLoadBalancerAction(
            f"The {member} parameter may contain up to one of each of these placeholders: {names}."
        )


def _fixed(config: Given, order: int | None) -> FixedResponse:
    content_type, body = config.get("ContentType", ""), config.get("MessageBody", "")
    if content_type and content_type not in CONTENT_TYPES:
        raise InvalidLoadBalancerAction(f"The ContentType must be one of: '{', '.join(CONTENT_TYPES)}'")
    if len(body.encode()) > 1024:
        raise InvalidLoadBalancerAction("The MessageBody cannot be longer than 1024 bytes")
    return FixedResponse(status=int(config["StatusCode"]), content_type=content_type, body=body, order=order)


def _check_url(member: str, url: str, longest: int = 2048) -> None:
    """A whole URL over HTTPS, without credentials or fragment."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
        good = good and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or len(url) > longest or not url.isprintable() or " " in url:
        raise InvalidLoadBalancerAction(
            f"The {member} must be a full URL, including the HTTPS protocol, the domain, and the path"
        )


def _oidc(config: Given, order: int | None, seal: Seal, held: Sequence[Action]) -> Oidc:
    for member in ("Issuer", "AuthorizationEndpoint", "TokenEndpoint", "UserInfoEndpoint"):
        _check_url(member, config[member])
    timeout = config.get("SessionTimeout", SESSION_MAX)
    if not 1 <= timeout <= SESSION_MAX:
        raise InvalidLoadBalancerAction(f"SessionTimeout must be between 1 and {SESSION_MAX}")
    parameters = dict(config.get("AuthenticationRequestExtraParams") or {})
    if len(parameters) > 10:
        raise InvalidLoadBalancerAction("AuthenticationRequestExtraParams has at most 10 parameters")
    cookie = config.get("SessionCookieName", "AWSELBAuthSessionCookie")
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", cookie):
        raise InvalidLoadBalancerAction(f"The SessionCookieName '{cookie}' is not valid")
    return Oidc(
        issuer=config["Issuer"],
        authorization_endpoint=config["AuthorizationEndpoint"],
        token_endpoint=config["TokenEndpoint"],
        user_info_endpoint=config["UserInfoEndpoint"],
        client_id=config["ClientId"],
        secret=_secret(config, seal, held),
        scope=config.get("Scope", "openid"),
        cookie=cookie,
        timeout_seconds=timeout,
        parameters=parameters,
        unauthenticated=config.get("OnUnauthenticatedRequest", "authenticate"),
        order=order,
    )


def _secret(config: Given, seal: Seal, held: Sequence[Action]) -> bytes:
    secret, keep = config.get("ClientSecret"), config.get("UseExistingClientSecret")
    if secret and keep:
        raise InvalidLoadBalancerAction("You cannot specify both ClientSecret and UseExistingClientSecret")
    if secret:
        return seal(secret)
    old = next((action for action in held if isinstance(action, Oidc)), None)
    if not keep or old is None or old.client_id != config["ClientId"] or old.issuer != config["Issuer"]:
        raise InvalidLoadBalancerAction(
            "You must specify ClientSecret for actions of type 'authenticate-oidc'"
        )
    return old.secret


def _jwt(config: Given, order: int | None) -> Jwt:
    _check_url("JwksEndpoint", config["JwksEndpoint"], 256)
    if not 1 <= len(config["Issuer"]) <= 256:
        raise InvalidLoadBalancerAction("The Issuer has at most 256 characters")
    claims = tuple(_claim(one) for one in config.get("AdditionalClaims") or [])
    if len(claims) > 10:
        raise InvalidLoadBalancerAction("AdditionalClaims has at most 10 claims")
    return Jwt(jwks_endpoint=config["JwksEndpoint"], issuer=config["Issuer"], claims=claims, order=order)


def _claim(given: Given) -> Claim:
    name, form, values = given["Name"], given["Format"], tuple(given["Values"])
    if not name or name in _OWN_CLAIMS:
        raise InvalidLoadBalancerAction(f"The claim '{name}' cannot be specified")
    if not 1 <= len(values) <= 10 or any(not 1 <= len(value) <= 256 for value in values):
        raise InvalidLoadBalancerAction("A claim has 1 to 10 values of at most 256 characters")
    if form == "space-separated-values" and any(" " in value for value in values):
        raise InvalidLoadBalancerAction("Values of the format 'space-separated-values' cannot include spaces")
    return Claim(name=name, format=form, values=values)
