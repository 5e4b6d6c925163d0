"""Services that shift traffic: what may be asked, and rules that are changed in the name of a role.

Source: botocore's AdvancedConfiguration; ECS developer guide, "Amazon ECS infrastructure IAM role for load
balancers".
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.app.balancers.service_targets import ServiceTargets
from homeport.app.balancers.service_traffic import InfrastructureRoles, ServiceTraffic
from homeport.app.control_plane import ControlPlane
from homeport.core.errors import AwsError
from homeport.core.pages import Pages
from homeport.gateway.stages import MountedService
from homeport.services.ecs.ports import RuleShares
from homeport.services.elbv2.manifest import Forwarding, Registrar
from tests.kit.elbv2 import application, group, listener, mount_elbv2
from tests.kit.server import Live, live_server
from tests.repo import nouns

POLICY = "arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"
NOBODY = "arn:aws:iam::000000000000:role/nobody"


def mount_balanced(plane: ControlPlane, pages: Pages) -> tuple[MountedService, ...]:
    """Elastic Load Balancing, and an ECS that knows it."""
    (elb,) = mount_elbv2(plane, pages)
    ecs = next(one for one in plane.services if one.name == "ecs")
    context = dataclasses.replace(
        ecs.context,
        target_groups=ServiceTargets(Registrar(elb.context)),
        shifter=_traffic(plane, elb.context),
    )
    return (elb, dataclasses.replace(ecs, context=context))


def _traffic(plane: ControlPlane, elb: Any) -> ServiceTraffic:
    return ServiceTraffic(Forwarding(elb), InfrastructureRoles(plane.service_roles, plane.clock))


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_balanced) as server:
        yield server


@dataclasses.dataclass
class Scene:
    """A balancer with two listeners and two groups, of which the rules know one."""

    live: Live
    groups: list[str]
    rules: list[str]
    extra: str
    """A rule with a path."""
    role: str

    @property
    def traffic(self) -> ServiceTraffic:
        elb = next(one for one in reversed(self.live.plane.services) if one.name == "elbv2").context
        return _traffic(self.live.plane, elb)

    def shift(self, *rules: RuleShares, wanted: bool = True) -> bool:
        service = nouns.service(1, "web", deployments=(nouns.deployment(1),))
        found: bool = self.live.run(self.traffic.shift(service, rules, lambda _: wanted))
        return found

    def weights(self, rule: str) -> dict[str, int]:
        (shown,) = self.live.client("elbv2").describe_rules(RuleArns=[rule])["Rules"]
        return {
            one["TargetGroupArn"]: one.get("Weight", 1)
            for one in shown["Actions"][-1]["ForwardConfig"]["TargetGroups"]
        }


@pytest.fixture(scope="module")
def scene(live: Live) -> Scene:
    elb, iam = live.client("elbv2"), live.client("iam")
    groups = [group(elb, name)["TargetGroupArn"] for name in ("blue", "green")]
    balancer = application(elb)
    listeners = [listener(elb, balancer, {"TargetGroupArn": groups[0]}, Port=port) for port in (80, 8080)]
    rules = [elb.describe_rules(ListenerArn=one["ListenerArn"])["Rules"][0]["RuleArn"] for one in listeners]
    forward = {"TargetGroups": [{"TargetGroupArn": groups[0], "Weight": 1}]}
    sticky = {"TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60}}
    extra = elb.create_rule(
        ListenerArn=listeners[0]["ListenerArn"],
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
        Actions=[{"Type": "forward", "ForwardConfig": forward | sticky}],
    )["Rules"][0]["RuleArn"]
    role = iam.create_role(RoleName="shifts", AssumeRolePolicyDocument=trust("ecs.amazonaws.com"))["Role"][
        "Arn"
    ]
    iam.attach_role_policy(RoleName="shifts", PolicyArn=POLICY)
    return Scene(live, groups, rules, extra, role)


def trust(service: str) -> str:
    allow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def test_a_rule_is_changed_as_often_as_it_must_be_and_keeps_what_is_not_the_services(scene: Scene) -> None:
    blue, green = scene.groups
    for rule in (scene.rules[0], scene.extra):
        first = RuleShares(rule=rule, role=scene.role, shares={green: 0.0})
        assert scene.shift(first)
        assert scene.weights(rule) == {blue: 1, green: 0}, "it only gets to know the group"
        for percent, weights in ((0.0, (100, 0)), (12.5, (875, 125)), (100.0, (0, 100)), (100.0, (0, 100))):
            shares = {blue: 100.0 - percent, green: percent}
            assert scene.shift(RuleShares(rule=rule, role=scene.role, shares=shares))
            assert tuple(scene.weights(rule)[arn] for arn in (blue, green)) == weights
    (shown,) = scene.live.client("elbv2").describe_rules(RuleArns=[scene.extra])["Rules"]
    sticky = shown["Actions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"]
    assert sticky == {"Enabled": True, "DurationSeconds": 60}
    assert scene.shift(RuleShares(rule=scene.extra, role=scene.role, shares={blue: 100.0}))
    assert scene.weights(scene.extra) == {blue: 100, green: 0}, "others of the rule get nothing"


def test_a_network_balancers_listener_is_as_good_as_a_rule(scene: Scene) -> None:
    """Source: botocore's AdvancedConfiguration, productionListenerRule."""
    elb = scene.live.client("elbv2")
    blue, green = (
        group(elb, name, Protocol="TCP", Port=80)["TargetGroupArn"] for name in ("tcp-blue", "tcp-green")
    )
    balancer = application(elb, "net", Type="network")
    front = listener(elb, balancer, {"TargetGroupArn": blue}, Protocol="TCP")["ListenerArn"]
    assert dict(
        scene.live.run(scene.traffic.forwards("000000000000", "us-east-1", [front, f"{front}0"]))
    ) == {front: (blue,)}
    assert scene.shift(RuleShares(rule=front, role=scene.role, shares={blue: 90.0, green: 10.0}))
    (shown,) = elb.describe_listeners(ListenerArns=[front])["Listeners"]
    (action,) = shown["DefaultActions"]
    weights = {one["TargetGroupArn"]: one["Weight"] for one in action["ForwardConfig"]["TargetGroups"]}
    assert weights == {blue: 90, green: 10}


