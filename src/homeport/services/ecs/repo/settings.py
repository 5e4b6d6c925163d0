"""Account settings and client tokens."""

from __future__ import annotations

from sqlalchemy import and_, bindparam, select

from homeport.services.ecs.repo.tables import account_settings, client_tokens
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.tx import Tx

_S = account_settings.c
_C = client_tokens.c
_EXPLICIT = PreparedList(
    _S.principal_arn,
    lambda arns: select(_S.principal_arn, _S.name, _S.value).where(
        _S.account_id == bindparam("account_id"), _S.region == bindparam("region"), _S.principal_arn.in_(arns)
    ),
)
_FIND_TOKEN = Prepared(
    select(_C.request_digest, _C.result).where(_C.scope == bindparam("scope"), _C.token == bindparam("token"))
)
_INSERT_TOKEN = Prepared(
    client_tokens.insert().returning(_C.id),
    column_keys=("scope", "token", "request_digest", "result", "created_at"),
)


class SettingRepo:
    """Explicit account settings: of a principal, or of the account (its root's ARN)."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._account_id = account_id
        self._region = region

    def explicit(self, principal_arns: tuple[str, ...]) -> dict[tuple[str, str], str]:
        """(principal, name) -> value of those principals."""
        home = {"account_id": self._account_id, "region": self._region}
        rows = self._tx.rows_of(_EXPLICIT, principal_arns, home)
        return {(row[0], row[1]): row[2] for row in rows}

    def put(self, principal_arn: str, name: str, value: str) -> None:
        """Set one."""
        self.delete(principal_arn, name)
        self._tx.execute(
            account_settings.insert().values(
                account_id=self._account_id,
                region=self._region,
                principal_arn=principal_arn,
                name=name,
                value=value,
            )
        )

    def delete(self, principal_arn: str, name: str) -> str | None:
        """Remove one; its value, if it was set."""
        where = and_(
            _S.account_id == self._account_id,
            _S.region == self._region,
            _S.principal_arn == principal_arn,
            _S.name == name,
        )
        value = self._tx.execute(select(_S.value).where(where)).scalar()
        self._tx.execute(account_settings.delete().where(where))
        return None if value is None else str(value)


class TokenRepo:
    """Client tokens: what a caller asked for under a token, and what came of it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, scope: str, token: str) -> tuple[str, str] | None:
        """(request digest, result) of an earlier request."""
        row = self._tx.first(_FIND_TOKEN, {"scope": scope, "token": token})
        return None if row is None else (row[0], row[1])

    def add(self, scope: str, token: str, *, digest: str, result: str, created_at: float) -> None:
        """Remember a request."""
        self._tx.insert(
            _INSERT_TOKEN,
            {
                "scope": scope,
                "token": token,
                "request_digest": digest,
                "result": result,
                "created_at": created_at,
            },
        )

    def purge(self, created_before: float) -> None:
        """Forget tokens older than the instant, in epoch seconds."""
        self._tx.execute(client_tokens.delete().where(_C.created_at < created_before))
