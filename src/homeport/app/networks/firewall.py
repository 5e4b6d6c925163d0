"""EC2's interfaces and security groups, as the packets of this machine obey them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from homeport.app.discovery.doors import read_doors
from homeport.app.discovery.gate import DoorGate, Way, ways_of
from homeport.app.discovery.rules import with_doors
from homeport.app.networks.instances import PRIMARY
from homeport.core.clock import Clock
from homeport.core.log import get_logger
from homeport.node.firewall.kernel import Firewall
from homeport.node.firewall.model import Allow, Groups, Interface, Rules, State
from homeport.node.firewall.translate import translate
from homeport.node.sandbox.layout import Block
from homeport.runtime.pump import FeedPump, Route
from homeport.runtime.queue import WorkQueue
from homeport.runtime.runner import Next, Runner
from homeport.runtime.supervisor import Supervisor
from homeport.services.ec2 import manifest as ec2
from homeport.services.servicediscovery import manifest as cloud_map
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("app.firewall")

KINDS = frozenset({"ec2.network-interface", "ec2.security-group-rule", "ec2.vpc", cloud_map.SERVICE_CHANGED})
KEY = "table"
"""There is one table, made of all rows: whatever changed, it is looked at as a whole."""
OPEN_ADDRESSES = ("169.254.169.253", "169.254.169.254", "169.254.170.2")
"""DNS, and metadata of instances and tasks. Source: VPC user guide, "Security groups": they filter none."""
DNS_OFFSET = 2
"""Of a VPC's resolver in its range. Source: VPC user guide, "Amazon DNS server"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """Addresses of containers that have none of a VPC, by their instance's."""

    blocks: Mapping[str, tuple[str, ...]]


NOTHING_INNER = Inner(blocks={})


class VpcFirewall:
    """A controller of one key. What is in the kernel stays when this process ends."""

    name = "vpc.firewall"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        firewall: Firewall,
        *,
        home_range: str,
        gate: DoorGate | None = None,
    ) -> None:
        """`home_range`: guarded also while no VPC has it. `gate`: by which Service Connect's proxy knows."""
        self._store = store
        self._clock = clock
        self._firewall = firewall
        self._home_range = home_range
        self._inner = NOTHING_INNER
        self._queue = WorkQueue[str]()
        self._gate = gate or DoorGate()

    def start(self, supervisor: Supervisor) -> None:
        """Follow the rows from now on."""
        self._gate.guard(lambda: self._queue.add(KEY))

        async def keys() -> Sequence[str]:
            return (KEY,)

        route = Route(kinds=KINDS, queue=self._queue, list_keys=keys, keys_of=lambda _: (KEY,))
        pump = FeedPump(self._store.feed.subscribe, [route])
        supervisor.start("firewall-feed", pump.run)
        supervisor.start("firewall", Runner(self, self._queue, self._clock).run)
        if self._firewall.can_watch:
            supervisor.start("firewall-watch", lambda: self._firewall.watch(self.doubt))

    def know(self, blocks: Iterable[Block] = ()) -> None:
        """Which inner addresses are which instance's.

        Without them containers are strangers: those of an earlier process must be known before all else.
        """
        found: dict[str, tuple[str, ...]] = defaultdict(tuple)
        for block in blocks:
            found[block.instance_address] += (str(block.network),)
        self._inner = Inner(blocks=found)
        self._queue.add(KEY)

    def doubt(self) -> None:
        """Somebody else changed the table: make it anew."""
        self._firewall.doubt()
        self._queue.add(KEY)

    async def reconcile(self, key: str) -> Next:
        """Read everything, and make the table be that."""
        del key
        inner = self._inner
        used = self._gate.used
        state, ways = await self._store.read(lambda tx: read_all(tx, inner, self._home_range, used))
        await self._firewall.apply(translate(state))
        self._gate.opened(ways | used)
        return Next()


def read_state(tx: Tx, inner: Inner, home_range: str) -> State:
    """What packets must obey now."""
    return read_all(tx, inner, home_range)[0]


def read_all(
    tx: Tx, inner: Inner, home_range: str, used: frozenset[Way] = frozenset()
) -> tuple[State, frozenset[Way]]:
    """What packets must obey now, and where Service Connect's proxy may go by the rows.

    `used`: where it may go besides, because it has not heard yet that it need not any more.
    """
    vpcs, interfaces = ec2.standing_vpcs(tx), ec2.interfaces_everywhere(tx)
    networks = tuple(dict.fromkeys([*(one.cidr for one in vpcs), *([home_range] if home_range else [])]))
    state = State(
        interfaces=tuple(_interface(one, inner) for one in interfaces),
        rules=_rules({_groups(one) for one in interfaces}, ec2.rules_everywhere(tx)),
        networks=networks,
        open_addresses=OPEN_ADDRESSES,
        resolvers=tuple(sorted({str(IPv4Network(one)[DNS_OFFSET]) for one in networks})),
    )
    doors = read_doors(tx, interfaces)
    redirects = {one for door in doors for port in door.ports for one in port.redirects}
    state = replace(state, redirects=tuple(sorted(redirects)))
    return with_doors(state, doors, used), ways_of(doors)


def _groups(one: ec2.NetworkInterface) -> Groups:
    return tuple(sorted(one.groups))


def _interface(one: ec2.NetworkInterface, inner: Inner) -> Interface:
    held = one.attachment
    is_instance = held is not None and bool(held.instance_id) and held.device_index == PRIMARY
    return Interface(
        address=one.address,
        groups=_groups(one),
        is_guarded=bool(one.groups),
        is_instance=is_instance,
        inner=inner.blocks.get(one.address, ()) if is_instance else (),
    )


def _rules(used: Iterable[Groups], rules: Iterable[ec2.Rule]) -> dict[Groups, Rules]:
    by_group: dict[str, list[ec2.Rule]] = defaultdict(list)
    for rule in rules:
        by_group[rule.group_id].append(rule)
    found = {}
    for groups in used:
        effective = ec2.effective_rules(groups, [rule for group in groups for rule in by_group[group]])
        found[groups] = Rules(ingress=_allows(effective.ingress), egress=_allows(effective.egress))
    return found


def _allows(given: Iterable[ec2.Allow]) -> tuple[Allow, ...]:
    """IPv6's ranges mean nothing here: no interface has such an address."""
    return tuple(
        Allow(one.protocol, one.low, one.high, cidr=one.cidr, group=one.group_id)
        for one in given
        if ":" not in one.cidr
    )
