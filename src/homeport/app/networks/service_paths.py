"""Whether the load balancers of a service reach its targets, as far as security groups decide."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from homeport.app.balancers.classic_targets import is_classic
from homeport.app.balancers.network import REQUESTER, description
from homeport.app.networks.connect_paths import connect_obstacles
from homeport.app.networks.ends import end_of, guard_of, primaries
from homeport.services.ec2 import manifest as ec2
from homeport.services.ecs import manifest as ecs
from homeport.services.ecs.ports import Obstacle
from homeport.services.elb import manifest as elb
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.elbv2.model.groups import INSTANCE, TRAFFIC_PORT, TargetGroup
from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.services.elbv2.repo.groups import GroupRepo
from homeport.store.tx import Tx

_UDP_ONLY = frozenset({"UDP"})


class ServicePaths:
    """From each balancer that forwards to a target group to each of its targets."""

    def obstacles(
        self, tx: Tx, account_id: str, region: str, group_arns: Collection[str]
    ) -> Sequence[Obstacle]:
        """What keeps balancers from targets; each thing once."""
        groups = GroupRepo(tx, account_id, region).among(group_arns)
        classic = [elb.find_anywhere(tx, arn) for arn in group_arns if is_classic(arn)]
        if not groups and not any(classic):
            return ()
        shelf = ec2.Shelf(tx, account_id, region)
        interfaces = shelf.all(ec2.NetworkInterface)
        guard = guard_of(shelf, interfaces)
        ways = [way for group in groups.values() for way in _ways(tx, group, interfaces)]
        ways += [way for one in classic if one is not None for way in _classic_ways(one, interfaces)]
        found: dict[Obstacle, None] = {}
        for source, target, ports in ways:
            for port in ports:
                blocked = ec2.why_blocked(guard, source, target, port=port)
                found |= dict.fromkeys(Obstacle(text=one.text, command=one.command) for one in blocked)
        return tuple(found)

    def connected(self, tx: Tx, service: ecs.Service) -> Sequence[Obstacle]:
        """Why clients of Service Connect do not reach the service, and why it does not reach others."""
        return connect_obstacles(tx, service)


_Way = tuple[ec2.End, ec2.End, tuple[int, ...]]
"""From a balancer to a target, and the ports at which it asks there."""


def _ways(tx: Tx, group: TargetGroup, interfaces: Sequence[ec2.NetworkInterface]) -> Iterator[_Way]:
    balancer = BalancerRepo(tx, group.account_id, group.region).users([group.arn]).get(group.arn)
    source = None if balancer is None else _balancer(balancer, interfaces)
    if source is not None:
        for target, ports in _targets(tx, group, interfaces):
            yield source, target, ports


def _classic_ways(balancer: elb.LoadBalancer, interfaces: Sequence[ec2.NetworkInterface]) -> Iterator[_Way]:
    """To each registered instance, where the listeners lead and where health is checked."""
    source, by_id = _balancer(balancer, interfaces), primaries(interfaces)
    checked = balancer.health_check.target.partition(":")[2].partition("/")[0]
    ports = tuple(dict.fromkeys((*(one.instance_port for one in balancer.listeners), int(checked))))
    for held in balancer.registered if source is not None else ():
        interface = by_id.get(held.instance_id)
        if source is not None and interface is not None:
            yield source, end_of(interface, f"instance {held.instance_id}"), ports


def _balancer(
    balancer: elb.LoadBalancer | elbv2.LoadBalancer, interfaces: Sequence[ec2.NetworkInterface]
) -> ec2.End | None:
    """A balancer, once for all its interfaces: they have the same groups."""
    mark = description(balancer.arn)
    mine = (one for one in interfaces if one.requester_id == REQUESTER and one.description == mark)
    return next((end_of(one, f"load balancer {balancer.name}") for one in mine), None)


def _targets(
    tx: Tx, group: TargetGroup, interfaces: Sequence[ec2.NetworkInterface]
) -> Iterator[tuple[ec2.End, tuple[int, ...]]]:
    """A group's targets that have an interface here, with the ports at which they are asked."""
    by_id: Mapping[str, ec2.NetworkInterface]
    if group.target_type == INSTANCE:
        by_id = primaries(interfaces)
    else:
        by_id = {one.address: one for one in interfaces if one.vpc_id == group.vpc_id}
    checked = group.health_check.port
    for target in GroupRepo(tx, group.account_id, group.region).targets(group):
        if (interface := by_id.get(target.target_id)) is None or target.drained_at is not None:
            continue
        ports = dict.fromkeys(
            ([] if group.protocol in _UDP_ONLY else [target.port])
            + [target.port if checked == TRAFFIC_PORT else int(checked)]
        )
        what = "instance" if group.target_type == INSTANCE else "target"
        yield end_of(interface, f"{what} {target.target_id}"), tuple(ports)
