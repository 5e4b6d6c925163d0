"""A proxy's conversation, held with a model of a proxy: what it has at every moment, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from homeport.dataplane.session import PRIMED, Session, Update
from homeport.dataplane.translate import Kind, Resource, Snapshot

WILD = (Kind.CLUSTER, Kind.LISTENER)


def snapshot(balancers: dict[str, tuple[str, ...]], *, targets: str = "1") -> Snapshot:
    """Each balancer is a listener with its routes to these groups."""
    found: dict[Kind, dict[str, Resource]] = {kind: {} for kind in Kind}

    def put(kind: Kind, name: str, version: str, owner: str, **body: object) -> None:
        found[kind][name] = Resource(name=name, version=version, body=dict(body), balancer_id=owner)

    for owner, groups in balancers.items():
        for group in groups:
            put(Kind.CLUSTER, group, "1", owner)
            put(Kind.ENDPOINTS, group, targets, owner)
        put(Kind.LISTENER, owner, "1", owner, routes=owner)
        put(Kind.ROUTES, owner, "/".join(groups), owner, groups=groups)
    return Snapshot(resources=found)


@dataclass(slots=True)
class Proxy:
    """What Envoy does: takes updates, asks for what groups and listeners refer to, refuses some names."""

    session: Session
    refuses: frozenset[str] = frozenset()
    has: dict[Kind, dict[str, Resource]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    log: list[Update] = field(default_factory=list)

    def begin(self) -> None:
        for kind in WILD:
            self.session.ask(kind, has={name: one.version for name, one in self.has[kind].items()})

    def step(self) -> bool:
        updates = self.session.updates()
        for update in updates:
            self.take(update)
        return bool(updates)

    def settle(self) -> None:
        for _ in range(200):
            if not self.step():
                return
        raise AssertionError("it never ends")

    def take(self, update: Update) -> None:
        self.log.append(update)
        kind, of_kind = update.kind, self.has[update.kind]
        good = [one for one in update.resources if one.name not in self.refuses]
        bad = [one.name for one in update.resources if one.name in self.refuses]
        before = set(of_kind)
        of_kind.update({one.name: one for one in good})
        for name in update.removed:
            of_kind.pop(name, None)
        error = f"cannot take {', '.join(bad)}" if bad else ""
        self.session.ask(kind, nonce=update.nonce, error=error)
        follows = {Kind.CLUSTER: Kind.ENDPOINTS, Kind.LISTENER: Kind.ROUTES}.get(kind)
        if follows is not None:
            gone = before - set(of_kind)
            for name in gone:
                self.has[follows].pop(name, None)
            self.session.ask(follows, subscribe=set(of_kind) - before, unsubscribe=gone)
        self.check()

    def check(self) -> None:
        """No rule of the proxy's leads to a group that is not there, or has not had its targets."""
        for routes in self.has[Kind.ROUTES].values():
            for group in routes.body["groups"]:
                assert group in self.has[Kind.CLUSTER], f"{routes.name} leads to {group}, which is gone"
                assert self.has[Kind.ENDPOINTS][group].version != PRIMED


GROUPS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)
WORLDS = st.dictionaries(st.sampled_from(["x", "y"]), GROUPS).map(
    lambda world: {owner: tuple(f"{owner}-{group}" for group in groups) for owner, groups in world.items()}
)


@given(st.lists(st.tuples(WORLDS, st.sampled_from("12"), st.integers(0, 3)), min_size=1, max_size=6))
def test_no_rule_ever_leads_to_a_group_that_is_not_ready(
    worlds: list[tuple[dict[str, tuple[str, ...]], str, int]],
) -> None:
    proxy = Proxy(Session())
    proxy.begin()
    for world, targets, steps in worlds:
        proxy.session.want(snapshot(world, targets=targets))
        for _ in range(steps):  # the next wish may come in the middle of things
            proxy.step()
    proxy.settle()
    wanted = snapshot(worlds[-1][0], targets=worlds[-1][1])
    assert proxy.session.settled
    assert {kind: dict(of_kind) for kind, of_kind in wanted.resources.items()} == proxy.has


def test_a_proxy_that_has_it_all_is_sent_nothing() -> None:
    wanted = snapshot({"x": ("x-a",)})
    first = Proxy(Session())
    first.session.want(wanted)
    first.begin()
    first.settle()
    again = Proxy(Session(), has=first.has)
    again.session.want(wanted)
    again.begin()
    for kind, names in ((Kind.ENDPOINTS, ["x-a"]), (Kind.ROUTES, ["x"])):
        has = {name: first.has[kind][name].version for name in names}
        again.session.ask(kind, subscribe=names, has=has)
    again.settle()
    assert [one for update in again.log for one in update.resources] == []
    assert again.session.settled


def test_nothing_is_said_before_something_is_wanted() -> None:
    proxy = Proxy(Session())
    proxy.begin()
    assert not proxy.step()
    assert not proxy.session.settled


def test_what_is_refused_is_found_alone_and_its_balancer_keeps_what_it_has() -> None:
    proxy = Proxy(Session(), refuses=frozenset({"x-b"}))
    proxy.begin()
    proxy.session.want(snapshot({"x": ("x-a",), "y": ("y-a",)}))
    proxy.settle()
    proxy.session.want(snapshot({"x": ("x-b",), "y": ("y-b",)}))
    proxy.settle()
    (rejection,) = proxy.session.rejections
    assert (rejection.kind, rejection.name, rejection.balancer_id) == (Kind.CLUSTER, "x-b", "x")
    assert rejection.message == "cannot take x-b"
    assert proxy.has[Kind.ROUTES]["x"].body["groups"] == ("x-a",)
    assert proxy.has[Kind.ROUTES]["y"].body["groups"] == ("y-b",)
    assert proxy.session.settled
    sent = len(proxy.log)
    proxy.settle()
    assert len(proxy.log) == sent, "it is not sent again"
    proxy.refuses = frozenset()
    proxy.session.retry()
    proxy.settle()
    assert proxy.session.rejections == ()
    assert proxy.has[Kind.ROUTES]["x"].body["groups"] == ("x-b",)
    assert "x-a" not in proxy.has[Kind.CLUSTER]