def test_what_nobody_wants_any_more_is_not_done(scene: Scene) -> None:
    blue, green = scene.groups
    before = scene.weights(scene.rules[1])
    late = RuleShares(rule=scene.rules[1], role=scene.role, shares={blue: 0.0, green: 100.0})
    assert scene.shift(late, wanted=False) is False
    assert scene.weights(scene.rules[1]) == before


def test_the_role_decides_what_ecs_may_change(scene: Scene) -> None:
    iam = scene.live.client("iam")
    blue, green = scene.groups

    def asked(role: str) -> str:
        shares = RuleShares(rule=scene.extra, role=role, shares={blue: 40.0, green: 60.0})
        before = scene.weights(scene.extra)
        with pytest.raises(AwsError) as caught:
            scene.shift(shares)
        assert scene.weights(scene.extra) == before
        return caught.value.message

    assert f"ECS was unable to assume the role '{NOBODY}'" in asked(NOBODY)
    tasks = iam.create_role(RoleName="tasks", AssumeRolePolicyDocument=trust("ecs-tasks.amazonaws.com"))
    assert "its trust policy must let ecs.amazonaws.com in" in asked(tasks["Role"]["Arn"])
    idle = iam.create_role(RoleName="idle", AssumeRolePolicyDocument=trust("ecs.amazonaws.com"))["Role"][
        "Arn"
    ]
    action = f"elasticloadbalancing:ModifyRule on resource: {scene.extra}"
    assert f"assumed-role/idle/ecs-service-scheduler is not authorized to perform: {action}" in asked(idle)


