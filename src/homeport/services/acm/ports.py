"""What Certificate Manager needs from others, in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from homeport.store.tx import Tx


class Users(Protocol):
    """Who shows certificates to clients."""

    def of(self, tx: Tx, account_id: str, region: str) -> Mapping[str, tuple[str, ...]]:
        """By certificate's ARN the ARNs of what uses it, as the transaction sees it."""
        ...

    def tell(self, tx: Tx, account_id: str, region: str, arn: str) -> None:
        """Whoever uses this certificate hears, once the transaction is committed, that it is another one."""
        ...


class NobodyUses:
    """Nothing here shows certificates."""

    def of(self, tx: Tx, account_id: str, region: str) -> Mapping[str, tuple[str, ...]]:
        """None is used."""
        del tx, account_id, region
        return {}

    def tell(self, tx: Tx, account_id: str, region: str, arn: str) -> None:
        """Nobody is there to hear it."""
