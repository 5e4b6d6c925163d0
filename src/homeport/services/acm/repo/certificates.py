"""Certificates, and the installation's own authority."""

from __future__ import annotations

from sqlalchemy import select

from homeport.services.acm.model import Authority, Certificate
from homeport.services.acm.repo.tables import authorities, certificates
from homeport.store.rows import all_nouns, first_noun, insert_row, nouns, remove_row, write_row
from homeport.store.tx import Tx

_C = certificates.c
LOCAL = "local"


class CertificateRepo:
    """One account's certificates in one region."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._here = (_C.account_id == account_id, _C.region == region)

    def find(self, uid: str) -> Certificate | None:
        """The certificate of that id."""
        return first_noun(self._tx, nouns(certificates).where(*self._here, _C.uid == uid))

    def all(self) -> tuple[Certificate, ...]:
        """Every certificate, the oldest first."""
        return tuple(all_nouns(self._tx, nouns(certificates).where(*self._here).order_by(_C.id)))

    def add(self, one: Certificate) -> Certificate:
        """Insert."""
        return insert_row(
            self._tx, certificates, one, account_id=one.account_id, region=one.region, uid=one.uid
        )

    def save(self, one: Certificate) -> Certificate:
        """Raise `StaleWriteError` when someone else wrote first."""
        return write_row(self._tx, certificates, one, one.arn)

    def delete(self, one: Certificate) -> None:
        """Remove. Raise `StaleWriteError` when someone else wrote first."""
        remove_row(self._tx, certificates, one, one.arn)


def find_authority(tx: Tx) -> Authority | None:
    """The installation's own authority, if it was ever needed."""
    found: Authority | None = tx.execute(
        select(authorities.c.body).where(authorities.c.name == LOCAL)
    ).scalar()
    return found


def add_authority(tx: Tx, authority: Authority) -> None:
    """Insert. Raise `DuplicateKeyError` when another replica was first."""
    tx.execute(authorities.insert().values(name=LOCAL, body=authority))
