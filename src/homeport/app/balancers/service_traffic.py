"""The traffic of ECS's services: listener rules, changed in the name of the roles that services name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from homeport.app.identity.principals import PolicyBook
from homeport.core.clock import Clock
from homeport.core.errors import DynamicAwsError
from homeport.policy.decision import decide
from homeport.policy.request import Caller, CallerKind, Context, ContextValue, caller_keys
from homeport.policy.request import Request as Question
from homeport.services.ecs import manifest as ecs
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.iam.manifest import policies_of_role
from homeport.services.sts import manifest as sts
from homeport.store.tx import Tx

ECS = "ecs.amazonaws.com"
"""Who takes on an infrastructure role. Source: ECS developer guide, "Amazon ECS infrastructure IAM role"."""
SESSION = "ecs-service-scheduler"
"""The name of its sessions [our choice]."""
PREFIX = "elasticloadbalancing"


class _UnwantedError(Exception):
    """Somebody else asks for other shares by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An operation of Elastic Load Balancing on what has this ARN and these tags."""

    operation: str
    arn: str
    tags: Mapping[str, str]


class InfrastructureRoles:
    """What ECS may do in the name of a role that a service hands to it."""

    def __init__(self, roles: sts.ServiceRoles, clock: Clock) -> None:
        self._roles = roles
        self._clock = clock
        self._book = PolicyBook()

    def check(self, tx: Tx, service: ecs.Service, role_arn: str, change: elbv2.RuleChange) -> None:
        """Raise `AccessDeniedException` unless ECS may take on the role, and the role may do that."""
        use = Use(operation=change.operation, arn=change.arn, tags=change.tags)
        self.check_use(tx, service.account_id, service.region, role_arn, use)

    def check_use(self, tx: Tx, account_id: str, region: str, role_arn: str, use: Use) -> None:
        """The same for a service in that account and region."""
        source = f"arn:aws:ecs:{region}:{account_id}:*"
        who = sts.ServiceCaller(principal=ECS, account_id=account_id, source_arn=source)
        if not self._roles.may_assume(tx, who, role_arn, SESSION):
            raise DynamicAwsError(
                "AccessDeniedException",
                f"ECS was unable to assume the role '{role_arn}' that was provided for this service's load "
                "balancers: there must be such a role, and its trust policy must let ecs.amazonaws.com in",
            )
        name = role_arn.rpartition("/")[2]
        found = policies_of_role(tx, account_id, name)
        if found is None:
            raise DynamicAwsError("AccessDeniedException", f"There is no role {role_arn}")
        caller = Caller(
            kind=CallerKind.ROLE_SESSION,
            arn=f"arn:aws:sts::{account_id}:assumed-role/{name}/{SESSION}",
            account_id=account_id,
            user_id=f"{found.principal.unique_id}:{SESSION}",
            issuer_arn=found.principal.arn,
        )
        question = Question(
            caller=caller,
            action=f"{PREFIX}:{use.operation}",
            resource=use.arn,
            resource_account=account_id,
            context=Context(self._keys(caller, region, use.tags)),
        )
        if not decide(question, self._book.of(found).policies).is_allowed:
            raise DynamicAwsError(
                "AccessDeniedException",
                f"{caller.arn} is not authorized to perform: {question.action} on resource: {use.arn}",
            )

    def _keys(self, caller: Caller, region: str, tags: Mapping[str, str]) -> dict[str, ContextValue]:
        now = self._clock.now()
        keys: dict[str, ContextValue] = {
            **caller_keys(caller),
            "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:EpochTime": int(now.timestamp()),
            "aws:RequestedRegion": region,
            "aws:SecureTransport": True,
            "aws:ViaAWSService": True,
        }
        for key, value in tags.items():
            keys |= {f"{one}:ResourceTag/{key}": value for one in ("aws", PREFIX)}
        return keys


class ServiceTraffic:
    """ECS's `TrafficShifter` over Elastic Load Balancing's rules."""

    def __init__(self, forwarding: elbv2.Forwarding, roles: InfrastructureRoles) -> None:
        self._forwarding = forwarding
        self._roles = roles

    async def forwards(
        self, account_id: str, region: str, rules: Collection[str]
    ) -> Mapping[str, Collection[str]]:
        """The target groups that those of the rules forward to which exist."""
        return await self._forwarding.forwards(account_id, region, rules)

    async def shift(
        self, service: ecs.Service, rules: Sequence[ecs.RuleShares], wanted: Callable[[Tx], bool]
    ) -> bool:
        """Set the rules' weights in one transaction; whether the data plane has them."""
        roles = {one.rule: one.role for one in rules}

        def permit(tx: Tx, change: elbv2.RuleChange) -> None:
            if not wanted(tx):
                raise _UnwantedError
            self._roles.check(tx, service, roles[change.asked], change)

        asked = {one.rule: ecs.weights_of(one.shares) for one in rules}
        try:
            touched = await self._forwarding.forward(service.account_id, service.region, asked, permit)
        except _UnwantedError:
            return False
        return await self._forwarding.in_force(touched)
