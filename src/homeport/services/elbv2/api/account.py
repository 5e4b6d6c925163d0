"""What is the same for all: quotas and security policies; and what Homeport does not have."""

from __future__ import annotations

from typing import Any

from homeport.core.call import Call
from homeport.services.elbv2.api.context import (
    Answer,
    Elbv2,
    Request,
    arns_in,
    find_balancer,
    ops,
    paged,
)
from homeport.services.elbv2.errors import (
    InvalidConfigurationRequest,
    OperationNotPermitted,
    ResourceNotFound,
    SSLPolicyNotFound,
    TrustStoreNotFound,
)
from homeport.services.elbv2.plan.requests import LIMITS
from homeport.services.elbv2.plan.tls import POLICIES, Policy


@ops.operation("DescribeAccountLimits")
async def describe_account_limits(call: Call, elb: Elbv2, req: Request) -> Answer:
    """The quotas that are kept."""
    limits = [{"Name": name, "Max": str(most)} for name, most in LIMITS.items()]
    return paged(elb, call, req, "Limits", limits, dict)


def _policy_view(policy: Policy) -> Answer:
    return {
        "Name": policy.name,
        "SslProtocols": list(policy.versions),
        "Ciphers": [{"Name": name, "Priority": place} for place, name in enumerate(policy.ciphers, 1)],
        "SupportedLoadBalancerTypes": ["application", "network"],
    }


@ops.operation("DescribeSSLPolicies")
async def describe_ssl_policies(call: Call, elb: Elbv2, req: Request) -> Answer:
    """AWS's security policies, or these of them."""
    names = list(dict.fromkeys(req.get("Names") or POLICIES))
    if missing := [name for name in names if name not in POLICIES]:
        raise SSLPolicyNotFound(f"SSL policy '{missing[0]}' not found")
    found = [] if req.get("LoadBalancerType") == "gateway" else [POLICIES[name] for name in names]
    return paged(elb, call, req, "SslPolicies", found, _policy_view)


# Trust stores: mutual TLS is not there, so there are none, and none can be made.


@ops.operation("DescribeTrustStores")
async def describe_trust_stores(call: Call, elb: Elbv2, req: Request) -> Answer:
    """None."""
    del call, elb
    if named := [*(req.get("TrustStoreArns") or ()), *(req.get("Names") or ())]:
        raise TrustStoreNotFound(f"Trust store '{named[0]}' not found")
    return {"TrustStores": []}


def _truststore(call: Call, request: Request) -> tuple[str, ...]:
    place = f"arn:aws:elasticloadbalancing:{call.region}:{call.account_id}"
    return (f"{place}:truststore/{request['Name']}/*",)


@ops.operation("CreateTrustStore", resources=_truststore)
async def create_trust_store(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Refused: nobody checks clients' certificates."""
    del call, elb, req
    raise OperationNotPermitted("Trust stores are not supported by Homeport: there is no mutual TLS.")


def _refuse_trust_store(name: str, *, open_to_all: bool = False) -> None:
    """An operation on a trust store: it is not there."""

    async def refuse(call: Call, elb: Elbv2, req: Request) -> Answer:
        del call, elb
        raise TrustStoreNotFound(f"Trust store '{req['TrustStoreArn']}' not found")

    refuse.__doc__ = "There is no such trust store: there are none."
    options: dict[str, Any] = {} if open_to_all else {"resources": arns_in("TrustStoreArn")}
    ops.operation(name, **options)(refuse)


for _name in (
    "AddTrustStoreRevocations",
    "DeleteSharedTrustStoreAssociation",
    "DeleteTrustStore",
    "GetTrustStoreCaCertificatesBundle",
    "GetTrustStoreRevocationContent",
    "ModifyTrustStore",
    "RemoveTrustStoreRevocations",
):
    _refuse_trust_store(_name)
for _name in ("DescribeTrustStoreAssociations", "DescribeTrustStoreRevocations"):
    _refuse_trust_store(_name, open_to_all=True)


@ops.operation("GetResourcePolicy", resources=arns_in("ResourceArn"))
async def get_resource_policy(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Only trust stores have policies, and there are none."""
    del call, elb
    raise ResourceNotFound(f"Resource '{req['ResourceArn']}' has no resource policy")


# Capacity reservations and address pools: a balancer here has what its machine has.


@ops.operation("DescribeCapacityReservation")
async def describe_capacity_reservation(call: Call, elb: Elbv2, req: Request) -> Answer:
    """A balancer has none."""
    await elb.store.read(lambda tx: find_balancer(tx, call, req["LoadBalancerArn"]))
    return {"CapacityReservationState": []}


@ops.operation("ModifyCapacityReservation", resources=arns_in("LoadBalancerArn"))
async def modify_capacity_reservation(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Refused: nothing is reserved."""
    await elb.store.read(lambda tx: find_balancer(tx, call, req["LoadBalancerArn"]))
    raise OperationNotPermitted(
        "Capacity reservations are not supported by Homeport: a load balancer has what its machine has."
    )


@ops.operation("ModifyIpPools", resources=arns_in("LoadBalancerArn"))
async def modify_ip_pools(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Refused: there is no IPAM."""
    await elb.store.read(lambda tx: find_balancer(tx, call, req["LoadBalancerArn"]))
    raise InvalidConfigurationRequest("IPAM pools are not supported by Homeport: there is no IPAM.")
