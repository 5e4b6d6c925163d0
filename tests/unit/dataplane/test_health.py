"""ELB's states from what the proxy says."""

from __future__ import annotations

from homeport.dataplane.clusters import cluster_name
from homeport.dataplane.health import (
    Checked,
    Failure,
    HealthState,
    Verdict,
    read_event,
    read_healthy,
)
from homeport.dataplane.health_book import HealthBook
from homeport.dataplane.model import Balancer, BalancerKind, BindAddress, HealthCheck, Target, TargetGroup

A = Target(address="10.0.0.1", port=80)
G = "targetgroup/g/1"


def balancer(*targets: Target, **check: int) -> Balancer:
    group = TargetGroup(id=G, targets=targets, health_check=HealthCheck(**check))  # type: ignore[arg-type]
    return Balancer(
        id="app/web/1",
        kind=BalancerKind.APPLICATION,
        addresses=(BindAddress(address="10.0.0.9"),),
        groups=(group,),
    )


def cluster(one: Balancer) -> str:
    return cluster_name(one, one.groups[0], "")


def failed(
    one: Balancer, failure: Failure = Failure.NETWORK, *, ejected: bool = False, at: float = 0.0
) -> Checked:
    verdict = Verdict.OUT if ejected else Verdict.FAILED
    return Checked(cluster=cluster(one), key=A.key, verdict=verdict, failure=failure, at=at)


def passed(one: Balancer, *, first: bool = True) -> Checked:
    return Checked(cluster=cluster(one), key=A.key, verdict=Verdict.IN, first=first)


def test_one_pass_makes_an_initial_target_healthy() -> None:
    book, one = HealthBook(), balancer(A)
    (first,) = book.expect([one])
    assert (first.health.state, first.health.reason) == (HealthState.INITIAL, "Elb.InitialHealthChecking")
    change = book.observe(passed(one))
    assert change is not None
    assert change.health.state is HealthState.HEALTHY
    assert book.observe(passed(one)) is None, "that is no news"


def test_an_initial_target_is_unhealthy_after_as_many_failures_as_the_threshold_says() -> None:
    book, one = HealthBook(), balancer(A, unhealthy_threshold=3)
    book.expect([one])
    assert [book.observe(failed(one, at=at)) for at in (0.0, 30.0)] == [None, None]
    change = book.observe(failed(one, at=60.0))
    assert change is not None
    assert change.health.state is HealthState.UNHEALTHY


def test_a_healthy_target_s_single_failures_do_not_add_up() -> None:
    book, one = HealthBook(), balancer(A, unhealthy_threshold=2)
    book.expect([one])
    book.observe(passed(one))
    assert [book.observe(failed(one)) for _ in range(5)] == [None] * 5, "passes between them are not told"
    change = book.observe(failed(one, Failure.NETWORK_TIMEOUT, ejected=True))
    assert change is not None
    assert (change.health.reason, change.health.description) == ("Target.Timeout", "Request timed out")


def test_other_settings_do_not_make_a_healthy_target_initial() -> None:
    book, one, other = HealthBook(), balancer(A), balancer(A, unhealthy_threshold=4)
    book.expect([one])
    book.observe(passed(one))
    assert book.expect([other]) == ()
    assert book.of(G)[A.key].state is HealthState.HEALTHY
    assert book.observe(failed(one, ejected=True)) is None, "news of settings that are no more"


def test_a_target_that_comes_back_is_initial_again() -> None:
    book, one = HealthBook(), balancer(A)
    book.expect([one])
    book.observe(passed(one))
    assert book.expect([balancer()]) == ()
    assert book.of(G) == {}
    (again,) = book.expect([one])
    assert again.health.state is HealthState.INITIAL


def test_the_reason_follows_the_last_failure_and_the_code_is_added_when_it_is_known() -> None:
    book, one = HealthBook(), balancer(A, unhealthy_threshold=1)
    book.expect([one])
    book.observe(failed(one, Failure.ACTIVE))
    change = book.explain(G, A.key, 503)
    assert change is not None
    assert change.health.description == "Health checks failed with these codes: [503]"
    assert book.observe(failed(one, Failure.ACTIVE)) is None, "the same reason as before"
    change = book.observe(failed(one, Failure.NETWORK))
    assert change is not None
    assert change.health.reason == "Target.FailedHealthChecks"
    assert book.explain(G, A.key, 503) is None, "it is not the reason any more"


def test_the_proxy_s_own_words_are_read() -> None:
    host = {"socket_address": {"address": "10.0.0.1", "port_value": 80}}
    line = {"cluster_name": "c", "host": host, "timestamp": "1970-01-01T00:00:02.500Z"}
    ejected = read_event({**line, "eject_unhealthy_event": {"failure_type": "NETWORK_TIMEOUT"}})
    assert ejected == Checked(
        cluster="c", key=A.key, verdict=Verdict.OUT, failure=Failure.NETWORK_TIMEOUT, at=2.5
    )
    assert read_event({**line, "health_check_failure_event": {}}) == Checked(
        cluster="c", key=A.key, verdict=Verdict.FAILED, failure=Failure.ACTIVE, at=2.5
    )
    assert read_event({**line, "add_healthy_event": {"first_check": True}}) == Checked(
        cluster="c", key=A.key, verdict=Verdict.IN, first=True, at=2.5
    )
    assert read_event({**line, "successful_health_check_event": {}}) == Checked(
        cluster="c", key=A.key, verdict=Verdict.PASSED, at=2.5
    )
    assert read_event({**line, "degraded_healthy_host": {}}) is None
    sick = {"address": host, "health_status": {"failed_active_health_check": True}}
    well = {"address": {"socket_address": {"address": "::1", "port_value": 80}}, "health_status": {}}
    found = read_healthy({"cluster_statuses": [{"name": "c", "host_statuses": [sick, well]}]})
    assert found == {("c", "[::1]:80")}
