"""One proxy's conversation about its configuration: what it has, what it wants, what is to be sent next.

Sans-I/O: `ask` takes what the proxy said, `updates` gives what to send. The rules, in which order things
happen so that no request meets a rule whose group is not there:

- A group is sent without targets first, so that it need not wait for its targets' first health checks to
  be there; then with them.
- Listeners and rules follow when all groups have their targets, and groups go when nobody names them.
- Everything has one update in flight per kind. What was refused is asked about again one by one, so that
  each refusal is about one resource; it is not sent again before it is another, and its balancer keeps
  the rules that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from homeport.dataplane.translate import EMPTY, Kind, Resource, Snapshot
from homeport.dataplane.types import Body

PRIMED = "primed"
"""The version of a group's targets that says: none yet."""
BY_WILDCARD = frozenset({Kind.CLUSTER, Kind.LISTENER})
IN_ORDER = (Kind.SECRET, Kind.CLUSTER, Kind.ENDPOINTS, Kind.LISTENER, Kind.ROUTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """What the proxy would not take, and why in its own words. What it had before stays in force."""

    kind: Kind
    name: str
    version: str
    balancer_id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What is to be sent now. `version` and `body` of each resource; `removed` are names."""

    kind: Kind
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Talk:
    """The conversation about one kind."""

    asked: bool = False
    greeted: bool = False
    """Whether it was told anything: who asks for all of a kind waits to hear that there is nothing."""
    names: set[str] = field(default_factory=set)
    has: dict[str, str] = field(default_factory=dict)
    sent: Update | None = None
    alone: list[str] = field(default_factory=list)
    rejected: dict[str, Rejection] = field(default_factory=dict)


class Session:
    """See the module. One per connection of a proxy; it is asked to send after every change."""

    def __init__(self) -> None:
        self._wanted: Snapshot | None = None
        self._talks = {kind: _Talk() for kind in Kind}
        self._nonces = 0

    def want(self, snapshot: Snapshot) -> None:
        """What the proxy shall have from now on."""
        self._wanted = snapshot
        for kind, talk in self._talks.items():
            wanted = snapshot.resources[kind]
            talk.rejected = {
                name: one
                for name, one in talk.rejected.items()
                if name in wanted and wanted[name].version == one.version
            }

    def ask(
        self,
        kind: Kind,
        *,
        nonce: str = "",
        error: str = "",
        subscribe: Iterable[str] = (),
        unsubscribe: Iterable[str] = (),
        has: Mapping[str, str] | None = None,
    ) -> None:
        """What the proxy says about one kind: what it wants, what it has, what it thinks of an update."""
        talk = self._talks[kind]
        talk.asked = True
        talk.has.update(has or {})
        talk.names.update(name for name in subscribe if name != "*")
        for name in unsubscribe:
            talk.names.discard(name)
            talk.has.pop(name, None)
        if talk.sent is not None and nonce == talk.sent.nonce:
            self._answered(talk, talk.sent, error)

    def _answered(self, talk: _Talk, sent: Update, error: str) -> None:
        talk.sent = None
        if not error:
            for resource in sent.resources:
                talk.has[resource.name] = resource.version
            for name in sent.removed:
                talk.has.pop(name, None)
        elif len(sent.resources) + len(sent.removed) > 1:
            talk.alone = [resource.name for resource in sent.resources]
            for name in sent.removed:
                talk.has.pop(name, None)
        else:
            for resource in sent.resources:
                talk.rejected[resource.name] = Rejection(
                    kind=sent.kind,
                    name=resource.name,
                    version=resource.version,
                    balancer_id=resource.balancer_id,
                    message=error,
                )

    def retry(self) -> None:
        """Send again what was refused: an address may be there now, a port free."""
        for talk in self._talks.values():
            talk.rejected.clear()
            talk.alone = []

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What is refused now."""
        return tuple(talk.rejected[name] for talk in self._talks.values() for name in sorted(talk.rejected))

    @property
    def settled(self) -> bool:
        """Whether the proxy has all that it is to have, but for what it refused."""
        if self._wanted is None or any(talk.sent for talk in self._talks.values()):
            return False
        if not (self._talks[Kind.CLUSTER].asked and self._talks[Kind.LISTENER].asked):
            return False
        if self._rules_settled() and self._extra(Kind.CLUSTER):  # else a refused rule may need them
            return False
        if self._extra(Kind.LISTENER):
            return False
        return all(not self._missing(kind) for kind in BY_WILDCARD) and all(
            self._has_all(kind) for kind in (Kind.ENDPOINTS, Kind.ROUTES)
        )

    def _has_all(self, kind: Kind) -> bool:
        """Of what is asked for by name, everything that the snapshot has and the proxy must have."""
        talk, held = self._talks[kind], self._held()
        unasked: frozenset[str] = frozenset()
        if kind is Kind.ROUTES:  # nobody asks for the rules of a listener that was refused at once
            unasked = frozenset(one.balancer_id for one in self._talks[Kind.LISTENER].rejected.values())
        return all(
            talk.has.get(name) == one.version or name in talk.rejected
            for name, one in self._resources(kind).items()
            if one.balancer_id not in held and (one.balancer_id not in unasked or name in talk.names)
        )

    def updates(self) -> tuple[Update, ...]:
        """What to send now; nothing until something is wanted."""
        if self._wanted is None:
            return ()
        found = [update for kind in IN_ORDER if (update := self._next(kind)) is not None]
        return tuple(found)

    def _resources(self, kind: Kind) -> Mapping[str, Resource]:
        return (self._wanted or EMPTY).resources[kind]

    def _held(self) -> frozenset[str]:
        """Balancers with a refused group or certificate keep the rules that they have."""
        kinds = (Kind.CLUSTER, Kind.ENDPOINTS)
        return frozenset(one.balancer_id for kind in kinds for one in self._talks[kind].rejected.values())

    def _missing(self, kind: Kind) -> list[Resource]:
        talk, wanted = self._talks[kind], self._resources(kind)
        held = self._held() if kind in (Kind.LISTENER, Kind.ROUTES) else frozenset[str]()
        names = sorted(wanted) if kind in BY_WILDCARD else sorted(talk.names & wanted.keys())
        return [
            wanted[name]
            for name in names
            if talk.has.get(name) != wanted[name].version
            and name not in talk.rejected
            and wanted[name].balancer_id not in held
        ]

    def _extra(self, kind: Kind) -> list[str]:
        talk, wanted = self._talks[kind], self._resources(kind)
        if kind is Kind.CLUSTER and self._held():
            return []
        if kind in BY_WILDCARD:
            return sorted(talk.has.keys() - wanted.keys())
        return []

    def _next(self, kind: Kind) -> Update | None:
        talk = self._talks[kind]
        if not talk.asked or talk.sent is not None or not self._may(kind):
            return None
        missing = self._missing(kind)
        if kind is Kind.ENDPOINTS:
            missing = [one if one.name in talk.has else _primed(one) for one in missing]
        by_name = {one.name: one for one in missing}
        talk.alone = [name for name in talk.alone if name in by_name]
        if talk.alone:
            return self._send(kind, [by_name[talk.alone.pop(0)]])
        removed = self._extra(kind) if kind is not Kind.CLUSTER or self._rules_settled() else []
        if kind is Kind.CLUSTER and missing:
            removed = []
        welcome = kind in BY_WILDCARD and not talk.greeted
        return self._send(kind, missing, removed) if missing or removed or welcome else None

    def _send(self, kind: Kind, resources: list[Resource], removed: Iterable[str] = ()) -> Update:
        self._nonces += 1
        update = Update(
            kind=kind, nonce=f"{self._nonces}", resources=tuple(resources), removed=tuple(removed)
        )
        self._talks[kind].sent = update
        self._talks[kind].greeted = True
        return update

    def _may(self, kind: Kind) -> bool:
        return kind not in (Kind.LISTENER, Kind.ROUTES) or self._groups_ready()

    def _groups_ready(self) -> bool:
        clusters, targets = self._talks[Kind.CLUSTER], self._talks[Kind.ENDPOINTS]
        if self._missing(Kind.CLUSTER) or (clusters.sent is not None and clusters.sent.resources):
            return False
        return all(
            targets.has.get(name, PRIMED) != PRIMED or name in clusters.rejected or name in targets.rejected
            for name in self._resources(Kind.ENDPOINTS)
        )

    def _rules_settled(self) -> bool:
        """Nobody names a group any more that is to go."""
        routes, places = self._talks[Kind.ROUTES], self._talks[Kind.LISTENER]
        if routes.sent is not None or places.sent is not None:
            return False
        refused = (*routes.rejected.values(), *places.rejected.values())
        if any(one.balancer_id for one in refused):
            return False
        return not (self._missing(Kind.ROUTES) or self._missing(Kind.LISTENER) or self._extra(Kind.LISTENER))


def _primed(resource: Resource) -> Resource:
    body: Body = {"cluster_name": resource.name}
    return Resource(name=resource.name, version=PRIMED, body=body, balancer_id=resource.balancer_id)
