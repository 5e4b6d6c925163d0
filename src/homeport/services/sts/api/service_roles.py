"""Roles that AWS services take on, for tasks and instances: nobody calls an operation for that.

A role's trust policy decides, as it does for everybody. The session belongs to a *holder*, what it was made
for, and is found by it again, so that the same credentials can be handed out twice.
Source: ECS developer guide, "Task IAM role" (aws:SourceArn, aws:SourceAccount); EC2 user guide, "IAM roles
for Amazon EC2".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from homeport.policy.compiled import Compiler
from homeport.policy.decision import Policies, decide
from homeport.policy.document import MalformedPolicyError
from homeport.policy.request import Caller, CallerKind, Context, ContextValue, caller_keys
from homeport.policy.request import Request as Question
from homeport.policy.resource import trust_policy
from homeport.services.sts.api.context import Sts, begun, keep
from homeport.services.sts.errors import AccessDenied, ValidationError
from homeport.services.sts.model import Session
from homeport.services.sts.plan.sessions import role_of
from homeport.services.sts.ports import RoleFacts
from homeport.services.sts.repo.sessions import SessionRepo, opened
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCaller:
    """The service that asks: its principal, and for what it does so. Roles of other accounts are refused."""

    principal: str
    account_id: str
    source_arn: str = ""
    keys: Mapping[str, ContextValue] = field(default_factory=dict)


class ServiceRoles:
    """Sessions of roles for services. Every method works in its caller's transaction."""

    def __init__(self, sts: Sts) -> None:
        self._sts = sts
        self._compiler = Compiler()

    def may_assume(self, tx: Tx, caller: ServiceCaller, role_arn: str, session_name: str) -> bool:
        """Whether the role is there and lets the service in."""
        return self._role(tx, caller, role_arn, session_name) is not None

    def assume(
        self, tx: Tx, caller: ServiceCaller, role_arn: str, *, name: str, holder: str, life: timedelta
    ) -> Session:
        """A new session for the holder. Raise `AccessDenied` when the role does not let the service in.

        The role's own longest session does not count: it is about who calls AssumeRole.
        """
        role = self._role(tx, caller, role_arn, name)
        if role is None:
            raise AccessDenied(
                f"{caller.principal} is not authorized to perform: sts:AssumeRole on {role_arn}"
            )
        session = begun(
            self._sts,
            {},
            int(life.total_seconds()),
            account_id=caller.account_id,
            principal_arn=f"arn:aws:sts::{caller.account_id}:assumed-role/{role.name}/{name}",
            user_id=f"{role.role_id}:{name}",
            role=role.name,
            name=name,
            holder=holder,
        )
        keep(tx, self._sts, session)
        return session

    def held(self, tx: Tx, holders: Iterable[str]) -> dict[str, Session]:
        """Each holder's newest session."""
        found = SessionRepo(tx).newest_of(holders)
        return {holder: opened(session, self._sts.vault) for holder, session in found.items()}

    def _role(self, tx: Tx, caller: ServiceCaller, role_arn: str, name: str) -> RoleFacts | None:
        try:
            account_id, role_name = role_of(role_arn)
        except ValidationError:
            return None
        role = self._sts.roles.find(tx, account_id, role_name)
        if role is None or role.arn != role_arn or account_id != caller.account_id:
            return None
        return role if self._trusts(role, caller, name) else None

    def _trusts(self, role: RoleFacts, caller: ServiceCaller, name: str) -> bool:
        who = Caller(kind=CallerKind.SERVICE, arn=caller.principal)
        now = self._sts.clock.now()
        keys: dict[str, ContextValue] = {
            **caller_keys(who),
            "aws:SourceAccount": caller.account_id,
            "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:EpochTime": int(now.timestamp()),
            "sts:RoleSessionName": name,
            **({"aws:SourceArn": caller.source_arn} if caller.source_arn else {}),
            **{f"iam:ResourceTag/{key}": value for key, value in role.tags.items()},
            **{f"aws:ResourceTag/{key}": value for key, value in role.tags.items()},
            **caller.keys,
        }
        try:
            trust = trust_policy(self._compiler, role.arn, role.trust).policies
        except MalformedPolicyError:
            return False
        question = Question(
            caller=who,
            action="sts:AssumeRole",
            resource=role.arn,
            resource_account=caller.account_id,
            context=Context(keys),
        )
        return decide(question, Policies(resource=trust, is_trust=True)).is_allowed
