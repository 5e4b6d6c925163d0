"""What is sealed opens under its own key, for what it was sealed about, and unchanged; nothing else does."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.ids import SeededIds
from homeport.store.vault import KEY_BYTES, Vault, VaultError, master_key

KEY, OTHER = bytes(range(KEY_BYTES)), bytes(KEY_BYTES)


@given(st.binary(max_size=200), st.text(max_size=40))
def test_what_is_sealed_opens_again_and_does_not_show(value: bytes, about: str) -> None:
    vault = Vault(KEY, SeededIds())
    sealed = vault.seal(value, about=about)
    assert vault.open(sealed, about=about) == value
    assert len(value) < 4 or value not in sealed


def test_the_same_value_is_sealed_differently_each_time() -> None:
    vault = Vault(KEY, SeededIds())
    assert vault.seal(b"secret", about="a") != vault.seal(b"secret", about="a")


def test_a_ciphertext_moved_to_another_row_does_not_open() -> None:
    vault = Vault(KEY, SeededIds())
    with pytest.raises(VaultError, match="changed"):
        vault.open(vault.seal(b"secret", about="mine"), about="yours")


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_anywhere_is_noticed(where: int, flip: int) -> None:
    vault = Vault(KEY, SeededIds())
    sealed = bytearray(vault.seal(b"secret", about="a"))
    sealed[where % len(sealed)] ^= flip
    with pytest.raises(VaultError):
        vault.open(bytes(sealed), about="a")


@given(st.integers(min_value=0, max_value=90))
def test_a_ciphertext_that_ends_early_does_not_open(length: int) -> None:
    vault = Vault(KEY, SeededIds())
    with pytest.raises(VaultError):
        vault.open(vault.seal(b"secret", about="a")[:length], about="a")


def test_another_master_key_says_which_mistake_it_is() -> None:
    sealed = Vault(KEY, SeededIds()).seal(b"secret", about="a")
    with pytest.raises(VaultError, match="another master key"):
        Vault(OTHER, SeededIds()).open(sealed, about="a")


def test_the_key_file_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    made = master_key(path, SeededIds(1))
    assert master_key(path, SeededIds(2)) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["master.key"]


def test_a_broken_key_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(b"short")
    with pytest.raises(VaultError, match="backup"):
        master_key(path, SeededIds())
    assert path.read_bytes() == b"short"
