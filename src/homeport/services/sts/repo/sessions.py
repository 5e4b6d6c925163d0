"""Sessions: temporary credentials that are still good, or were lately."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from sqlalchemy import Text, delete, select, update

from homeport.services.sts.model import Session
from homeport.services.sts.repo.tables import sessions
from homeport.store.tx import Tx
from homeport.store.vault import Vault

_OPEN = '%"secret_access_key":"%'
"""In the bodies of earlier versions, which kept credentials as they are."""
_BETWEEN = " "
"""Neither secrets nor tokens have a space."""


def sealed(session: Session, vault: Vault) -> Session:
    """The session as a row holds it: secret and token are in one envelope."""
    credentials = _BETWEEN.join((session.secret_access_key, session.session_token))
    envelope = vault.seal(credentials.encode(), about=_about(session))
    return replace(session, secret_access_key="", session_token="", sealed=envelope)


def opened(session: Session, vault: Vault) -> Session:
    """The session with its credentials. Raise `VaultError`."""
    if session.secret_access_key:
        return session
    credentials = vault.open(session.sealed, about=_about(session)).decode()
    secret, _, token = credentials.partition(_BETWEEN)
    return replace(session, secret_access_key=secret, session_token=token, sealed=b"")


def _about(session: Session) -> str:
    return f"sts/session/{session.account_id}/{session.access_key_id}"


class SessionRepo:
    """Sessions of all accounts."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, access_key_id: str) -> Session | None:
        """The session with that key, expired or not."""
        return self._tx.execute(
            select(sessions.c.body).where(sessions.c.access_key_id == access_key_id)
        ).scalar()

    def newest_of(self, holders: Iterable[str]) -> dict[str, Session]:
        """The session of each holder that is good the longest; holders without any are left out."""
        rows = self._tx.execute(
            select(sessions.c.holder, sessions.c.body)
            .where(sessions.c.holder.in_(tuple(holders)))
            .order_by(sessions.c.expires_at)
        )
        return {row[0]: row[1] for row in rows}

    def add(self, session: Session) -> None:
        """Insert a `sealed` session."""
        if session.secret_access_key or session.session_token:
            raise ValueError("a session is sealed before it is kept")
        self._tx.execute(
            sessions.insert().values(
                access_key_id=session.access_key_id,
                expires_at=session.expires_at.timestamp(),
                holder=session.holder or None,
                body=session,
            )
        )

    def seal_open(self, vault: Vault) -> None:
        """Seal what an earlier version kept as it is."""
        rows = self._tx.execute(select(sessions.c.body).where(sessions.c.body.cast(Text).like(_OPEN)))
        for (session,) in rows.all():
            self._tx.execute(
                update(sessions)
                .where(sessions.c.access_key_id == session.access_key_id)
                .values(body=sealed(session, vault))
            )

    def purge(self, expired_before: float) -> None:
        """Forget sessions that expired before the instant, in epoch seconds."""
        self._tx.execute(delete(sessions).where(sessions.c.expires_at < expired_before))
