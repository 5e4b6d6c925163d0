"""Values that are on disk only as ciphertext: an envelope each, under one master key.

Every value has a data key of its own (AES-256-GCM); the master key wraps the data keys and never
touches a value. What a value is `about` is authenticated with it, so that a ciphertext moved to another
row does not open.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from homeport.core.ids import Ids

KEY_BYTES = 32
NONCE_BYTES = 12
_KEY_ID_BYTES = 8
_WRAPPED_BYTES = KEY_BYTES + 16
_HEAD = b"\x01"


class VaultError(Exception):
    """A value that does not open: another master key sealed it, or somebody changed it."""

    remedy = (
        "Put back the master.key that belongs to this database: it is in the backup, apart from the database."
    )

    @property
    def message(self) -> str:
        """What happened."""
        return str(self)


class Vault:
    """Seals and opens values; both are pure but for the ids' randomness."""

    def __init__(self, master_key: bytes, ids: Ids) -> None:
        if len(master_key) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(master_key)}")
        self._master = AESGCM(master_key)
        self._key_id = hashlib.sha256(b"homeport vault\0" + master_key).digest()[:_KEY_ID_BYTES]
        self._ids = ids

    def seal(self, value: bytes, *, about: str) -> bytes:
        """The value's envelope: head, key id, nonce and wrapped data key, nonce and ciphertext."""
        data_key = self._ids.token(KEY_BYTES)
        wrapping, sealing = self._ids.token(NONCE_BYTES), self._ids.token(NONCE_BYTES)
        head = _HEAD + self._key_id
        wrapped = self._master.encrypt(wrapping, data_key, head)
        return head + wrapping + wrapped + sealing + AESGCM(data_key).encrypt(sealing, value, about.encode())

    def open(self, sealed: bytes, *, about: str) -> bytes:
        """The value. Raise `VaultError`."""
        head, rest = sealed[: 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES :]
        if head != _HEAD + self._key_id:
            raise VaultError(
                "it was sealed under another master key: start with the key file that it was made with"
            )
        wrapping, rest = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        wrapped, rest = rest[:_WRAPPED_BYTES], rest[_WRAPPED_BYTES:]
        sealing, sealed_value = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        try:
            data_key = self._master.decrypt(wrapping, wrapped, head)
            return AESGCM(data_key).decrypt(sealing, sealed_value, about.encode())
        except (InvalidTag, ValueError):
            raise VaultError("it was changed after it was sealed") from None


def master_key(path: Path, ids: Ids) -> bytes:
    """The key in the file, made at the first start and readable by its owner only.

    Raise `VaultError` for a file that is no key: a new one would lose every secret.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return _make(path, ids)
    with os.fdopen(handle, "rb") as file:
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise VaultError(f"{path} is not a master key of {KEY_BYTES} bytes: restore it from a backup")
    return key


def _make(path: Path, ids: Ids) -> bytes:
    """Written aside, synced and linked: a crash leaves a whole key or none, and the first maker wins."""
    fresh = path.with_name(f"{path.name}.{ids.token(8).hex()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(ids.token(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return master_key(path, ids)
