"""What Classic Load Balancing's handlers are given, and what most of them begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeport.core.access import Keys
from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import Operations, request_tags
from homeport.core.pages import Pages
from homeport.services.elb.errors import InvalidConfigurationRequest, LoadBalancerNotFound
from homeport.services.elb.model import Listener, LoadBalancer
from homeport.services.elb.plan.requests import check_certificates
from homeport.services.elb.plan.to_dataplane import refusal
from homeport.services.elb.ports import Balancing, Certificates, Network, NothingBalances
from homeport.services.elb.repo.balancers import BalancerRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elb:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids
    pages: Pages
    network: Network
    certificates: Certificates
    balancing: Balancing = field(default_factory=NothingBalances)


def request_keys(call: Call, request: Request) -> Keys:
    """The condition keys of a request.

    Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Elastic Load
    Balancing".
    """
    keys = dict(request_tags(call, request))
    if call.operation.startswith("Create") and request.get("Tags"):
        keys["elasticloadbalancing:CreateAction"] = call.operation
    for name, given in (
        ("Scheme", request.get("Scheme")),
        ("Subnet", tuple(request.get("Subnets") or ())),
        ("SecurityGroup", tuple(request.get("SecurityGroups") or ())),
        (
            "ListenerProtocol",
            tuple(one.get("Protocol", "").upper() for one in request.get("Listeners") or ()),
        ),
    ):
        if given:
            keys[f"elasticloadbalancing:{name}"] = given
    return keys


ops = Operations("elb", action_prefix="elasticloadbalancing", keys=request_keys)
ADD_TAGS = "elasticloadbalancing:AddTags"


def named(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the balancers that a request names."""
    name = request.get("LoadBalancerName")
    names = [name] if name else request.get("LoadBalancerNames") or ()
    place = f"arn:aws:elasticloadbalancing:{call.region}:{call.account_id}"
    return tuple(f"{place}:loadbalancer/{one}" for one in names)


def repo_of(tx: Tx, call: Call) -> BalancerRepo:
    """The balancers of the caller's account and region."""
    return BalancerRepo(tx, call.account_id, call.region)


def find(tx: Tx, call: Call, name: str) -> LoadBalancer:
    """The balancer. Raise `LoadBalancerNotFound`."""
    found = repo_of(tx, call).named(name)
    if found is None:
        raise LoadBalancerNotFound(f"There is no ACTIVE Load Balancer named '{name}'")
    return found


async def changed(
    call: Call, elb: Elb, req: Request, change: Callable[[LoadBalancer], LoadBalancer]
) -> LoadBalancer:
    """A balancer as `change` makes it, if the data plane can do it so."""

    def work(tx: Tx) -> LoadBalancer:
        held = find(tx, call, req["LoadBalancerName"])
        wanted = change(held)
        if wanted == held:
            return held
        check_can_be_done(wanted)
        return repo_of(tx, call).save(wanted)

    return await elb.store.write(work)


def check_can_be_done(balancer: LoadBalancer) -> None:
    """Raise for a balancer that the data plane cannot do."""
    if (why := refusal(balancer)) is not None:
        raise InvalidConfigurationRequest(f"This is not supported by Homeport: {why}.")


async def check_known(call: Call, elb: Elb, listeners: tuple[Listener, ...]) -> None:
    """Raise unless the listeners' certificates are there."""
    arns = [one.certificate for one in listeners if one.certificate]
    if arns:
        found = await elb.certificates.find(call.account_id, call.region, arns)
        check_certificates(listeners, {arn: one.unusable for arn, one in found.items()})
