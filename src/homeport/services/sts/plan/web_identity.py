"""Whom a web identity's token proves. Pure but for the signature's arithmetic.

Source: STS API Reference, AssumeRoleWithWebIdentity; OpenID Connect Core 1.0, section 2; RFC 7519.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from homeport.services.sts.errors import ExpiredTokenException, InvalidIdentityTokenException

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
LEEWAY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class WebIdentity:
    """Who the issuer says it is. `issuer` is the URL without its scheme, as IAM names providers."""

    issuer: str
    subject: str
    audience: tuple[str, ...]
    authorised_party: str = ""


def issuer_of(token: str) -> str:
    """The issuer's URL that an unproven token claims. Raise `InvalidIdentityTokenException`."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise InvalidIdentityTokenException(f"The ID Token provided is not a valid JWT: {error}") from None
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise InvalidIdentityTokenException("The ID Token has no issuer.")
    return issuer


def proven(token: str, keys: Mapping[str, Any], now: datetime) -> WebIdentity:
    """What the token says, its signature and times checked. Raise unless it proves somebody."""
    claims = _verified(token, _key(token, keys))
    seconds = now.timestamp()
    for claim, late in (("exp", True), ("nbf", False), ("iat", False)):
        at = claims.get(claim)
        if at is None and claim != "exp":
            continue
        if not isinstance(at, int | float) or isinstance(at, bool):
            raise InvalidIdentityTokenException(f"The ID Token has no usable {claim}.")
        if late and at + LEEWAY_SECONDS <= seconds:
            raise ExpiredTokenException(f"Token expired: current date/time {int(seconds)} is after {int(at)}")
        if not late and at - LEEWAY_SECONDS > seconds:
            raise InvalidIdentityTokenException(f"The ID Token is not valid yet: {claim} is to come.")
    subject, audience = claims.get("sub"), claims.get("aud")
    audiences = (audience,) if isinstance(audience, str) else tuple(audience or ())
    if not isinstance(subject, str) or not subject or not all(isinstance(one, str) for one in audiences):
        raise InvalidIdentityTokenException("The ID Token has no subject, or no usable audience.")
    return WebIdentity(
        issuer=without_scheme(str(claims["iss"])),
        subject=subject,
        audience=audiences,
        authorised_party=str(claims.get("azp") or ""),
    )


def without_scheme(url: str) -> str:
    """An issuer's URL as IAM names its provider."""
    return url.partition("://")[2] or url


def _key(token: str, keys: Mapping[str, Any]) -> jwt.PyJWK:
    try:
        wanted = jwt.get_unverified_header(token).get("kid")
        known = [one for one in keys.get("keys", ()) if wanted is None or one.get("kid") == wanted]
        if len(known) != 1:
            raise InvalidIdentityTokenException(
                "Couldn't retrieve verification key from your identity provider: no key of its set is meant."
            )
        return jwt.PyJWK(known[0])
    except (jwt.PyJWTError, TypeError, AttributeError) as error:
        raise InvalidIdentityTokenException(f"The provider's key cannot be used: {error}") from None


def _verified(token: str, key: jwt.PyJWK) -> dict[str, Any]:
    options = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
    if key.algorithm_name not in ALGORITHMS:
        raise InvalidIdentityTokenException(f"The algorithm {key.algorithm_name} is not allowed.")
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[key.algorithm_name], options=options)  # type: ignore[arg-type]
    except jwt.InvalidTokenError as error:
        raise InvalidIdentityTokenException(f"The ID Token is not valid: {error}") from None
    return claims
