"""The addresses that Service Connect's names lead to, and what is behind them, as the rows say.

One address has one name of one namespace in one VPC: an interface of EC2's that nobody is attached to, which
is found again by its description.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homeport.dataplane import patterns
from homeport.dataplane.model import (
    Balancer,
    BalancerKind,
    BindAddress,
    Listener,
    Protocol,
    ProtocolVersion,
    Resilience,
    Target,
    TargetGroup,
    Traffic,
)
from homeport.dataplane.rules import Forward, HeaderIs, Rule, WeightedGroup
from homeport.services.ec2 import manifest as ec2
from homeport.services.servicediscovery import manifest as cloud_map
from homeport.store.tx import Tx

REQUESTER = "amazon-ecs-service-connect"
"""Whose the interfaces are [our choice: AWS has none]."""
DEPLOYMENT = "ECS_DEPLOYMENT_ID"
"""The attribute that says of which deployment an instance is [our choice]."""
CONTAINER_PORT = "ECS_CONTAINER_PORT"
"""The attribute that says which port of a container listens for an instance, if another [our choice]."""
_MARK = "ECS Service Connect "
_MULTIPLEXED = ("http2", "grpc")


RESILIENCE = Resilience(connect_seconds=3, retries=2, failures=5, eject_seconds=30, eject_seconds_max=300)
"""Nobody can set it. As recalled of the guide: two retries with other tasks; five failed connections
of late, and none are made for 30 to 300 seconds. All attempts end before a request's time does
[our choice]."""
End = tuple[str, int]
"""An address and a port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPort:
    """A port of a door, and the tasks behind it: where containers' ports are, in order.

    `owner`: the ARN of the ECS service. Of `endpoints` those in `fresh` get `percent` of the traffic, the
    others the rest; requests with the header `test` (any value where it is "") go to the fresh ones.
    `redirects`: where containers' ports are others than those that are asked, as address, port, container's.
    """

    port: int
    protocol: str
    idle_seconds: int
    request_seconds: int
    endpoints: tuple[End, ...]
    redirects: tuple[tuple[str, int, int], ...] = ()
    owner: str = ""
    fresh: tuple[End, ...] = ()
    percent: float | None = None
    test: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """An address of Service Connect's."""

    interface_id: str
    address: str
    ports: tuple[DoorPort, ...]


def mark_of(service: cloud_map.Service) -> str:
    """What the interface of a service's entrance is found by."""
    assert service.entrance is not None
    return f"{_MARK}{service.namespace_id}/{service.entrance.name} {service.entrance.vpc_id}"


def name_of(interface: ec2.NetworkInterface) -> str:
    """The name that leads to an interface of Service Connect's; empty: it is none."""
    if interface.requester_id != REQUESTER or not interface.description.startswith(_MARK):
        return ""
    return interface.description.removeprefix(_MARK).partition("/")[2].partition(" ")[0]


def read_doors(tx: Tx, interfaces: Iterable[ec2.NetworkInterface]) -> tuple[Door, ...]:
    """Every door that has its address, by address.

    Anybody may register instances, and the proxy is on this machine: only interfaces of the entrance's own
    VPC and account count.
    """
    interfaces = tuple(interfaces)
    held = {one.description: one for one in interfaces if one.requester_id == REQUESTER}
    if not held:
        return ()
    places = {(one.account_id, one.vpc_id, one.address) for one in interfaces if not name_of(one)}
    behind: dict[str, dict[int, DoorPort]] = defaultdict(dict)
    for service in cloud_map.services_with_entrances(tx):
        mark, entrance = mark_of(service), service.entrance
        if mark not in held or entrance is None:
            continue
        reached = [
            one
            for one in map(_reached, cloud_map.find_instances(tx, service.service_id))
            if (service.account_id, entrance.vpc_id, one.end[0]) in places and one.end[1]
        ]
        behind[mark][entrance.port] = _joined(behind[mark].get(entrance.port), entrance, reached)
    return tuple(
        Door(
            interface_id=one.resource_id,
            address=one.address,
            ports=tuple(behind[mark][port] for port in sorted(behind[mark])),
        )
        for mark, one in sorted(held.items(), key=lambda pair: pair[1].address)
    )


