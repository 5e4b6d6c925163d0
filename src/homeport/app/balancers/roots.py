"""Whom this machine trusts."""

from __future__ import annotations

import ssl
from pathlib import Path

from homeport.dataplane.tokens import ROOTS


def trusted_roots() -> str:
    """The file of the authorities that this machine trusts, as OpenSSL finds it."""
    known = ssl.get_default_verify_paths()
    return known.cafile or (ROOTS if Path(ROOTS).exists() else known.openssl_cafile)
