"""Services behind real load balancers: whatever changes, no request fails.

`HOMEPORT_TEST_UPDATES=10` plays the whole promise (several minutes); two updates show most of what can break.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.kit.behind_balancer import HTTP, TEST_HTTP, BehindBalancer, until
from tests.kit.load import Told, constant_load
from tests.kit.up import Up, homeport_up
from tests.kit.web import PORT

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

UPDATES = int(os.environ.get("HOMEPORT_TEST_UPDATES", "2"))
RATE = 500.0
QUIET_RATE = 50.0
SLOW_RATE = 20.0
"""Of requests that take a second: whatever ends, some of them are under way."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "3") as running:
        yield running


def none_failed(told: Told) -> None:
    kinds = Counter(how for _, how in told.failures)
    first, last = (told.failures[0][0], told.failures[-1][0]) if told.failures else (0.0, 0.0)
    assert not kinds, f"{kinds.most_common(5)} of {told.begun} requests, from {first} to {last}"
    assert told.answered == told.begun > 0


def test_no_request_fails_over_updates_scaling_draining_and_other_configurations(up: Up) -> None:
    web = BehindBalancer(up, "web")
    web.serve("r0", 3, loadBalancers=web.load_balancers)
    instances = web.ecs.list_container_instances()["containerInstanceArns"]
    begun = time.monotonic()
    with (
        constant_load(web.address, HTTP, rate=RATE) as told,
        constant_load(web.address, HTTP, rate=SLOW_RATE, path="/slow") as slow,
    ):
        for number in range(1, UPDATES + 1):
            web.update(f"r{number}")
            web.until_steady()

            web.update(desiredCount=2)
            web.until_steady()

            drained = instances[number % len(instances)]
            web.update(desiredCount=3)
            web.until_steady()
            web.ecs.update_container_instances_state(containerInstances=[drained], status="DRAINING")
            until(partial(is_empty, web, drained), why=web.standing)
            web.until_steady()
            web.ecs.update_container_instances_state(containerInstances=[drained], status="ACTIVE")

            change_configuration(web, number)
        seconds = time.monotonic() - begun
    none_failed(told)
    none_failed(slow)
    assert told.begun + told.skipped >= RATE * seconds * 0.9, "it was asked all the time"
    assert set(told.bodies) == {f"r{number}" for number in range(UPDATES + 1)}
    assert told.skipped < told.begun / 10, "the client itself could not keep up"
    print(
        f"{told.begun} requests ({told.skipped} left out) over {UPDATES} updates, "
        f"slowest {told.slowest_seconds:.3f} s; {slow.begun} slow ones"
    )


def is_empty(web: BehindBalancer, instance: str) -> bool:
    return not web.ecs.list_tasks(containerInstance=instance, desiredStatus="RUNNING")["taskArns"]


