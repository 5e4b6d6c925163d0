"""Access keys as the gateway looks them up: IAM's long-term ones and STS's sessions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from homeport.app.last_uses import LastUses
from homeport.core.call import Call, Principal
from homeport.core.clock import Clock
from homeport.gateway.ports import KeyRecord
from homeport.runtime.changes import Subscription
from homeport.services.iam.manifest import (
    AccessKey,
    KeyRepo,
    PrincipalPolicies,
    policies_of_id,
    policies_of_user,
)
from homeport.services.sts.manifest import SessionRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

KINDS = frozenset({"iam.user", "iam.key", "iam.policies"})
CACHED_MAX = 10_000


class StoredKeys:
    """A `KeyRing` over the store, with a cache that the change feed empties.

    A session is worth what its user is worth now: a deleted user's sessions prove nobody.
    """

    def __init__(
        self, store: Store, clock: Clock, subscribe: Callable[[frozenset[str]], Subscription]
    ) -> None:
        self._store = store
        self._clock = clock
        self._subscribe = subscribe
        self._cache: dict[str, KeyRecord] = {}
        self.uses = LastUses(store, clock)

    async def find(self, access_key_id: str) -> KeyRecord | None:
        """The key's owner and secret; `None`: there is no such key."""
        if access_key_id.startswith("ASIA"):
            return await self._store.read(lambda tx: self._session(tx, access_key_id))
        record = self._cache.get(access_key_id)
        if record is None:
            record = await self._store.read(lambda tx: _long_term(tx, access_key_id))
            if record is not None:
                if len(self._cache) >= CACHED_MAX:
                    self._cache.clear()
                self._cache[access_key_id] = record
        return record

    def used(self, call: Call) -> None:
        """Remember when the caller's key or role was used."""
        self.uses.note(call)

    async def run(self) -> None:
        """Forget what is cached whenever a user or key changed, and write down uses; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.uses.run())
            await self._forget()

    async def _forget(self) -> None:
        async for _ in self._subscribe(KINDS):
            self._cache.clear()

    def _session(self, tx: Tx, access_key_id: str) -> KeyRecord | None:
        session = SessionRepo(tx).find(access_key_id)
        if session is None:
            return None
        if session.user_id == session.account_id:
            principal = _root(session.account_id)
        elif found := policies_of_id(tx, session.user_id):
            principal = _principal(found)
        else:
            return None
        return KeyRecord(
            secret_access_key=session.secret_access_key,
            session_token=session.session_token,
            principal=principal,
            expired=session.expires_at <= self._clock.now(),
        )


def _long_term(tx: Tx, access_key_id: str) -> KeyRecord | None:
    key: AccessKey | None = KeyRepo(tx).find(access_key_id)
    if key is None:
        return None
    if not key.user_name:
        principal = _root(key.account_id)
    elif found := policies_of_user(tx, key.account_id, key.user_name):
        principal = _principal(found)
    else:
        return None
    return KeyRecord(
        secret_access_key=key.secret_access_key, principal=principal, active=key.status == "Active"
    )


def _root(account_id: str) -> Principal:
    return Principal(arn=f"arn:aws:iam::{account_id}:root", account_id=account_id, user_id=account_id)


def _principal(found: PrincipalPolicies) -> Principal:
    """A user, by the policies that the gateway knows. Whom one denies anything may do nothing yet."""
    who = found.principal
    limited = found.boundary is not None or any(_denies(policy.document) for policy in found.identity)
    return Principal(
        arn=who.arn,
        account_id=who.account_id,
        user_id=who.unique_id,
        policies=() if limited else tuple(policy.arn for policy in found.identity if policy.arn),
    )


def _denies(document: str) -> bool:
    statements = json.loads(document)["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    return any(statement["Effect"] == "Deny" for statement in listed)
