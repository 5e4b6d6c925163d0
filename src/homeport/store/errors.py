"""What can be wrong with a store; none of these reaches a caller of the API as such."""

from __future__ import annotations

from homeport.core.errors import StaleWriteError


class StoreError(Exception):
    """Something is wrong with the store itself, not with what was asked of it."""


class StoreClosedError(StoreError):
    """The store was closed before the transaction began."""


class StoreInUseError(StoreError):
    """Another process has this SQLite database open; only one may."""


class StoreVersionError(StoreError):
    """The database was made by a newer Homeport."""


class LeaseLostError(StaleWriteError):
    """The lease that a write was decided under now belongs to somebody else."""
