"""Random passwords. Pure: the randomness is an argument. Source: API Reference, GetRandomPassword."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from homeport.services.secretsmanager.errors import InvalidParameterException

LENGTH = 32
_CLASSES = (
    ("ExcludeLowercase", string.ascii_lowercase),
    ("ExcludeUppercase", string.ascii_uppercase),
    ("ExcludeNumbers", string.digits),
    ("ExcludePunctuation", string.punctuation),
)


def random_password(request: Mapping[str, Any], below: Callable[[int], int]) -> str:
    """A password as the request wants it. `below(n)`: an unpredictable number from 0 to n - 1."""
    length, excluded = request.get("PasswordLength", LENGTH), set(request.get("ExcludeCharacters", ""))
    classes = [chars for member, chars in _CLASSES if not request.get(member)]
    if request.get("IncludeSpace"):
        classes.append(" ")
    left = [kept for chars in classes if (kept := [char for char in chars if char not in excluded])]
    if not left:
        raise InvalidParameterException("Nothing is left that the password could be made of.")
    each = request.get("RequireEachIncludedType", True)
    if each and len(left) < len(classes):
        raise InvalidParameterException(
            "ExcludeCharacters leaves nothing of a type of characters that the password must have."
        )
    if each and length < len(left):
        raise InvalidParameterException(f"The password must have at least {len(left)} characters.")
    everything = [char for chars in left for char in chars]
    chosen = [chars[below(len(chars))] for chars in left] if each else []
    chosen += [everything[below(len(everything))] for _ in range(length - len(chosen))]
    for last in range(len(chosen) - 1, 0, -1):  # Fisher-Yates: the required ones must not stand in front
        other = below(last + 1)
        chosen[last], chosen[other] = chosen[other], chosen[last]
    return "".join(chosen)
