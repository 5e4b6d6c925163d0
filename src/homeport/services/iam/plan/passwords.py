"""The account's password policy as it is asked for and shown.

Source: botocore iam, UpdateAccountPasswordPolicy and PasswordPolicy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeport.services.iam.model import PasswordPolicy


def asked(req: Mapping[str, Any]) -> PasswordPolicy:
    """The policy that a request describes whole: what it does not say is the default."""
    return PasswordPolicy(
        minimum_length=req.get("MinimumPasswordLength", 6),
        symbols=req.get("RequireSymbols", False),
        numbers=req.get("RequireNumbers", False),
        uppercase=req.get("RequireUppercaseCharacters", False),
        lowercase=req.get("RequireLowercaseCharacters", False),
        users_may_change=req.get("AllowUsersToChangePassword", False),
        age_days_max=req.get("MaxPasswordAge", 0),
        remembered=req.get("PasswordReusePrevention", 0),
        hard_expiry=req.get("HardExpiry"),
    )


def shown(policy: PasswordPolicy) -> dict[str, Any]:
    """The policy's members; passwords expire when they have an age."""
    return {
        "MinimumPasswordLength": policy.minimum_length,
        "RequireSymbols": policy.symbols,
        "RequireNumbers": policy.numbers,
        "RequireUppercaseCharacters": policy.uppercase,
        "RequireLowercaseCharacters": policy.lowercase,
        "AllowUsersToChangePassword": policy.users_may_change,
        "ExpirePasswords": policy.age_days_max > 0,
        **({"MaxPasswordAge": policy.age_days_max} if policy.age_days_max else {}),
        **({"PasswordReusePrevention": policy.remembered} if policy.remembered else {}),
        **({} if policy.hard_expiry is None else {"HardExpiry": policy.hard_expiry}),
    }
