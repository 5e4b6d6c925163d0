"""Client tokens: the same request twice makes one thing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select

from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.repo.tables import tokens

_T = tokens.c


class TokenRepo:
    """The tokens of one account in one region. They go with what they made."""

    def __init__(self, shelf: Shelf) -> None:
        self._tx = shelf.tx
        self._here = {"account_id": shelf.account_id, "region": shelf.region}

    def made(self, token: str, digest: str) -> str | None:
        """What the request with this token made; None: it is new. Raise when it was another request."""
        row = self._tx.execute(
            select(_T.digest, _T.resource_id).where(
                _T.account_id == self._here["account_id"],
                _T.region == self._here["region"],
                _T.token == token,
            )
        ).first()
        if row is None:
            return None
        if row[0] != digest:
            raise Ec2Error(
                "IdempotentParameterMismatch",
                "The client token was used before, in a request with other parameters.",
            )
        return str(row[1])

    def remember(self, token: str, digest: str, resource_id: str, at: datetime) -> None:
        """Raise `DuplicateKeyError` when somebody else was first."""
        self._tx.execute(
            tokens.insert().values(
                **self._here, token=token, digest=digest, resource_id=resource_id, made_at=at
            )
        )

    def forget(self, resource_id: str) -> None:
        """What a token made is gone."""
        self._tx.execute(
            delete(tokens).where(
                _T.account_id == self._here["account_id"],
                _T.region == self._here["region"],
                _T.resource_id == resource_id,
            )
        )
