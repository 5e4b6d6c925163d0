"""The addresses that Service Connect's names lead to, and what is behind them, as the rows say.

One address has one name of one namespace in one VPC: an interface of EC2's that nobody is attached to, which
is found again by its description.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from homeport.dataplane.model import (
    Balancer,
    BalancerKind,
    BindAddress,
    Listener,
    Protocol,
    ProtocolVersion,
    Target,
    TargetGroup,
    Traffic,
)
from homeport.dataplane.rules import Forward, Rule, WeightedGroup
from homeport.services.ec2 import manifest as ec2
from homeport.services.servicediscovery import manifest as cloud_map
from homeport.store.tx import Tx

REQUESTER = "amazon-ecs-service-connect"
"""Whose the interfaces are [our choice: AWS has none]."""
_MARK = "ECS Service Connect "
_MULTIPLEXED = ("http2", "grpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPort:
    """A port of a door, and the tasks behind it: where containers' ports are, in order."""

    port: int
    protocol: str
    idle_seconds: int
    request_seconds: int
    endpoints: tuple[tuple[str, int], ...]


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
        earlier = behind[mark].get(entrance.port)
        found = map(_end, cloud_map.find_instances(tx, service.service_id))
        endpoints = set(earlier.endpoints if earlier else ()) | {
            end for end in found if (service.account_id, entrance.vpc_id, end[0]) in places and end[1]
        }
        behind[mark][entrance.port] = DoorPort(
            port=entrance.port,
            protocol=entrance.protocol,
            idle_seconds=entrance.idle_seconds,
            request_seconds=entrance.request_seconds,
            endpoints=tuple(sorted(endpoints)),
        )
    return tuple(
        Door(
            interface_id=one.resource_id,
            address=one.address,
            ports=tuple(behind[mark][port] for port in sorted(behind[mark])),
        )
        for mark, one in sorted(held.items(), key=lambda pair: pair[1].address)
    )


def _end(instance: cloud_map.Instance) -> tuple[str, int]:
    """Where an instance is; port 0: nobody said it, or no port."""
    said = instance.attributes.get("AWS_INSTANCE_PORT", "")
    port = int(said) if said.isascii() and said.isdecimal() and len(said) <= 5 else 0
    return instance.attributes.get("AWS_INSTANCE_IPV4", ""), port if port < 65536 else 0


def balancers_of(doors: Iterable[Door]) -> tuple[Balancer, ...]:
    """What the proxy is to do: each port of each door is a balancer of its own."""
    return tuple(_balancer(door, port) for door in doors for port in door.ports)


def _balancer(door: Door, port: DoorPort) -> Balancer:
    name = f"connect/{door.interface_id}/{port.port}"
    requests, multiplexed = port.protocol != "tcp", port.protocol in _MULTIPLEXED
    group = TargetGroup(
        id=name,
        protocol=Protocol.HTTP if requests else Protocol.TCP,
        version=ProtocolVersion.HTTP2 if multiplexed else ProtocolVersion.HTTP1,
        targets=tuple(Target(address=address, port=number) for address, number in port.endpoints),
        health_check=None,
    )
    listener = Listener(
        id=name,
        protocol=group.protocol,
        port=port.port,
        rules=(Rule(id="default", action=Forward(groups=(WeightedGroup(group_id=name),))),),
        tcp_idle_timeout_seconds=port.idle_seconds,
        server_header=False,
        prior_knowledge=multiplexed,
    )
    return Balancer(
        id=name,
        kind=BalancerKind.APPLICATION if requests else BalancerKind.NETWORK,
        addresses=(BindAddress(address=door.address),),
        listeners=(listener,),
        groups=(group,),
        traffic=Traffic(
            idle_timeout_seconds=port.idle_seconds,
            request_timeout_seconds=port.request_seconds,
            preserve_host=True,
        ),
    )
