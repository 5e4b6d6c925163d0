"""Why clients of Service Connect do not get where they want, as far as rows and security groups say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from homeport.app.discovery.doors import Door, DoorPort, name_of, read_doors
from homeport.app.networks.ends import end_of, guard_of, primaries
from homeport.services.ec2 import manifest as ec2
from homeport.services.ecs import manifest as ecs
from homeport.services.ecs.ports import Obstacle
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.store.tx import Tx

MOST = 50
"""Services of a namespace that are looked at."""


def connect_obstacles(tx: Tx, service: ecs.Service) -> tuple[Obstacle, ...]:
    """What a service's clients run into at its names, and what it runs into at others'; each thing once."""
    connect = service.primary.connect if service.deployments else None
    if connect is None:
        return ()
    shelf = ec2.Shelf(tx, service.account_id, service.region)
    interfaces = shelf.all(ec2.NetworkInterface)
    around = _Around(tx, interfaces, connect.namespace)
    found: dict[Obstacle, None] = dict.fromkeys(around.nameless(service))
    guard = guard_of(shelf, interfaces)
    for source, target, port in around.ways(service):
        blocked = ec2.why_blocked(guard, source, target, port=port)
        found |= dict.fromkeys(Obstacle(text=one.text, command=one.command) for one in blocked)
    return tuple(found)


class _Around:
    """A namespace's services, and the doors of their names."""

    def __init__(self, tx: Tx, interfaces: Sequence[ec2.NetworkInterface], namespace: str) -> None:
        self._tx = tx
        self._names = {one.resource_id: name_of(one) for one in interfaces}
        self._by_address = {one.address: one for one in interfaces}
        self._primaries = primaries(interfaces)
        here = ecs.ServiceRepo(tx).in_namespace(namespace, after_id=0, limit=MOST)
        services = (ecs.ServiceRepo(tx).get(row) for row, _ in here)
        self._services = {one.arn: one for one in services if one is not None}
        self._doors = read_doors(tx, interfaces)

    def nameless(self, service: ecs.Service) -> Iterator[Obstacle]:
        """Names that lead nowhere yet: the service's own, and those of others."""
        open_ = {(self._names[door.interface_id], port.port): port for door, port in self._ports()}
        for one in self._services.values():
            connect = one.primary.connect
            for endpoint in () if connect is None else connect.endpoints:
                port = open_.get((endpoint.alias, endpoint.port))
                whose = "" if one.arn == service.arn else f" of service {one.name}"
                said = f"{endpoint.alias}:{endpoint.port}{whose}"
                if port is None:
                    yield Obstacle(text=f"{said} has no address: none of its subnets has one left")
                elif not port.endpoints:
                    yield Obstacle(text=f"{said} leads to no task: none runs and passes its health checks")

    def _ports(self) -> Iterator[tuple[Door, DoorPort]]:
        for door in self._doors:
            for port in door.ports:
                if port.owner in self._services:
                    yield door, port

    def ways(self, service: ecs.Service) -> Iterator[tuple[ec2.End, ec2.End, int]]:
        """From each client to each task behind a name, where the service is one of both; alike ones once."""
        for _, port in self._ports():
            is_own = port.owner == service.arn
            clients = self._services.values() if is_own else (service,)
            for client in clients:
                if client.arn == port.owner:
                    continue
                for source in self._tasks(client):
                    for target, number in self._targets(port):
                        yield source, target, number

    def _tasks(self, client: ecs.Service) -> tuple[ec2.End, ...]:
        """Where a client's tasks are, one for each set of security groups."""
        live = [one for one in ecs.TaskRepo(self._tx).live_of_service(client.id) if one.started_at]
        rows = {one.instance_id for one in live if one.interface is None and one.instance_id is not None}
        hosts: Mapping[int, str] = {
            one.id: one.ec2_instance_id
            for one in (InstanceRepo(self._tx).get(row) for row in sorted(rows))
            if one is not None
        }
        found = (
            self._primaries.get(hosts.get(one.instance_id or 0, ""))
            if one.interface is None
            else self._by_address.get(one.interface.address)
            for one in live
        )
        return _alike(found, f"service {client.name}")

    def _targets(self, port: DoorPort) -> Iterator[tuple[ec2.End, int]]:
        name = f"service {self._services[port.owner].name}"
        for number in sorted({number for _, number in port.endpoints}):
            places = (self._by_address.get(address) for address, held in port.endpoints if held == number)
            for end in _alike(places, name):
                yield end, number


def _alike(interfaces: Iterable[ec2.NetworkInterface | None], name: str) -> tuple[ec2.End, ...]:
    """One end for each set of groups: the others are judged as it is."""
    found: dict[tuple[str, tuple[str, ...]], ec2.End] = {}
    for one in interfaces:
        if one is not None:
            found.setdefault((one.vpc_id, one.groups), end_of(one, name))
    return tuple(found.values())
