"""Access keys as the gateway looks them up: IAM's long-term ones and STS's sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from homeport.app.identity import principals
from homeport.app.identity.last_uses import LastUses
from homeport.app.identity.role_sessions import task_of
from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.gateway.ports import CallerPolicies, KeyRecord
from homeport.runtime.changes import Subscription
from homeport.services.ecs.manifest import CREDENTIALS_ENDED, TaskRepo
from homeport.services.iam.manifest import AccessKey, KeyRepo, policies_of_user
from homeport.services.iam.manifest import opened as opened_key
from homeport.services.sts.manifest import SessionRepo
from homeport.services.sts.manifest import opened as opened_session
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault

KINDS = frozenset({"iam.user", "iam.key", "iam.policies", CREDENTIALS_ENDED})
CACHED_MAX = 10_000


class StoredKeys:
    """A `KeyRing` over the store, with a cache that the change feed empties.

    A session is worth what its user is worth now: a deleted user's sessions prove nobody, nor do a stopped
    task's.
    """

    def __init__(
        self, store: Store, clock: Clock, subscribe: Callable[[frozenset[str]], Subscription], vault: Vault
    ) -> None:
        self._store = store
        self._vault = vault
        self._news = subscribe(KINDS)
        self._generation = 0
        self._cache: dict[str, KeyRecord] = {}
        self._book = principals.PolicyBook()
        self.uses = LastUses(store, clock)

    async def find(self, access_key_id: str) -> KeyRecord | None:
        """The key's owner, its secret and its policies; `None`: there is no such key.

        What is remembered counts only while no news of users, keys or policies waits: who was deleted is
        out with the next request.
        """
        record = self._cache.get(access_key_id) if self._news.is_current() else None
        if record is None:
            generation = self._generation
            record = await self._store.read(lambda tx: self._record(tx, access_key_id))
            if record is not None and generation == self._generation and self._news.is_current():
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
        async for _ in self._news:
            self._generation += 1
            self._cache.clear()

    def _record(self, tx: Tx, access_key_id: str) -> KeyRecord | None:
        if access_key_id.startswith("ASIA"):
            return self._session(tx, access_key_id)
        key: AccessKey | None = KeyRepo(tx).find(access_key_id)
        if key is None:
            return None
        if not key.user_name:
            who, policies = principals.root(key.account_id), CallerPolicies()
        elif found := policies_of_user(tx, key.account_id, key.user_name):
            who, policies = principals.user(found), self._book.of(found)
        else:
            return None
        return KeyRecord(
            secret_access_key=opened_key(key, self._vault).secret_access_key,
            principal=who,
            policies=policies,
            active=key.status == "Active",
        )

    def _session(self, tx: Tx, access_key_id: str) -> KeyRecord | None:
        session = SessionRepo(tx).find(access_key_id)
        if session is not None and (uid := task_of(session)) and not TaskRepo(tx).is_live(uid):
            return None  # credentials of a task are good while it lives
        found = None if session is None else principals.of_session(tx, session, self._book)
        if session is None or found is None:
            return None
        session = opened_session(session, self._vault)
        return KeyRecord(
            secret_access_key=session.secret_access_key,
            session_token=session.session_token,
            principal=found[0],
            policies=found[1],
            expires_at=session.expires_at,
        )
