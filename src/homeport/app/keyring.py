"""Access keys as the gateway looks them up: IAM's long-term ones and STS's sessions."""

from __future__ import annotations

from collections.abc import Callable

from homeport.core.call import Principal
from homeport.core.clock import Clock
from homeport.gateway.ports import KeyRecord
from homeport.runtime.changes import Subscription
from homeport.services.iam.manifest import AccessKey, UserRepo
from homeport.services.sts.manifest import SessionRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

KINDS = frozenset({"iam.user", "iam.key"})
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

    async def run(self) -> None:
        """Forget what is cached whenever a user or key changed; until cancelled."""
        async for _ in self._subscribe(KINDS):
            self._cache.clear()

    def _session(self, tx: Tx, access_key_id: str) -> KeyRecord | None:
        session = SessionRepo(tx).find(access_key_id)
        if session is None:
            return None
        principal = _principal(tx, session.account_id, _user_of(session.principal_arn))
        if principal is None:
            return None
        return KeyRecord(
            secret_access_key=session.secret_access_key,
            session_token=session.session_token,
            principal=principal,
            expired=session.expires_at <= self._clock.now(),
        )


def _user_of(principal_arn: str) -> str:
    """The user's name in a principal's ARN; empty for the root."""
    return principal_arn.partition(":user/")[2]


def _long_term(tx: Tx, access_key_id: str) -> KeyRecord | None:
    key: AccessKey | None = UserRepo(tx).key(access_key_id)
    if key is None:
        return None
    principal = _principal(tx, key.account_id, key.user_name)
    if principal is None:
        return None
    return KeyRecord(
        secret_access_key=key.secret_access_key, principal=principal, active=key.status == "Active"
    )


def _principal(tx: Tx, account_id: str, user_name: str) -> Principal | None:
    if not user_name:
        return Principal(arn=f"arn:aws:iam::{account_id}:root", account_id=account_id, user_id=account_id)
    user = UserRepo(tx).find(account_id, user_name)
    if user is None:
        return None
    return Principal(arn=user.arn, account_id=account_id, user_id=user.user_id, policies=user.policies)
