"""What can be wrong with a store.

A `StoreError` reaches callers of the API as "not now", with its message; the other two never do.
"""

from __future__ import annotations

from homeport.core.errors import StaleWriteError, UnavailableError


class StoreError(UnavailableError):
    """Something is wrong with the store itself, not with what was asked of it."""


class StoreClosedError(StoreError):
    """The store was closed before the transaction began."""

    def __init__(self) -> None:
        super().__init__("Homeport is stopping.")


class StoreInUseError(StoreError):
    """Another process has this SQLite database open; only one may."""


class StoreLockedError(StoreError):
    """Another program holds SQLite's write lock for longer than anybody should."""


class StoreVersionError(StoreError):
    """The database was made by a newer Homeport."""


class StoreDamagedError(StoreError):
    """The file is not, or not any more, a database."""


class StoreFullError(StoreError):
    """There is no room for what was to be written."""


class StoreAwayError(StoreError):
    """The database does not answer, or refuses to write."""


class DuplicateKeyError(StaleWriteError):
    """A row with that key is there already: somebody else made it first."""


class LeaseLostError(StaleWriteError):
    """The lease that a write was decided under now belongs to somebody else."""
