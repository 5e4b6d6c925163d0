"""One passing check is enough for a target that never was healthy, also after failures: in virtual time.

The proxy of these tests is a model of the real one's rule: the very first check decides alone, later ones
count to the threshold. That the real one does so is shown in `tests/dataplane/test_probation.py`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from homeport.dataplane.clusters import Standing, cluster_name
from homeport.dataplane.health import Checked, HealthState, Verdict
from homeport.dataplane.health_book import HealthBook, Remembered
from homeport.dataplane.model import Balancer, BalancerKind, BindAddress, HealthCheck, Target, TargetGroup
from homeport.dataplane.translate import Kind, translate

A, B = Target(address="10.0.0.1", port=80), Target(address="10.0.0.2", port=80)
G = "targetgroup/g/1"


def balancer(check: HealthCheck, *targets: Target) -> Balancer:
    return Balancer(
        id="app/web/1",
        kind=BalancerKind.APPLICATION,
        addresses=(BindAddress(address="10.0.0.9"),),
        groups=(TargetGroup(id=G, targets=targets or (A,), health_check=check),),
    )


def name_of(check: HealthCheck) -> str:
    one = balancer(check)
    return cluster_name(one, one.groups[0], "")


class Proxy:
    """The real one's rule for one target, and a control plane that follows its news after `lag` seconds."""

    def __init__(self, check: HealthCheck, lag: float = 0.0) -> None:
        self.check, self.lag, self.cluster = check, lag, name_of(check)
        self.book = HealthBook()
        self.book.expect([balancer(check)])
        self.round, self.first, self.out = 0, True, True
        self.passes = self.failures = 0
        self.next_check = 0.0
        self.asked: list[tuple[float, bool]] = []

    @property
    def state(self) -> HealthState:
        return self.book.of(G)[A.key].state

    def run(self, until: float, *, listens_at: float) -> None:
        """On to this moment; checks pass from `listens_at` on."""
        while True:
            due = self.book.next_round_at()
            renewed = float("inf") if due is None else due + self.lag
            now = min(renewed, self.next_check)
            if now > until:
                return
            if renewed < self.next_check:
                self.book.renew(now)
                self._told(now)
            else:
                self._check(now, passes=now >= listens_at)

    def _told(self, now: float) -> None:
        if (wanted := self.book.standing().rounds.get((self.cluster, A.key), 0)) != self.round:
            self.round, self.first, self.passes, self.failures = wanted, True, 0, 0
            self.next_check = now

    def _check(self, now: float, *, passes: bool) -> None:
        self.asked.append((now, passes))
        first, self.first = self.first, False
        self.next_check = now + self.check.interval_seconds
        said = Checked(cluster=self.cluster, key=A.key, verdict=Verdict.FAILED, first=first, at=now)
        if passes:
            self.failures, self.passes = 0, self.passes + 1
            if self.out and (first or self.passes == self.check.healthy_threshold):
                self.out = False
                self.book.observe(replace(said, verdict=Verdict.IN))
            self.book.observe(replace(said, verdict=Verdict.PASSED))
            return
        self.passes, self.failures = 0, self.failures + 1
        if not self.out and self.failures == self.check.unhealthy_threshold:
            self.out = True
            self.book.observe(replace(said, verdict=Verdict.OUT))
        self.book.observe(said)


checks = st.builds(
    HealthCheck,
    interval_seconds=st.integers(5, 300),
    healthy_threshold=st.integers(2, 10),
    unhealthy_threshold=st.integers(2, 10),
)


@given(check=checks, part=st.floats(0.0, 1.0), lag=st.floats(0.0, 0.4))
def test_a_target_that_was_asked_too_early_is_healthy_with_its_first_passing_check(
    check: HealthCheck, part: float, lag: float
) -> None:
    proxy = Proxy(check, lag)
    tries = check.unhealthy_threshold - 1
    listens_at = part * (tries * (check.interval_seconds - 1.0))
    proxy.run(listens_at, listens_at=listens_at)
    assert proxy.state in (HealthState.INITIAL, HealthState.HEALTHY)
    proxy.run(listens_at + check.interval_seconds, listens_at=listens_at)
    assert proxy.state is HealthState.HEALTHY
    assert [passes for _, passes in proxy.asked].count(True) <= 2, "one decides (and the next may be due)"
    times = [at for at, _ in proxy.asked]
    assert all(b - a >= check.interval_seconds - 1.0 for a, b in pairwise(times))


