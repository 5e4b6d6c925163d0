"""Two target groups in turn, and rules that say who gets how much. Sources: see `plan.traffic`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.rollout import NOW, deployment, service
from tests.repo.nouns import definition

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import (
    DeploymentStrategy,
    LoadBalancer,
    Service,
    ServiceEvent,
    Staging,
    TargetPlace,
)
from homeport.services.ecs.plan.explain_stages import traffic_remedies, traffic_told
from homeport.services.ecs.plan.load_balancers import balancers_of
from homeport.services.ecs.plan.strategy_begin import begun
from homeport.services.ecs.plan.traffic import (
    check_may_change,
    check_rules,
    check_shiftable,
    placed,
    rule_shares,
    shifts_traffic,
    weights_of,
)

ONE, TWO, THREE = "group/one", "group/two", "group/three"
BLUE_GREEN, ROLLING = DeploymentStrategy(name="BLUE_GREEN"), DeploymentStrategy()
RULES = {"productionListenerRule": "production", "testListenerRule": "test", "roleArn": "role"}


def balancer(asked: str = ONE, alternate: str = TWO, *, port: int = 80, **rules: str) -> LoadBalancer:
    place = TargetPlace(target_group=asked, container="app", port=port)
    advanced = {"alternateTargetGroupArn": alternate, **RULES, **rules} if alternate else {}
    return LoadBalancer(place=place, advanced=advanced)


def deployed(*groups: str, completed: bool = True) -> Service:
    """A service whose last deployment, of the ones that used these groups, has completed or not."""
    deployments = tuple(
        deployment(
            number,
            status="PRIMARY" if number == len(groups) else "ACTIVE",
            load_balancers=(balancer().using(group),),
        )
        for number, group in reversed(list(enumerate(groups, 1)))
    )
    made = service(2, *deployments)
    return msgspec.structs.replace(made, last_completed=deployments[0] if completed else None)


def groups_of(balancers: tuple[LoadBalancer, ...]) -> list[str]:
    return [one.place.target_group for one in balancers]


@given(st.lists(st.sampled_from([BLUE_GREEN, ROLLING]), max_size=8))
def test_stages_take_the_other_group_and_replacements_stay_in_theirs(
    history: list[DeploymentStrategy],
) -> None:
    now, used = deployed(ONE), ONE
    for number, strategy in enumerate(history, 2):
        next_ones = placed((balancer(),), now, strategy)
        other = TWO if used == ONE else ONE
        used = other if strategy.is_staged else used
        assert groups_of(next_ones) == [used]
        assert [one.as_asked() for one in next_ones] == [balancer()], "what was asked for is shown for ever"
        done = deployment(number, load_balancers=next_ones)
        now = msgspec.structs.replace(now, deployments=(done,), last_completed=done)


def test_an_interrupted_deployment_does_not_count() -> None:
    """Blue is the last that completed: the next green gets the group that the interrupted one had."""
    blue_is_one = msgspec.structs.replace(deployed(ONE, TWO), last_completed=deployed(ONE).primary)
    assert groups_of(placed((balancer(),), blue_is_one, BLUE_GREEN)) == [TWO]
    nobody_completed = deployed(ONE, TWO, completed=False)
    assert groups_of(placed((balancer(),), nobody_completed, BLUE_GREEN)) == [ONE]


def test_a_group_of_its_own_stays_what_was_asked_for() -> None:
    assert groups_of(placed((balancer(THREE, ""),), deployed(ONE), BLUE_GREEN)) == [THREE]
    assert groups_of(placed((balancer(TWO, ONE),), deployed(ONE), BLUE_GREEN)) == [TWO]
    assert groups_of(placed((balancer(TWO, ONE),), deployed(ONE), ROLLING)) == [ONE], "where production is"


def staged(production: float, test: float, **members: Any) -> tuple[Service, Staging]:
    green = deployment(2, load_balancers=(balancer().using(TWO),))
    made = msgspec.structs.replace(deployed(ONE), deployments=(green, deployed(ONE).primary))
    made = begun(msgspec.structs.replace(made, deployment_strategy=BLUE_GREEN), NOW)
    staging = made.primary.staging
    assert staging is not None
    return made, msgspec.structs.replace(staging, production=production, test=test, **members)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_weights_of_a_rule_are_exact_and_always_somebodys(production: int, test: int) -> None:
    made, staging = staged(production / 10, test / 10)
    first, last = rule_shares(made, staging)
    assert (first.rule, last.rule, first.role) == ("test", "production", "role")
    for one, tenths in ((first, test), (last, production)):
        weights = weights_of(one.shares)
        whole = sum(weights.values())
        assert whole in (100, 1000)
        assert max(weights.values()) <= 999
        assert weights[TWO] * 1000 == tenths * whole
        assert set(weights) == {ONE, TWO}


def test_a_deployment_begins_by_telling_the_rule_about_its_group() -> None:
    made, staging = staged(0.0, 0.0)
    assert (staging.shifts, staging.live) == (True, False)
    assert [dict(one.shares) for one in rule_shares(made, staging)] == [{ONE: 100.0, TWO: 0.0}] * 2
    assert shifts_traffic(made)
    alone = msgspec.structs.replace(staging, blue="")
    assert [dict(one.shares) for one in rule_shares(made, alone)] == [{TWO: 0.0}] * 2


def test_traffic_that_blue_cannot_take_back_stays_where_it_is() -> None:
    made, staging = staged(0.0, 100.0, holds=True)
    test, production = rule_shares(made, staging)
    assert (dict(test.shares), dict(production.shares)) == ({ONE: 0.0, TWO: 100.0}, {TWO: 0.0})


def test_what_the_network_mode_makes_of_a_balancer_is_not_what_was_asked_for() -> None:
    body = {
        "networkMode": "host",
        "containerDefinitions": [{"name": "app", "portMappings": [{"containerPort": 80}]}],
    }
    (found,) = balancers_of((balancer().using(TWO),), definition("web", 1, body=body))
    assert found.place.on_host
    assert found.as_asked() == balancer()


def test_two_ports_behind_one_rule_are_one_change() -> None:
    made, staging = staged(5.0, 100.0)
    both = tuple(balancer(port=port).using(TWO) for port in (80, 81))
    green, blue = made.deployments
    green = msgspec.structs.replace(green, load_balancers=both)
    shares = rule_shares(msgspec.structs.replace(made, deployments=(green, blue)), staging)
    assert [dict(one.shares) for one in shares] == [{ONE: 0.0, TWO: 100.0}, {ONE: 95.0, TWO: 5.0}]


def test_the_group_before_the_pair_hands_its_traffic_over() -> None:
    """A service that had another group gets the two: green shares with what blue's tasks are in."""
    made, staging = staged(30.0, 0.0)
    green, blue = made.deployments
    blue = msgspec.structs.replace(blue, load_balancers=(balancer(THREE, ""),))
    shares = rule_shares(msgspec.structs.replace(made, deployments=(green, blue)), staging)
    assert dict(shares[1].shares) == {THREE: 70.0, TWO: 30.0}


