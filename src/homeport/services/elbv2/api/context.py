"""What Elastic Load Balancing's handlers are given, and what most of them begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from homeport.core.access import Keys
from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import Operations, ResourcesOf, request_tags
from homeport.core.pages import Pages, paging_of
from homeport.services.elbv2.errors import (
    ListenerNotFound,
    LoadBalancerNotFound,
    RuleNotFound,
    TargetGroupNotFound,
    ValidationError,
)
from homeport.services.elbv2.model.balancers import Listener, LoadBalancer
from homeport.services.elbv2.model.groups import TargetGroup
from homeport.services.elbv2.model.rules import Rule
from homeport.services.elbv2.ports import Balancing, Certificates, Network, NothingBalances
from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.services.elbv2.repo.groups import GroupRepo
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault

Request = Mapping[str, Any]
Answer = dict[str, Any]
_T = TypeVar("_T")

PAGE_MAX = 400
SUFFIX_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Elbv2:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids
    pages: Pages
    vault: Vault
    network: Network
    certificates: Certificates
    balancing: Balancing = field(default_factory=NothingBalances)


def request_keys(call: Call, request: Request) -> Keys:
    """The condition keys of a request.

    Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Elastic Load
    Balancing V2".
    """
    keys = dict(request_tags(call, request))
    if call.operation.startswith("Create") and request.get("Tags"):
        keys["elasticloadbalancing:CreateAction"] = call.operation
    mapped = [one.get("SubnetId", "") for one in request.get("SubnetMappings") or ()]
    for name, given in (
        ("Scheme", request.get("Scheme")),
        ("ListenerProtocol", request.get("Protocol") if "Listener" in call.operation else None),
        ("SecurityPolicy", request.get("SslPolicy")),
        ("Subnet", tuple(request.get("Subnets") or mapped)),
        ("SecurityGroup", tuple(request.get("SecurityGroups") or ())),
    ):
        if given:
            keys[f"elasticloadbalancing:{name}"] = given
    return keys


ops = Operations("elbv2", action_prefix="elasticloadbalancing", keys=request_keys)
ADD_TAGS = "elasticloadbalancing:AddTags"


def arns_in(*members: str) -> ResourcesOf:
    """IAM: the ARNs in these members of a request."""

    def resources(call: Call, request: Request) -> tuple[str, ...]:
        del call
        found: list[str] = []
        for member in members:
            given = request.get(member) or ()
            found += [given] if isinstance(given, str) else given
        return tuple(found)

    return resources


def balancers(tx: Tx, call: Call) -> BalancerRepo:
    """The balancers of the caller's account and region."""
    return BalancerRepo(tx, call.account_id, call.region)


def groups(tx: Tx, call: Call) -> GroupRepo:
    """The target groups of the caller's account and region."""
    return GroupRepo(tx, call.account_id, call.region)


def check_arn(arn: str, resource: str, noun: str) -> str:
    """The ARN. Raise unless it is one of such a resource."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[2] != "elasticloadbalancing" or not parts[5].startswith(f"{resource}/"):
        raise ValidationError(f"'{arn}' is not a valid {noun} ARN")
    return arn


def find_balancer(tx: Tx, call: Call, arn: str) -> LoadBalancer:
    """The balancer. Raise `LoadBalancerNotFound`."""
    found = balancers(tx, call).find(check_arn(arn, "loadbalancer", "load balancer"))
    if found is None:
        raise LoadBalancerNotFound("One or more load balancers not found")
    return found


def find_listener(tx: Tx, call: Call, arn: str) -> Listener:
    """The listener. Raise `ListenerNotFound`."""
    found = balancers(tx, call).listener(check_arn(arn, "listener", "listener"))
    if found is None:
        raise ListenerNotFound("One or more listeners not found")
    return found


def find_rule(tx: Tx, call: Call, arn: str) -> Rule:
    """The rule. Raise `RuleNotFound`."""
    found = balancers(tx, call).rule(check_arn(arn, "listener-rule", "listener rule"))
    if found is None:
        raise RuleNotFound("One or more rules not found")
    return found


def find_group(tx: Tx, call: Call, arn: str) -> TargetGroup:
    """The target group. Raise `TargetGroupNotFound`."""
    found = groups(tx, call).find(check_arn(arn, "targetgroup", "target group"))
    if found is None:
        raise TargetGroupNotFound("One or more target groups not found")
    return found


def suffix(elb: Elbv2) -> str:
    """What ends a new ARN: 16 hex characters."""
    return elb.ids.token(SUFFIX_BYTES).hex()


def only_one(request: Request, *members: str) -> None:
    """Raise for more than one way of saying which."""
    given = [member for member in members if request.get(member)]
    if len(given) > 1:
        raise ValidationError(f"{' and '.join(given)} cannot be specified at the same time")


def paged(
    elb: Elbv2,
    call: Call,
    request: Request,
    member: str,
    found: Sequence[_T],
    view: Callable[[_T], Answer],
) -> Answer:
    """One page of what was found, and the marker of the next."""
    refusal = ValidationError("The marker is not valid for this request")
    paging = paging_of(elb.pages, call, request, ("Marker", "PageSize"), refusal)
    shown, more = paging.cut(found, request.get("PageSize", PAGE_MAX))
    answer: Answer = {member: [view(one) for one in shown]}
    return answer | ({"NextMarker": more} if more else {})
