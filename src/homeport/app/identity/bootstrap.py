"""What must exist before the first request: the root's access key, the local nodes' key, the page key."""

from __future__ import annotations

import json

import msgspec

from homeport.core.clock import Clock
from homeport.core.ids import Ids, access_key_id, secret_key, unique_id
from homeport.core.sigv4 import Credentials
from homeport.services.ecs.manifest import FARGATE_AGENT
from homeport.services.iam.manifest import (
    AGENT_POLICY_ARN,
    AccessKey,
    AttachmentRepo,
    EntityRepo,
    KeyRepo,
    Usage,
    User,
    opened,
    sealed,
)
from homeport.services.sts.manifest import SessionRepo
from homeport.store.base import Store
from homeport.store.secrets import installation_secret
from homeport.store.tx import Tx
from homeport.store.vault import Vault, VaultError

NODE_USER = "homeport-local-nodes"
FARGATE_POLICY = "fargate"
FARGATE_DOCUMENT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": FARGATE_AGENT, "Resource": "*"}],
    }
)
"""The local nodes' own: this machine runs Fargate's tasks, and no other agent may say that it does."""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What this installation signs with."""

    root: Credentials
    nodes: Credentials
    pages: bytes
    logins: bytes


async def ensure_keys(store: Store, clock: Clock, ids: Ids, vault: Vault, *, account_id: str) -> Keys:
    """The installation's keys, made at its first start. What an earlier version kept unsealed is sealed.

    Raise `VaultError` when the vault has not the key that they were sealed with.
    """

    def work(tx: Tx) -> Keys:
        KeyRepo(tx).seal_open(vault)
        SessionRepo(tx).seal_open(vault)
        repo = EntityRepo(tx)
        user = repo.find(User, account_id, NODE_USER)
        if user is None:
            fresh = User(
                account_id=account_id,
                name=NODE_USER,
                unique_id=unique_id(ids, "AIDA"),
                created_at=clock.now(),
            )
            user = repo.add(fresh)
            AttachmentRepo(tx).attach(user, Usage.PERMISSIONS, AGENT_POLICY_ARN, None)
        if user.inline.get(FARGATE_POLICY) != FARGATE_DOCUMENT:
            repo.save(msgspec.structs.replace(user, inline={**user.inline, FARGATE_POLICY: FARGATE_DOCUMENT}))
        return Keys(
            root=_key(tx, clock, ids, vault, account_id, ""),
            nodes=_key(tx, clock, ids, vault, account_id, NODE_USER),
            pages=installation_secret(tx, "pages", ids, vault),
            logins=installation_secret(tx, "logins", ids, vault),
        )

    return await store.write(work)


def _key(tx: Tx, clock: Clock, ids: Ids, vault: Vault, account_id: str, user_name: str) -> Credentials:
    """The owner's oldest active key; made when there is none."""
    for key in KeyRepo(tx).of(account_id, user_name):
        if key.status == "Active":
            try:
                secret = opened(key, vault).secret_access_key
            except VaultError as error:
                raise VaultError(
                    f"the secret of access key {key.access_key_id} does not open: {error}"
                ) from None
            return Credentials(access_key_id=key.access_key_id, secret_access_key=secret)
    fresh = AccessKey(
        access_key_id=access_key_id(ids, "AKIA"),
        secret_access_key=secret_key(ids),
        account_id=account_id,
        user_name=user_name,
        created_at=clock.now(),
    )
    KeyRepo(tx).add(sealed(fresh, vault))
    return Credentials(access_key_id=fresh.access_key_id, secret_access_key=fresh.secret_access_key)
