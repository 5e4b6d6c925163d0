"""From balancers to the proxy's whole configuration: the same balancers, the same configuration.

Every resource has a version that is a digest of its content, so that what did not change is never sent
again, not even by a control plane that has just begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from homeport.dataplane import access_logs, logins, tokens
from homeport.dataplane.clusters import NO_STANDING, Standing, cluster, cluster_name, endpoints
from homeport.dataplane.doors import door_clusters, door_listener, door_routes, doors
from homeport.dataplane.errors import UntranslatableError
from homeport.dataplane.listeners import listeners, routes_name, routing_zone
from homeport.dataplane.model import (
    Balancer,
    BalancerKind,
    BindAddress,
    Desync,
    Listener,
    Protocol,
    TlsMaterial,
)
from homeport.dataplane.routes import Place, in_order, route_configuration
from homeport.dataplane.rules import Forward
from homeport.dataplane.types import Body, digest

_SPOKEN = {
    BalancerKind.APPLICATION: frozenset({Protocol.HTTP, Protocol.HTTPS}),
    BalancerKind.NETWORK: frozenset({Protocol.TCP, Protocol.TLS, Protocol.UDP, Protocol.TCP_UDP}),
    BalancerKind.CLASSIC: frozenset({Protocol.HTTP, Protocol.HTTPS, Protocol.TCP, Protocol.TLS}),
}


class Kind(StrEnum):
    """The kinds of resources, by the type that the proxy asks for them with."""

    CLUSTER = "envoy.config.cluster.v3.Cluster"
    ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"
    LISTENER = "envoy.config.listener.v3.Listener"
    ROUTES = "envoy.config.route.v3.RouteConfiguration"
    SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One named part of the configuration. `balancer_id` says whose it is ("" for certificates and doors)."""

    name: str
    version: str
    body: Body = field(repr=False)
    balancer_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole configuration, and the balancers that are not in it with the reason."""

    resources: Mapping[Kind, Mapping[str, Resource]]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Equal for equal content."""
        return digest([[kind, name, r.version] for kind, r in self._all() for name in [r.name]])

    def _all(self) -> Iterator[tuple[str, Resource]]:
        for kind in sorted(self.resources):
            for name in sorted(self.resources[kind]):
                yield kind.value, self.resources[kind][name]


EMPTY = Snapshot(resources={kind: {} for kind in Kind})


def translate(
    balancers: Iterable[Balancer],
    materials: Iterable[TlsMaterial] = (),
    *,
    health_events_path: str,
    roots: str = tokens.ROOTS,
    standing: Standing = NO_STANDING,
) -> Snapshot:
    """The configuration of all balancers. One that cannot be made so is left out, and said in `refused`.

    `health_events_path` is where the proxy writes what its health checks find, `roots` a file of the
    authorities that it trusts when it fetches the keys of tokens, `standing` what health checks have led to.
    """
    found: dict[Kind, dict[str, Resource]] = {kind: {} for kind in Kind}
    refused: dict[str, str] = {}

    def add(kind: Kind, body: Body, balancer_id: str = "") -> None:
        name = body["cluster_name"] if kind is Kind.ENDPOINTS else body["name"]
        found[kind][name] = Resource(name=name, version=digest(body), body=body, balancer_id=balancer_id)

    served: list[Balancer] = []
    for balancer in sorted(balancers, key=lambda one: one.id):
        try:
            parts = list(_balancer(balancer, health_events_path, roots, standing))
        except UntranslatableError as error:
            refused[balancer.id] = str(error)
            continue
        served.append(balancer)
        for kind, body in parts:
            add(kind, body, balancer.id)
    for kind, body in _doors(served):
        add(kind, body)
    for material in sorted(materials, key=lambda one: one.id):
        body = _secret(material)
        found[Kind.SECRET][material.id] = Resource(name=material.id, version=digest(body), body=body)
    return Snapshot(resources=found, refused=refused)


def _doors(balancers: Iterable[Balancer]) -> Iterator[tuple[Kind, Body]]:
    for door in doors(balancers):
        for group, members in door_clusters(door):
            yield Kind.CLUSTER, group
            yield Kind.ENDPOINTS, members
        if door.plain:
            yield Kind.ROUTES, door_routes(door)
        yield Kind.LISTENER, door_listener(door)


def _balancer(
    balancer: Balancer, events_path: str, roots: str, standing: Standing
) -> Iterator[tuple[Kind, Body]]:
    groups = {group.id: group for group in balancer.groups}
    _check(balancer, frozenset(groups))
    for body in tokens.clusters(balancer, roots):
        yield Kind.CLUSTER, body
    for address in balancer.addresses:
        for group in balancer.groups:
            yield Kind.CLUSTER, cluster(balancer, group, address.zone, events_path)
            yield Kind.ENDPOINTS, endpoints(balancer, group, address.zone, standing)
        for listener in balancer.listeners:
            for body in listeners(balancer, listener, address):
                yield Kind.LISTENER, body
            if listener.protocol in _SPOKEN[BalancerKind.APPLICATION]:
                yield Kind.ROUTES, _routes(balancer, listener, address)


def _routes(balancer: Balancer, listener: Listener, address: BindAddress) -> Body:
    zone = routing_zone(balancer, address)
    place = Place(
        listener=listener,
        traffic=balancer.traffic,
        groups={group.id: group for group in balancer.groups},
        cluster_of=lambda group: cluster_name(balancer, group, address.zone),
        balancer_id=balancer.id,
        logs_in=bool(logins.guards(balancer)),
        logged=access_logs.writes(balancer) is not None,
    )
    return route_configuration(routes_name(balancer, listener, zone), place)


def _check(balancer: Balancer, groups: frozenset[str]) -> None:
    if balancer.traffic.desync is not Desync.DEFENSIVE:
        raise UntranslatableError("what two servers could read in two ways is always refused (defensive)")
    ports: set[tuple[int, bool]] = set()
    for listener in balancer.listeners:
        if listener.protocol not in _SPOKEN[balancer.kind]:
            raise UntranslatableError(f"a {balancer.kind} balancer does not speak {listener.protocol}")
        key = (listener.port, listener.protocol is Protocol.UDP)
        if key in ports:
            raise UntranslatableError(f"two listeners have port {listener.port}")
        ports.add(key)
        if [rule.priority for rule in listener.rules].count(None) != 1:
            raise UntranslatableError(f"listener {listener.id} does not have one default rule")
        for rule in in_order(listener.rules):
            named = rule.action.groups if isinstance(rule.action, Forward) else ()
            if missing := sorted(one.group_id for one in named if one.group_id not in groups):
                raise UntranslatableError(f"rule {rule.id} names {missing[0]}, which the balancer lacks")


def _secret(material: TlsMaterial) -> Body:
    certificate = {
        "certificate_chain": {"inline_string": material.chain.decode()},
        "private_key": {"inline_string": material.private_key.decode()},
    }
    return {"name": material.id, "tls_certificate": certificate}