def change_configuration(web: BehindBalancer, number: int) -> None:
    """Rules, attributes of the group and of the balancer: each another configuration of the proxy."""
    listener = web.elb.describe_listeners(LoadBalancerArn=web.balancer)["Listeners"][0]["ListenerArn"]
    rule = web.elb.create_rule(
        ListenerArn=listener,
        Priority=number,
        Conditions=[{"Field": "path-pattern", "Values": [f"/nobody/{number}"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )["Rules"][0]["RuleArn"]
    algorithm = ("round_robin", "least_outstanding_requests")[number % 2]
    web.elb.modify_target_group_attributes(
        TargetGroupArn=web.groups[0],
        Attributes=[{"Key": "load_balancing.algorithm.type", "Value": algorithm}],
    )
    web.elb.modify_load_balancer_attributes(
        LoadBalancerArn=web.balancer,
        Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": str(60 + number)}],
    )
    web.elb.delete_rule(RuleArn=rule)


def test_blue_green_shows_green_to_tests_first_and_then_to_everybody(up: Up) -> None:
    web = BehindBalancer(up, "green")
    pause = {"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}
    strategy = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": [pause]}
    web.ecs.create_service(
        serviceName=web.name,
        taskDefinition=web.define("blue"),
        desiredCount=2,
        loadBalancers=web.shifting,
        deploymentConfiguration=strategy,
    )
    web.decide(web.until_paused(), "CONTINUE")
    web.until_steady()
    with (
        constant_load(web.address, HTTP, rate=QUIET_RATE) as production,
        constant_load(web.address, TEST_HTTP, rate=QUIET_RATE) as test,
    ):
        web.update("green")
        waiting = web.until_paused()
        assert waiting["lifecycleStage"] == "POST_TEST_TRAFFIC_SHIFT"
        asked = (web.weights(web.production), web.weights(web.test))
        assert asked == ([100, 0], [0, 100])
        seen = time.time()
        until(lambda: test.since(seen).total() > 20 and production.since(seen).total() > 20)
        assert set(test.since(seen)) == {"green"}
        assert set(production.since(seen)) == {"blue"}
        assert waiting["targetServiceRevision"]["requestedTestTrafficWeight"] == 100.0
        assert waiting["targetServiceRevision"]["requestedProductionTrafficWeight"] == 0.0

        web.decide(waiting, "CONTINUE")
        web.until_status("SUCCESSFUL")
        web.until_steady()
        assert web.weights(web.production) == [0, 100]
        seen = time.time()
        until(lambda: production.since(seen).total() > 20)
        assert set(production.since(seen)) == {"green"}
    none_failed(production)
    none_failed(test)
    described = web.service
    assert described["loadBalancers"] == web.shifting, "as it was asked for"
    (revision,) = web.ecs.describe_service_revisions(
        serviceRevisionArns=[web.deployment["targetServiceRevision"]["arn"]]
    )["serviceRevisions"]
    assert revision["resolvedConfiguration"]["loadBalancers"] == [
        {"targetGroupArn": web.groups[1], "productionListenerRule": web.production}
    ]


def test_a_canary_gets_its_share_survives_a_kill_and_goes_back(up: Up) -> None:
    web = BehindBalancer(up, "canary")
    web.serve("blue", 2, loadBalancers=web.shifting, deploymentConfiguration={"strategy": "BLUE_GREEN"})
    canary = {
        "strategy": "CANARY",
        "bakeTimeInMinutes": 0,
        "canaryConfiguration": {"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 10},
    }
    with constant_load(web.address, HTTP, rate=RATE / 2) as told:
        web.update("green", deploymentConfiguration=canary)
        until(lambda: web.weights(web.production) == [80, 20])
        up.kill()
        up.start()
        until(lambda: web.deployment["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT")
        seen = time.time()
        until(lambda: told.since(seen).total() > 2000)
        shares: Counter[str] = told.since(seen)
        assert 0.15 < shares["green"] / shares.total() < 0.25
        (other,) = web.deployment["sourceServiceRevisions"]
        assert other["requestedProductionTrafficWeight"] == 80.0

        web.ecs.stop_service_deployment(
            serviceDeploymentArn=web.deployment["serviceDeploymentArn"], stopType="ROLLBACK"
        )
        web.until_status("ROLLBACK_SUCCESSFUL")
        web.until_steady()
        assert web.weights(web.production) == [100, 0]
        seen = time.time()
        until(lambda: told.since(seen).total() > 100)
        assert set(told.since(seen)) == {"blue"}
    none_failed(told)


def test_tasks_with_addresses_of_their_own_are_targets_by_these(up: Up) -> None:
    web = BehindBalancer(up, "own", target_type="ip")
    network = {"awsvpcConfiguration": {"subnets": web.subnets, "securityGroups": [web.members]}}
    web.definition = {"networkMode": "awsvpc"}
    web.serve("r0", 2, loadBalancers=web.load_balancers, networkConfiguration=network)
    with constant_load(web.address, HTTP, rate=RATE / 2) as told:
        web.update("r1")
        web.until_steady()
        web.update(desiredCount=1)
        web.until_steady()
    none_failed(told)
    assert set(told.bodies) == {"r0", "r1"}
    found = web.elb.describe_target_health(TargetGroupArn=web.groups[0])["TargetHealthDescriptions"]
    serving = [one["Target"] for one in found if one["TargetHealth"]["State"] == "healthy"]
    (task,) = web.ecs.describe_tasks(tasks=web.ecs.list_tasks(serviceName=web.name)["taskArns"])["tasks"]
    (container,) = task["containers"]
    address = container["networkInterfaces"][0]["privateIpv4Address"]
    assert [(one["Id"], one["Port"]) for one in serving] == [(address, PORT)]
