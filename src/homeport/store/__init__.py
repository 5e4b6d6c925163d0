"""The SQL floor: transactions, the change feed, leases, migrations."""

from homeport.store.base import Store
from homeport.store.errors import (
    DuplicateKeyError,
    LeaseLostError,
    StoreAwayError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreInUseError,
    StoreLockedError,
    StoreVersionError,
)
from homeport.store.feed import Feed, FeedSubscription
from homeport.store.guard import GuardedRow, guarded_delete, guarded_update, guarded_update_many
from homeport.store.leases import Leases, check_lease
from homeport.store.opening import open_memory_store, open_store
from homeport.store.schema import metadata
from homeport.store.tx import Tx
from homeport.store.types import Document, Instant, RowId

__all__ = [
    "Document",
    "DuplicateKeyError",
    "Feed",
    "FeedSubscription",
    "GuardedRow",
    "Instant",
    "LeaseLostError",
    "Leases",
    "RowId",
    "Store",
    "StoreAwayError",
    "StoreClosedError",
    "StoreDamagedError",
    "StoreError",
    "StoreFullError",
    "StoreInUseError",
    "StoreLockedError",
    "StoreVersionError",
    "Tx",
    "check_lease",
    "guarded_delete",
    "guarded_update",
    "guarded_update_many",
    "metadata",
    "open_memory_store",
    "open_store",
]
