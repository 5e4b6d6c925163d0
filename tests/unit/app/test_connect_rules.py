"""Doors of Service Connect let in exactly whom the tasks behind them let in."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from homeport.app.discovery.doors import Door, DoorPort, balancers_of
from homeport.app.discovery.rules import with_doors
from homeport.dataplane.translate import Kind, translate
from homeport.node.firewall.model import ANY, Allow, Interface, Rules, State

DOOR = "10.0.0.9"
PORT = 80
SERVERS, CLIENTS = ("10.0.1.1", "10.0.1.2"), ("10.0.2.1", "10.0.2.2", "10.0.3.1")
GROUPS = ("sg-a", "sg-b", "sg-c")
RANGES = ("0.0.0.0/0", "10.0.2.0/24", "10.0.2.1/32", "10.0.3.0/24", f"{DOOR}/32", "10.0.1.1/32")


@st.composite
def allows(draw: st.DrawFn) -> Allow:
    protocol = draw(st.sampled_from([6, 17, ANY]))
    low = ANY if protocol == ANY else draw(st.sampled_from([1, 8080, 8081]))
    high = ANY if protocol == ANY else draw(st.sampled_from([low, 8081]))
    if draw(st.booleans()):
        return Allow(protocol, low, high, cidr=draw(st.sampled_from(RANGES)))
    return Allow(protocol, low, high, group=draw(st.sampled_from(GROUPS)))


@st.composite
def states(draw: st.DrawFn) -> tuple[State, Door]:
    member = st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2, unique=True).map(
        lambda found: tuple(sorted(found))
    )
    interfaces = [Interface(address=one, groups=draw(member)) for one in (*SERVERS, *CLIENTS)]
    door = Interface(address=DOOR, groups=("sg-a",))
    some = st.lists(allows(), max_size=3).map(tuple)
    rules = {one.groups: Rules(ingress=draw(some), egress=draw(some)) for one in (*interfaces, door)}
    ends = draw(
        st.lists(st.tuples(st.sampled_from(SERVERS), st.sampled_from([8080, 8081])), max_size=3, unique=True)
    )
    port = DoorPort(port=PORT, protocol="http", idle_seconds=1, request_seconds=1, endpoints=tuple(ends))
    made = Door(interface_id="eni-1", address=DOOR, ports=(port,))
    return State(interfaces=(*interfaces, door), rules=rules), made


def passes(state: State, source: str, target: str, port: int, *, way: str) -> bool:
    """Whether one end's rules let a connection begin: `ingress` of the target, `egress` of the source."""
    there = {one.address: one for one in state.interfaces}
    guard, peer = (there[target], source) if way == "ingress" else (there[source], target)
    return any(
        (one.protocol == ANY or (one.protocol == 6 and one.low <= port <= one.high))
        and (IPv4Address(peer) in IPv4Network(one.cidr) if one.cidr else one.group in there[peer].groups)
        for one in getattr(state.rules[guard.groups], way)
    )


@given(states())
def test_a_client_gets_in_only_where_every_task_lets_it_in(made: tuple[State, Door]) -> None:
    state, door = made
    after = with_doors(state, [door])
    for client in CLIENTS:
        each = [passes(state, client, *end, way="ingress") for end in door.ports[0].endpoints]
        if passes(after, client, DOOR, PORT, way="ingress"):
            assert all(each)
        if len(set(door.ports[0].endpoints)) == 1:
            assert passes(after, client, DOOR, PORT, way="ingress") is each[0]
        assert not passes(after, client, DOOR, 8080, way="ingress")


@given(states())
def test_who_may_go_to_every_task_may_go_to_the_door(made: tuple[State, Door]) -> None:
    state, door = made
    ends, after = door.ports[0].endpoints, with_doors(state, [door])
    for client in CLIENTS:
        if ends and all(passes(state, client, *end, way="egress") for end in ends):
            assert passes(after, client, DOOR, PORT, way="egress")


@given(states())
def test_the_proxy_gets_to_every_task_and_nobody_else_gets_further_than_before(
    made: tuple[State, Door],
) -> None:
    state, door = made
    after = with_doors(state, [door])
    for end in door.ports[0].endpoints:
        assert passes(after, DOOR, *end, way="egress")
        assert passes(after, DOOR, *end, way="ingress")
    for client in CLIENTS:
        for server in SERVERS:
            for port in (1, 8080, 8081):
                for way in ("ingress", "egress"):
                    was = passes(state, client, server, port, way=way)
                    assert passes(after, client, server, port, way=way) is was


def test_without_doors_nothing_is_another() -> None:
    state = State(interfaces=(Interface(address=DOOR, groups=("sg-a",)),), rules={("sg-a",): Rules()})
    assert with_doors(state, []) is state


def test_the_proxy_understands_every_protocol_and_its_timeouts() -> None:
    port = DoorPort(
        port=1, protocol="http", idle_seconds=7, request_seconds=3, endpoints=((SERVERS[0], 8080),)
    )
    ports = [
        replace(port, port=n, protocol=p) for n, p in enumerate(("http", "http2", "grpc", "tcp"), start=1)
    ]
    door = Door(interface_id="eni-1", address=DOOR, ports=tuple(ports))
    made = translate(balancers_of([door]), health_events_path="events")
    assert not made.refused
    assert len(made.resources[Kind.LISTENER]) == 4
    bodies = [str(one.body) for one in made.resources[Kind.LISTENER].values()]
    codecs = [next((c for c in ("HTTP2", "HTTP1") if f"'codec_type': '{c}'" in one), "") for one in bodies]
    assert sorted(codecs) == ["", "HTTP1", "HTTP2", "HTTP2"]
    assert all("'timeout': '3s'" in str(one.body) for one in made.resources[Kind.ROUTES].values())
    assert len(made.resources[Kind.ROUTES]) == 3