def _joined(earlier: DoorPort | None, entrance: cloud_map.Entrance, reached: Sequence[_Reached]) -> DoorPort:
    """A port with what an entrance leads to; another service's of the same owner may lead there as well."""
    endpoints = {one.end for one in reached}
    redirects = {(*one.end, one.container_port) for one in reached if one.container_port}
    shift = entrance.shift
    fresh = {one.end for one in reached if shift is not None and one.deployment == shift.fresh}
    percent = None if shift is None else shift.percent
    test = None
    if shift is not None and shift.tests and entrance.test_header:
        test = (entrance.test_header, entrance.test_value)
    if earlier is not None:
        endpoints |= set(earlier.endpoints)
        fresh |= set(earlier.fresh)
        redirects |= set(earlier.redirects)
        percent = earlier.percent if percent is None else percent
        test = test or earlier.test
    return DoorPort(
        port=entrance.port,
        protocol=entrance.protocol,
        idle_seconds=entrance.idle_seconds,
        request_seconds=entrance.request_seconds,
        endpoints=tuple(sorted(endpoints)),
        redirects=tuple(sorted(redirects)),
        owner=entrance.owner,
        fresh=tuple(sorted(fresh)),
        percent=percent,
        test=test,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """Where an instance is, and of which deployment. Port 0: nobody said it, or no port.

    `container_port`: which port of its container listens there, where it is another.
    """

    end: End
    deployment: str
    container_port: int


def _reached(instance: cloud_map.Instance) -> _Reached:
    said = instance.attributes
    return _Reached(
        end=(said.get("AWS_INSTANCE_IPV4", ""), _port(said.get("AWS_INSTANCE_PORT", ""))),
        deployment=said.get(DEPLOYMENT, ""),
        container_port=_port(said.get(CONTAINER_PORT, "")),
    )


def _port(said: str) -> int:
    port = int(said) if said.isascii() and said.isdecimal() and len(said) <= 5 else 0
    return port if port < 65536 else 0


def balancers_of(doors: Iterable[Door]) -> tuple[Balancer, ...]:
    """What the proxy is to do: each port of each door is a balancer of its own."""
    return tuple(_balancer(door, port) for door in doors for port in door.ports)


def _balancer(door: Door, port: DoorPort) -> Balancer:
    name = f"connect/{door.interface_id}/{port.port}"
    requests, multiplexed = port.protocol != "tcp", port.protocol in _MULTIPLEXED
    groups = [_group(name, port, [one for one in port.endpoints if one not in port.fresh])]
    if port.percent is not None:
        groups.append(_group(f"{name}/fresh", port, port.fresh))
    listener = Listener(
        id=name,
        protocol=groups[0].protocol,
        port=port.port,
        rules=_rules(port, *(group.id for group in groups)),
        tcp_idle_timeout_seconds=port.idle_seconds,
        server_header=False,
        prior_knowledge=multiplexed,
    )
    return Balancer(
        id=name,
        kind=BalancerKind.APPLICATION if requests else BalancerKind.NETWORK,
        addresses=(BindAddress(address=door.address),),
        listeners=(listener,),
        groups=tuple(groups),
        traffic=Traffic(
            idle_timeout_seconds=port.idle_seconds,
            request_timeout_seconds=port.request_seconds,
            preserve_host=True,
        ),
    )


def _group(name: str, port: DoorPort, ends: Iterable[End]) -> TargetGroup:
    return TargetGroup(
        id=name,
        protocol=Protocol.TCP if port.protocol == "tcp" else Protocol.HTTP,
        version=ProtocolVersion.HTTP2 if port.protocol in _MULTIPLEXED else ProtocolVersion.HTTP1,
        targets=tuple(Target(address=address, port=number) for address, number in ends),
        health_check=None,
        resilience=RESILIENCE,
    )


def _rules(port: DoorPort, others: str, fresh: str = "") -> tuple[Rule, ...]:
    """Tests first; everything else by shares, which are exact to a tenth of a percent."""
    tenths = round((port.percent or 0) * 10)
    weights = [(others, 1000 - tenths), *([(fresh, tenths)] if fresh else [])]
    shares = tuple(WeightedGroup(group_id=one, weight=weight) for one, weight in weights)
    default = Rule(id="default", action=Forward(groups=shares))
    if port.test is None or not fresh or port.protocol == "tcp":
        return (default,)
    name, value = port.test
    exact = HeaderIs(name=name, regexes=(f"^(?-i:{patterns.literal(value)})$",))
    return (
        Rule(
            id="test",
            priority=1,
            conditions=(exact if value else HeaderIs(name=name, patterns=("*",)),),
            action=Forward(groups=(WeightedGroup(group_id=fresh),)),
        ),
        default,
    )