def services(scene: Scene) -> dict[str, Any]:
    """CreateService's members."""
    scene.live.client("ecs").create_cluster()
    scene.live.client("ecs").register_task_definition(
        family="web",
        containerDefinitions=[
            {"name": "app", "image": "app:1", "memory": 16, "portMappings": [{"containerPort": 80}]}
        ],
    )
    advanced = {
        "alternateTargetGroupArn": scene.groups[1],
        "productionListenerRule": scene.rules[0],
        "testListenerRule": scene.rules[1],
        "roleArn": scene.role,
    }
    balancer = {"targetGroupArn": scene.groups[0], "containerName": "app", "containerPort": 80}
    return {
        "taskDefinition": "web",
        "desiredCount": 1,
        "loadBalancers": [{**balancer, "advancedConfiguration": advanced}],
        "deploymentConfiguration": {"strategy": "CANARY"},
    }


def test_what_was_asked_for_is_shown_and_what_is_used_as_well(scene: Scene) -> None:
    ecs, asked = scene.live.client("ecs"), services(scene)
    made = ecs.create_service(serviceName="shown", **asked)["service"]
    assert made["loadBalancers"] == asked["loadBalancers"]
    (brief,) = ecs.list_service_deployments(service="shown")["serviceDeployments"]
    (shown,) = ecs.describe_service_revisions(serviceRevisionArns=[brief["targetServiceRevisionArn"]])[
        "serviceRevisions"
    ]
    assert shown["resolvedConfiguration"] == {
        "loadBalancers": [{"targetGroupArn": scene.groups[0], "productionListenerRule": scene.rules[0]}]
    }
    again = ecs.update_service(service="shown", loadBalancers=asked["loadBalancers"])["service"]
    assert len(again["deployments"]) == 1, "the same load balancers are no change"
    forced = ecs.update_service(service="shown", forceNewDeployment=True)["service"]
    assert forced["loadBalancers"] == asked["loadBalancers"]
    (newest, _) = ecs.list_service_deployments(service="shown")["serviceDeployments"]
    (used,) = ecs.describe_service_revisions(serviceRevisionArns=[newest["targetServiceRevisionArn"]])[
        "serviceRevisions"
    ]
    assert used["loadBalancers"] == asked["loadBalancers"]
    assert used["resolvedConfiguration"]["loadBalancers"][0]["targetGroupArn"] == scene.groups[1]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"productionListenerRule": "{}0"}, "does not exist"),
        ({"testListenerRule": "{}"}, "The test listener rule must be another than the production one"),
        ({"roleArn": ""}, "advancedConfiguration.roleArn can not be blank"),
        ({"alternateTargetGroupArn": ""}, "advancedConfiguration.alternateTargetGroupArn can not be blank"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_advanced_configuration_must_hold_together(
    scene: Scene, changes: dict[str, str], text: str
) -> None:
    asked = services(scene)
    (balancer,) = asked["loadBalancers"]
    given = {member: value.format(scene.rules[0]) for member, value in changes.items()}
    balancer["advancedConfiguration"] |= given
    with pytest.raises(ClientError, match=text):
        scene.live.client("ecs").create_service(serviceName="wrong", **asked)


def test_stages_behind_a_balancer_need_its_rules(scene: Scene) -> None:
    asked = services(scene)
    del asked["loadBalancers"][0]["advancedConfiguration"]
    with pytest.raises(ClientError, match="CANARY needs the advancedConfiguration of each load balancer"):
        scene.live.client("ecs").create_service(serviceName="wrong", **asked)


def test_who_hands_on_the_role_must_be_allowed_to(scene: Scene) -> None:
    """Source: IAM User Guide, "Grant a user permissions to pass a role to an AWS service"."""
    iam = scene.live.client("iam")
    asked = services(scene)
    iam.create_user(UserName="deployer")
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    mine = scene.live.client(
        "ecs", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )

    def may(*statements: dict[str, Any]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName="deployer", PolicyName="may", PolicyDocument=document)

    ecs_all = {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}
    may(ecs_all)
    with pytest.raises(ClientError, match=f"iam:PassRole on resource: {scene.role}"):
        mine.create_service(serviceName="handed", **asked)
    to = {"StringEquals": {"iam:PassedToService": "ecs.amazonaws.com"}}
    may(ecs_all, {"Effect": "Allow", "Action": "iam:PassRole", "Resource": scene.role, "Condition": to})
    assert mine.create_service(serviceName="handed", **asked)["service"]["status"] == "ACTIVE"
