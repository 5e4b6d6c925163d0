"""The role in local instances' profile: made at the first start, taken on for each instance.

Source: IAM User Guide, "Using instance profiles"; EC2 user guide, "IAM roles for Amazon EC2": the session is
named after the instance.
"""

from __future__ import annotations

import json
from datetime import timedelta

from homeport.app.identity.role_sessions import SESSION_LIFE, role_credentials
from homeport.core.clock import Clock
from homeport.core.ids import Ids, unique_id
from homeport.core.log import get_logger
from homeport.node.imds.instance import ProfileCredentials
from homeport.services.ec2 import manifest as ec2
from homeport.services.iam.manifest import (
    AGENT_POLICY_ARN,
    AttachmentRepo,
    EntityRepo,
    InstanceProfile,
    Role,
    Usage,
)
from homeport.services.sts import manifest as sts
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("app.instance_profiles")
INSTANCES = "ec2.amazonaws.com"
RENEWED_BEFORE_END = timedelta(hours=1)
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": INSTANCES}, "Action": "sts:AssumeRole"}],
}


async def ensure_profile(store: Store, clock: Clock, ids: Ids, *, account_id: str, name: str) -> None:
    """A profile with a role of its own name, that may what agents must. One that is there stays as it is."""

    def work(tx: Tx) -> None:
        repo = EntityRepo(tx)
        if repo.find(InstanceProfile, account_id, name) is not None:
            return
        now = clock.now()
        role = repo.find(Role, account_id, name)
        if role is None:
            role = repo.add(
                Role(
                    account_id=account_id,
                    name=name,
                    unique_id=unique_id(ids, "AROA"),
                    created_at=now,
                    trust=json.dumps(_TRUST),
                    description="Of Homeport's local container instances.",
                )
            )
            AttachmentRepo(tx).attach(role, Usage.PERMISSIONS, AGENT_POLICY_ARN, None)
        profile = repo.add(
            InstanceProfile(
                account_id=account_id, name=name, unique_id=unique_id(ids, "AIPA"), created_at=now
            )
        )
        repo.join(profile, role)

    await store.write(work)


class ProfileSessions:
    """The node's `InstanceProfiles`, for instances that all have one profile.

    What is in the profile is read each time: another role in it is in force with the next question.
    """

    def __init__(
        self, store: Store, clock: Clock, roles: sts.ServiceRoles, *, account_id: str, profile: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._roles = roles
        self._account_id = account_id
        self._profile = profile

    async def credentials(self, instance_id: str) -> ProfileCredentials | None:
        """An hour's at least; `None`: no profile, or no role in it that EC2 may assume."""
        found = await self._store.read(self._look)
        if found is None:
            return None
        profile, role = found
        session = await self._store.read(lambda tx: self._good(tx, role, instance_id))
        if session is None:
            session = await self._store.write(lambda tx: self._made(tx, role, instance_id))
        if session is None:
            return None
        return ProfileCredentials(
            profile_arn=profile.arn,
            profile_id=profile.unique_id,
            role_name=role.name,
            credentials=role_credentials(session, role.arn, instance_id),
            updated_at=session.issued_at,
        )

    async def vpc_of(self, task_arn: str, *, interface_id: str, instance_id: str) -> str:
        """The VPC of a task's interface; without one, of its instance. Empty: unknown."""
        _, _, _, region, account_id, _ = task_arn.split(":", 5)
        return await self._store.read(
            lambda tx: ec2.vpc_of(ec2.Shelf(tx, account_id, region), interface_id, instance_id)
        )

    def _look(self, tx: Tx) -> tuple[InstanceProfile, Role] | None:
        repo = EntityRepo(tx)
        profile = repo.find(InstanceProfile, self._account_id, self._profile)
        if profile is None:
            return None
        role = next((one for one in repo.members_of(profile) if isinstance(one, Role)), None)
        return None if role is None else (profile, role)

    def _good(self, tx: Tx, role: Role, instance_id: str) -> sts.Session | None:
        """The session that there is, if it is of this very role and lasts."""
        holder = _holder(role, instance_id)
        found = self._roles.held(tx, [holder]).get(holder)
        if found is None or found.expires_at - RENEWED_BEFORE_END <= self._clock.now():
            return None
        return found

    def _made(self, tx: Tx, role: Role, instance_id: str) -> sts.Session | None:
        caller = sts.ServiceCaller(principal=INSTANCES, account_id=self._account_id)
        holder = _holder(role, instance_id)
        try:
            return self._good(tx, role, instance_id) or self._roles.assume(
                tx, caller, role.arn, name=instance_id, holder=holder, life=SESSION_LIFE
            )
        except sts.AccessDenied:
            log.warning("role.refused", instance=instance_id, role=role.arn)
            return None


def _holder(role: Role, instance_id: str) -> str:
    return f"ec2-instance/{instance_id}/{role.unique_id}"
