"""Load balancers' nouns as the API shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeport.core.hosted_zones import HOSTED_ZONES
from homeport.services.elbv2.model.balancers import NETWORK, Listener, LoadBalancer
from homeport.services.elbv2.model.groups import TRAFFIC_PORT, Target, TargetGroup, TargetHealth, TargetKey
from homeport.services.elbv2.model.rules import (
    Action,
    Condition,
    FixedResponse,
    Forward,
    Jwt,
    Oidc,
    Redirect,
    Rewrite,
    Rule,
)
from homeport.services.elbv2.ports import BalancerState

View = dict[str, Any]


def _some(**members: Any) -> View:
    return {name: value for name, value in members.items() if value not in ("", None, (), [], {})}


def tags_view(tags: Mapping[str, str]) -> list[View]:
    """Tags as they were given."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def attributes_view(values: Mapping[str, str]) -> list[View]:
    """Attributes with their values."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def zones_view(balancer: LoadBalancer) -> list[View]:
    """Where a balancer stands."""
    return [
        {
            "ZoneName": zone.name,
            "SubnetId": zone.subnet_id,
            "LoadBalancerAddresses": (
                [{"PrivateIPv4Address": zone.private_address}] if zone.private_address else []
            ),
        }
        for zone in balancer.zones
    ]


def balancer_view(balancer: LoadBalancer, state: BalancerState) -> View:
    """A load balancer."""
    zones = HOSTED_ZONES.get(balancer.region)
    view: View = {
        "LoadBalancerArn": balancer.arn,
        "DNSName": balancer.dns_name,
        "CreatedTime": balancer.created_at,
        "LoadBalancerName": balancer.name,
        "Scheme": balancer.scheme,
        "VpcId": balancer.vpc_id,
        "State": {"Code": state.code} | _some(Reason=state.reason),
        "Type": balancer.type,
        "AvailabilityZones": zones_view(balancer),
        "IpAddressType": balancer.ip_address_type,
    }
    return view | _some(
        CanonicalHostedZoneId=zones[balancer.type == NETWORK] if zones else "",
        SecurityGroups=list(balancer.security_groups),
        EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic=balancer.enforce_on_private_link,
    )


def listener_view(listener: Listener, actions: Sequence[Action]) -> View:
    """A listener; `actions` are its default rule's."""
    view: View = {
        "ListenerArn": listener.arn,
        "LoadBalancerArn": listener.balancer_arn,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "DefaultActions": actions_view(actions),
    }
    if listener.is_secure:
        view["Certificates"] = [{"CertificateArn": listener.certificate}]
        view["SslPolicy"] = listener.ssl_policy
    if listener.alpn:
        view["AlpnPolicy"] = [listener.alpn]
    if listener.protocol == "HTTPS":
        view["MutualAuthentication"] = {"Mode": "off"}
    return view


def certificates_view(listener: Listener) -> list[View]:
    """A listener's certificates, the default one first."""
    first = [{"CertificateArn": listener.certificate, "IsDefault": True}] if listener.certificate else []
    return [*first, *({"CertificateArn": arn, "IsDefault": False} for arn in listener.certificates)]


def rule_view(rule: Rule) -> View:
    """A rule."""
    return {
        "RuleArn": rule.arn,
        "Priority": "default" if rule.is_default else str(rule.priority),
        "Conditions": [_condition(one) for one in rule.conditions],
        "Actions": actions_view(rule.actions),
        "IsDefault": rule.is_default,
    } | _some(Transforms=[_transform(one) for one in rule.transforms])


def _condition(condition: Condition) -> View:
    values, regexes = list(condition.values), list(condition.regexes)
    both = _some(Values=values, RegexValues=regexes)
    match condition.field:
        case "host-header":
            return {"Field": condition.field, **both, "HostHeaderConfig": both}
        case "path-pattern":
            return {"Field": condition.field, **both, "PathPatternConfig": both}
        case "http-header":
            config = {"HttpHeaderName": condition.header, **both}
            return {"Field": condition.field, "HttpHeaderConfig": config}
        case "query-string":
            pairs = [_some(Key=pair.key) | {"Value": pair.value} for pair in condition.pairs]
            return {"Field": condition.field, "QueryStringConfig": {"Values": pairs}}
        case "http-request-method":
            return {"Field": condition.field, "HttpRequestMethodConfig": {"Values": values}}
        case _:
            return {"Field": condition.field, "SourceIpConfig": {"Values": values}}


