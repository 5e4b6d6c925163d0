"""Clients that log in at this installation's load balancers."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.app.balancers.roots import trusted_roots
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.gateway.logins.gate import Gate
from homeport.gateway.logins.provider import HttpProviders
from homeport.gateway.logins.signer import Signer
from homeport.services.elbv2.manifest import ClientSecrets
from homeport.store.base import Store
from homeport.store.vault import Vault

PUBLIC_KEYS = "public-keys"
"""The page below which the key is that users' claims are verified with, by its id."""


def build_gate(store: Store, clock: Clock, ids: Ids, vault: Vault, *, secret: bytes, roots: str = "") -> Gate:
    """`secret` is what the claims' key is made of; `roots` a file of whom to trust as a provider."""
    return Gate(
        clock,
        ids,
        vault,
        secrets=ClientSecrets(store, vault),
        providers=HttpProviders(roots or trusted_roots()),
        signer=Signer(secret),
    )


def public_keys(signer: Signer) -> Mapping[str, bytes]:
    """What everybody may read, by its place."""
    return {f"{PUBLIC_KEYS}/{signer.key_id}": signer.public_pem}
