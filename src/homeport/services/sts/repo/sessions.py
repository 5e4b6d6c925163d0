"""Sessions: temporary credentials that are still good, or were lately."""

from __future__ import annotations

from sqlalchemy import delete, select

from homeport.services.sts.model import Session
from homeport.services.sts.repo.tables import sessions
from homeport.store.tx import Tx


class SessionRepo:
    """Sessions of all accounts."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, access_key_id: str) -> Session | None:
        """The session with that key, expired or not."""
        return self._tx.execute(
            select(sessions.c.body).where(sessions.c.access_key_id == access_key_id)
        ).scalar()

    def add(self, session: Session) -> None:
        """Insert a session."""
        self._tx.execute(
            sessions.insert().values(
                access_key_id=session.access_key_id,
                expires_at=session.expires_at.timestamp(),
                body=session,
            )
        )

    def purge(self, expired_before: float) -> None:
        """Forget sessions that expired before the instant, in epoch seconds."""
        self._tx.execute(delete(sessions).where(sessions.c.expires_at < expired_before))