@given(check=checks, lag=st.floats(0.0, 0.4))
def test_it_is_unhealthy_after_its_threshold_of_failures_and_then_every_pass_counts(
    check: HealthCheck, lag: float
) -> None:
    proxy = Proxy(check, lag)
    for count in range(1, check.unhealthy_threshold + 1):
        while len(proxy.asked) < count:
            proxy.run(proxy.next_check, listens_at=float("inf"))
        wanted = HealthState.UNHEALTHY if count == check.unhealthy_threshold else HealthState.INITIAL
        assert proxy.state is wanted
    assert proxy.book.next_round_at() is None
    since = proxy.next_check
    last = since + (check.healthy_threshold - 1) * check.interval_seconds
    seen = []
    for until in (last - 0.001, last):
        proxy.run(until, listens_at=since)
        seen.append(proxy.state)
    assert seen == [HealthState.UNHEALTHY, HealthState.HEALTHY]


@given(check=checks)
def test_where_the_first_pass_is_not_trusted_every_pass_counts_and_traffic_waits(check: HealthCheck) -> None:
    wary = replace(check, trusts_first_pass=False)
    proxy = Proxy(wary)
    last = (wary.healthy_threshold - 1) * wary.interval_seconds
    withheld = frozenset({(proxy.cluster, A.key)})
    proxy.run(last - 1.0, listens_at=0.0)
    assert (proxy.state, proxy.book.standing().withheld) == (HealthState.INITIAL, withheld)
    proxy.run(last, listens_at=0.0)
    assert (proxy.state, proxy.book.standing()) == (HealthState.HEALTHY, Standing())
    proxy.run(last + 20 * wary.interval_seconds, listens_at=float("inf"))
    assert (proxy.state, proxy.book.standing()) == (HealthState.UNHEALTHY, Standing())


def test_two_failures_of_one_moment_are_one() -> None:
    check = HealthCheck(unhealthy_threshold=2)
    book, said = HealthBook(), Checked(cluster=name_of(check), key=A.key, verdict=Verdict.FAILED, at=100.0)
    book.expect([balancer(check)])
    assert book.observe(said) is None
    assert book.next_round_at() == 129.0
    assert book.observe(replace(said, at=100.2)) is None, "the next round's check beside the proxy's own"
    assert book.of(G)[A.key].state is HealthState.INITIAL
    assert book.observe(replace(said, at=129.0)) is not None


def test_the_next_control_plane_knows_who_was_unhealthy_and_how_often_who_was_asked() -> None:
    check = HealthCheck(unhealthy_threshold=3)
    one, cluster = balancer(check, A, B), name_of(check)
    book = HealthBook()
    book.expect([one])
    for key, times in ((A.key, 3), (B.key, 2)):
        for count in range(times):
            book.renew(29.0 * count)
            said = Checked(cluster=cluster, key=key, verdict=Verdict.FAILED, at=29.0 * count)
            book.observe(said)
    kept = msgspec.json.decode(msgspec.json.encode(book.remembered()), type=tuple[Remembered, ...])
    heir = HealthBook(kept)
    assert heir.remembered() == kept, "also before it knows what is to be served"
    heir.expect([one])
    assert (heir.of(G), heir.standing(), heir.next_round_at()) == (book.of(G), book.standing(), 58.0)
    assert [heir.of(G)[key].state for key in (A.key, B.key)] == [HealthState.UNHEALTHY, HealthState.INITIAL]
    heir.expect([balancer(check, A)])
    heir.expect([one])
    assert heir.of(G)[B.key].state is HealthState.INITIAL
    assert (cluster, B.key) not in heir.standing().rounds, "who comes back is new"


def test_a_proxy_that_was_begun_anew_has_proved_nobody() -> None:
    check = HealthCheck()
    book, cluster = HealthBook(), name_of(check)
    book.expect([balancer(check)])
    book.confirm(frozenset({(cluster, A.key)}))
    assert book.of(G)[A.key].state is HealthState.HEALTHY
    book.doubt()
    book.confirm(frozenset())
    said = Checked(cluster=cluster, key=A.key, verdict=Verdict.FAILED)
    assert book.observe(said) is None
    assert book.observe(replace(said, at=29.0)) is not None, "no news of its being out will come"


def test_another_round_is_another_place_of_the_same_target_and_the_others_stay_as_they_are() -> None:
    check = HealthCheck()
    cluster = name_of(check)
    standing = Standing(rounds={(cluster, B.key): 2})
    found = translate([balancer(check, A, B)], health_events_path="/e", standing=standing)
    body = found.resources[Kind.ENDPOINTS][cluster].body
    places = {
        host["endpoint"]["address"]["socket_address"]["address"]: place.get("locality")
        for place in body["endpoints"]
        for host in place["lb_endpoints"]
    }
    assert places == {A.address: None, B.address: {"sub_zone": "2"}}