def _transform(rewrite: Rewrite) -> View:
    rewrites = {"Rewrites": [{"Regex": rewrite.regex, "Replace": rewrite.replace}]}
    member = "HostHeaderRewriteConfig" if rewrite.type == "host-header-rewrite" else "UrlRewriteConfig"
    return {"Type": rewrite.type, member: rewrites}


def actions_view(actions: Sequence[Action]) -> list[View]:
    """A rule's actions, in their order."""
    return [_action(one) | _some(Order=one.order) for one in actions]


def _action(action: Action) -> View:
    match action:
        case Forward():
            groups = [{"TargetGroupArn": one.group_arn, "Weight": one.weight} for one in action.groups]
            sticky: View = {"Enabled": action.sticky} | _some(DurationSeconds=action.sticky_seconds)
            view: View = {
                "Type": "forward",
                "ForwardConfig": {"TargetGroups": groups, "TargetGroupStickinessConfig": sticky},
            }
            return view | ({"TargetGroupArn": action.groups[0].group_arn} if len(groups) == 1 else {})
        case Redirect():
            config = {
                "Protocol": action.protocol,
                "Port": action.port,
                "Host": action.host,
                "Path": action.path,
                "Query": action.query,
                "StatusCode": f"HTTP_{action.status}",
            }
            return {"Type": "redirect", "RedirectConfig": config}
        case FixedResponse():
            config = {"StatusCode": str(action.status)}
            config |= _some(MessageBody=action.body, ContentType=action.content_type)
            return {"Type": "fixed-response", "FixedResponseConfig": config}
        case Jwt():
            claims = [{"Format": c.format, "Name": c.name, "Values": list(c.values)} for c in action.claims]
            jwt = {"JwksEndpoint": action.jwks_endpoint, "Issuer": action.issuer}
            return {"Type": "jwt-validation", "JwtValidationConfig": jwt | _some(AdditionalClaims=claims)}
        case Oidc():
            return {"Type": "authenticate-oidc", "AuthenticateOidcConfig": _oidc(action)}


def _oidc(action: Oidc) -> View:
    """Without the client's secret, which is never shown."""
    return {
        "Issuer": action.issuer,
        "AuthorizationEndpoint": action.authorization_endpoint,
        "TokenEndpoint": action.token_endpoint,
        "UserInfoEndpoint": action.user_info_endpoint,
        "ClientId": action.client_id,
        "SessionCookieName": action.cookie,
        "Scope": action.scope,
        "SessionTimeout": action.timeout_seconds,
        "OnUnauthenticatedRequest": action.unauthenticated,
    } | _some(AuthenticationRequestExtraParams=action.parameters)


def group_view(group: TargetGroup, balancer_arn: str | None) -> View:
    """A target group; `balancer_arn`: whose rules forward to it."""
    check = group.health_check
    matcher = _some(HttpCode=check.http_codes, GrpcCode=check.grpc_codes)
    return {
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "Port": group.port,
        "VpcId": group.vpc_id,
        "HealthCheckProtocol": check.protocol,
        "HealthCheckPort": check.port,
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": check.interval_seconds,
        "HealthCheckTimeoutSeconds": check.timeout_seconds,
        "HealthyThresholdCount": check.healthy_threshold,
        "UnhealthyThresholdCount": check.unhealthy_threshold,
        "LoadBalancerArns": [balancer_arn] if balancer_arn else [],
        "TargetType": group.target_type,
        "IpAddressType": group.ip_address_type,
    } | _some(HealthCheckPath=check.path, Matcher=matcher, ProtocolVersion=group.protocol_version)


def target_view(group: TargetGroup, key: TargetKey, target: Target | None, health: TargetHealth) -> View:
    """A target and its health."""
    target_id, port = key
    checked = group.health_check.port
    zone = target.zone if target is not None and group.target_type == "ip" else ""
    return {
        "Target": {"Id": target_id, "Port": port} | _some(AvailabilityZone=zone),
        "HealthCheckPort": str(port) if checked == TRAFFIC_PORT else checked,
        "TargetHealth": {"State": health.state} | _some(Reason=health.reason, Description=health.description),
    }
