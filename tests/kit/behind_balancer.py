"""A web service behind a real load balancer of a real `homeport up`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.kit.up import Up
from tests.kit.web import PORT, web_definition

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 120.0
DRAIN_SECONDS = 3
HTTP = 80
TEST_HTTP = 8080
ROLE_POLICY = "arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
CHECKS = {
    "HealthCheckPath": "/health",
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 4,
    "HealthyThresholdCount": 2,
}


def until(what: Callable[[], Any], seconds: float = PATIENCE_SECONDS, why: Callable[[], Any] = str) -> Any:
    """What it answers once that is something. `why`: what may explain that it never was."""
    ends = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > ends:
            raise AssertionError(f"it did not happen in time: {why()}")
        time.sleep(POLL_SECONDS)
    return found


class BehindBalancer:
    """A balancer with a listener for production, one for tests, and two target groups.

    The balancer's groups let everybody in, and their members let the balancer in.
    """

    def __init__(self, up: Up, name: str, *, target_type: str = "instance") -> None:
        self.up, self.name = up, name
        self.ecs, self.elb, self.ec2 = up.client(), up.client("elbv2"), up.client("ec2")
        self.vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.subnets = [one["SubnetId"] for one in self.ec2.describe_subnets()["Subnets"]]
        groups = self.ec2.describe_security_groups()["SecurityGroups"]
        self.members = next(one["GroupId"] for one in groups if one["GroupName"] == "default")
        guests = self.ec2.create_security_group(GroupName=name, Description="all", VpcId=self.vpc)["GroupId"]
        self.ec2.authorize_security_group_ingress(GroupId=guests, IpProtocol="-1", CidrIp="0.0.0.0/0")
        self.balancer = self.elb.create_load_balancer(
            Name=name, Subnets=self.subnets, SecurityGroups=[self.members, guests]
        )["LoadBalancers"][0]["LoadBalancerArn"]
        self.groups = [self._group(f"{name}-{number}", target_type) for number in (1, 2)]
        self.production, self.test = self._listener(HTTP), self._listener(TEST_HTTP)
        self.role = self._role()
        self.definition: dict[str, Any] = {}
        """What goes into its task definitions besides the server."""

    def _group(self, name: str, target_type: str) -> str:
        made = self.elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc, TargetType=target_type, **CHECKS
        )
        arn: str = made["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(DRAIN_SECONDS)}
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        return arn

    def _listener(self, port: int) -> str:
        """Its only rule's ARN."""
        made = self.elb.create_listener(
            LoadBalancerArn=self.balancer,
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.groups[0]}],
        )
        listener = made["Listeners"][0]["ListenerArn"]
        rule: str = self.elb.describe_rules(ListenerArn=listener)["Rules"][0]["RuleArn"]
        return rule

    def _role(self) -> str:
        iam = self.up.client("iam")
        role: str = iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
            "Arn"
        ]
        iam.attach_role_policy(RoleName=self.name, PolicyArn=ROLE_POLICY)
        return role

    @property
    def address(self) -> str:
        """Where the balancer listens, in one of its zones."""
        mark = f"ELB {self.balancer.partition(':loadbalancer/')[2]}"
        found = self.ec2.describe_network_interfaces()["NetworkInterfaces"]
        address: str = next(one["PrivateIpAddress"] for one in found if one["Description"] == mark)
        return address

    @property
    def load_balancers(self) -> list[dict[str, Any]]:
        """For a service whose deployments replace tasks."""
        return [{"targetGroupArn": self.groups[0], "containerName": "web", "containerPort": PORT}]

    @property
    def shifting(self) -> list[dict[str, Any]]:
        """For a service whose deployments shift traffic."""
        advanced = {
            "alternateTargetGroupArn": self.groups[1],
            "productionListenerRule": self.production,
            "testListenerRule": self.test,
            "roleArn": self.role,
        }
        return [{**one, "advancedConfiguration": advanced} for one in self.load_balancers]

    # ---- the service --------------------------------------------------------------------------

    def define(self, revision: str) -> str:
        """A task definition whose server says the revision's name."""
        made = self.ecs.register_task_definition(**web_definition(self.name, revision, **self.definition))
        arn: str = made["taskDefinition"]["taskDefinitionArn"]
        return arn

    def serve(self, revision: str, count: int, **members: Any) -> None:
        """The service's first deployment, until it is steady."""
        self.ecs.create_service(
            serviceName=self.name, taskDefinition=self.define(revision), desiredCount=count, **members
        )
        self.until_steady()

    def update(self, revision: str = "", **members: Any) -> None:
        """A change of the service; with a revision another task definition."""
        if revision:
            members["taskDefinition"] = self.define(revision)
        self.ecs.update_service(service=self.name, **members)

    @property
    def service(self) -> Any:
        """As it is described."""
        return self.ecs.describe_services(services=[self.name])["services"][0]

    @property
    def told(self) -> list[str]:
        """Its events, oldest first."""
        return [one["message"] for one in reversed(self.service["events"])]

    def standing(self) -> list[Any]:
        """What explains where it is."""
        found = [
            self.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            for arn in self.groups
        ]
        state = self.elb.describe_load_balancers(LoadBalancerArns=[self.balancer])["LoadBalancers"][0][
            "State"
        ]
        log = self.up.log.read_text()[-2000:]
        return [*self.told[-20:], self.service["deployments"], *found, state, log]

    def until_steady(self) -> None:
        """Until its only deployment has completed with all its tasks."""

        def is_steady() -> bool:
            found = self.service
            (first, *more) = found["deployments"]
            counts = (found["runningCount"], found["pendingCount"])
            return not more and first["rolloutState"] == "COMPLETED" and counts == (found["desiredCount"], 0)

        until(is_steady, why=self.standing)

    @property
    def deployment(self) -> Any:
        """The newest service deployment."""
        arns = [
            one["serviceDeploymentArn"]
            for one in self.ecs.list_service_deployments(service=self.name)["serviceDeployments"][:1]
        ]
        return self.ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"][0]

    def until_paused(self) -> Any:
        """Until somebody must decide; the deployment."""

        def look() -> Any:
            found = self.deployment
            runs = found.get("lifecycleHookDetails", [])
            return found if any(run["status"] == "AWAITING_ACTION" for run in runs) else None

        return until(look, why=self.standing)

    def decide(self, deployment: Any, action: str) -> None:
        """CONTINUE or ROLLBACK what is paused."""
        self.ecs.continue_service_deployment(
            serviceDeploymentArn=deployment["serviceDeploymentArn"],
            hookId=deployment["lifecycleHookDetails"][0]["hookId"],
            action=action,
        )

    def until_status(self, status: str) -> Any:
        """Until the newest deployment has that status."""
        return until(
            lambda: found if (found := self.deployment)["status"] == status else None, why=self.standing
        )

    def weights(self, rule: str) -> list[int]:
        """What each of the two target groups gets of a rule."""
        (action,) = self.elb.describe_rules(RuleArns=[rule])["Rules"][0]["Actions"]
        found = {one["TargetGroupArn"]: one["Weight"] for one in action["ForwardConfig"]["TargetGroups"]}
        return [found.get(arn, 0) for arn in self.groups]

    def healthy(self, group: int) -> int:
        """How many targets of a group are."""
        found = self.elb.describe_target_health(TargetGroupArn=self.groups[group])
        return sum(o["TargetHealth"]["State"] == "healthy" for o in found["TargetHealthDescriptions"])