@pytest.mark.parametrize("strategy", ["BLUE_GREEN", "LINEAR", "CANARY"])
def test_every_load_balancer_needs_its_rules(strategy: str) -> None:
    check_shiftable(ROLLING, (balancer(ONE, ""),))
    check_shiftable(DeploymentStrategy(name=strategy), (balancer(),))
    with pytest.raises(InvalidParameterException, match="needs the advancedConfiguration of each"):
        check_shiftable(DeploymentStrategy(name=strategy), (balancer(), balancer(THREE, "", port=81)))


def test_traffic_is_not_left_halfway() -> None:
    made, staging = staged(50.0, 100.0)
    primary = msgspec.structs.replace(made.primary, staging=staging)
    made = msgspec.structs.replace(made, deployments=(primary, *made.deployments[1:]))
    check_may_change(made, BLUE_GREEN, (balancer(),))
    with pytest.raises(InvalidParameterException, match="ROLLING cannot be set while deployment ecs-svc/2"):
        check_may_change(made, ROLLING, (balancer(),))
    with pytest.raises(InvalidParameterException, match="load balancers cannot be set while"):
        check_may_change(made, BLUE_GREEN, (balancer(ONE, THREE),))
    check_may_change(deployed(ONE), ROLLING, ())


def asked(**advanced: str) -> dict[str, Any]:
    return {"targetGroupArn": ONE, "advancedConfiguration": {"alternateTargetGroupArn": TWO, **advanced}}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([asked(productionListenerRule="away")], "The listener rule away does not exist."),
        (
            [asked(productionListenerRule="other")],
            "must forward to one of the target groups group/one, group/two",
        ),
        (
            [asked(productionListenerRule="a", testListenerRule="a")],
            "must be another than the production one",
        ),
        (
            [
                asked(productionListenerRule="a"),
                {**asked(productionListenerRule="a"), "targetGroupArn": THREE},
            ],
            "cannot be shared by load balancers of other target groups",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rule_must_be_the_services(given: list[dict[str, Any]], text: str) -> None:
    rules = {"a": (ONE, TWO), "b": (TWO,), "other": (THREE,)}
    check_rules([asked(productionListenerRule="a", testListenerRule="b")], rules)
    with pytest.raises(InvalidParameterException, match=text):
        check_rules(given, rules)


def test_who_gets_how_much_is_explained_and_why_not_yet() -> None:
    made, staging = staged(20.0, 100.0)
    trouble = (
        "(service web) was unable to shift traffic: arn:sts:role/x/y is not authorized to "
        "perform: elasticloadbalancing:ModifyRule on resource: production"
    )
    event = ServiceEvent(id="1", created_at=NOW, message=trouble)

    def at(staging: Staging) -> Service:
        primary = msgspec.structs.replace(made.primary, staging=staging)
        return msgspec.structs.replace(made, deployments=(primary, *made.deployments[1:]), events=(event,))

    live = msgspec.structs.replace(staging, live=True)
    shares = [
        "20 % of production goes to ecs-svc/2 (group/two), 80 % to ecs-svc/1 (group/one)",
        "100 % of test goes to ecs-svc/2 (group/two), 0 % to ecs-svc/1 (group/one)",
    ]
    assert (traffic_told(at(live)), traffic_remedies(at(live))) == (shares, [])
    assert traffic_told(at(staging)) == [
        *shares,
        "these shares are asked for and not in force yet",
        trouble.partition(") ")[2],
    ]
    (remedy,) = traffic_remedies(at(staging))
    assert "attach-role-policy --role-name role" in remedy
    held = traffic_told(at(msgspec.structs.replace(live, production=0.0, holds=True)))
    assert held[0].startswith("ecs-svc/1 has no healthy task: production's traffic stays")
    assert traffic_told(deployed(ONE)) == []
