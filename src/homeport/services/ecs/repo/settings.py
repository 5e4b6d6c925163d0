"""Account settings and client tokens."""

from __future__ import annotations

from sqlalchemy import and_, select

from homeport.services.ecs.repo.tables import account_settings, client_tokens
from homeport.store.tx import Tx


class SettingRepo:
    """Explicit account settings: of a principal, or of the account (its root's ARN)."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._account_id = account_id
        self._region = region

    def explicit(self, principal_arns: tuple[str, ...]) -> dict[tuple[str, str], str]:
        """(principal, name) -> value of those principals."""
        c = account_settings.c
        rows = self._tx.execute(
            select(c.principal_arn, c.name, c.value).where(
                c.account_id == self._account_id,
                c.region == self._region,
                c.principal_arn.in_(principal_arns),
            )
        )
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
        c = account_settings.c
        where = and_(
            c.account_id == self._account_id,
            c.region == self._region,
            c.principal_arn == principal_arn,
            c.name == name,
        )
        value = self._tx.execute(select(c.value).where(where)).scalar()
        self._tx.execute(account_settings.delete().where(where))
        return None if value is None else str(value)


class TokenRepo:
    """Client tokens: what a caller asked for under a token, and what came of it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, scope: str, token: str) -> tuple[str, str] | None:
        """(request digest, result) of an earlier request."""
        c = client_tokens.c
        row = self._tx.execute(
            select(c.request_digest, c.result).where(c.scope == scope, c.token == token)
        ).first()
        return None if row is None else (row[0], row[1])

    def add(self, scope: str, token: str, *, digest: str, result: str, created_at: float) -> None:
        """Remember a request."""
        self._tx.execute(
            client_tokens.insert().values(
                scope=scope, token=token, request_digest=digest, result=result, created_at=created_at
            )
        )

    def purge(self, created_before: float) -> None:
        """Forget tokens older than the instant, in epoch seconds."""
        self._tx.execute(client_tokens.delete().where(client_tokens.c.created_at < created_before))
