"""Parameters' names, and how requests refer to them. Pure.

Source: Systems Manager user guide, "About requirements and constraints for parameter names"; API Reference,
PutParameter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from homeport.services.ssm.errors import HierarchyLevelLimitExceededException, ValidationException

LEVELS_MAX = 15
ARN_CHARS_MAX = 1011
_NAME = re.compile(r"/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A parameter as a request names it: with a version's number or label behind a colon, or without."""

    name: str
    version: int | None = None
    label: str = ""

    @property
    def selector(self) -> str:
        """What an answer repeats of it: `:3`, `:prod`, or nothing."""
        chosen = self.label or (str(self.version) if self.version is not None else "")
        return f":{chosen}" if chosen else ""


def check_name(name: str, *, account_id: str, region: str) -> None:
    """Raise unless a parameter may be called so."""
    first = name.removeprefix("/").partition("/")[0].lower()
    if not _NAME.fullmatch(name) or first.startswith(("aws", "ssm")):
        raise ValidationException(
            'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive). If formed as a path, '
            "it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of "
            "letters, numbers and the following 3 symbols .-_"
        )
    if "/" in name and not name.startswith("/"):
        raise ValidationException(
            "Parameter name must be a fully qualified name: a path begins with a slash."
        )
    if name.startswith("/") and name.count("/") > LEVELS_MAX:
        raise HierarchyLevelLimitExceededException(
            f"A parameter hierarchy has at most {LEVELS_MAX} levels; this name has {name.count('/')}."
        )
    arn = f"arn:aws:ssm:{region}:{account_id}:parameter/{name.removeprefix('/')}"
    if len(arn) > ARN_CHARS_MAX:
        raise ValidationException(f"A parameter's ARN has at most {ARN_CHARS_MAX} characters.")


def reference(text: str, *, account_id: str, region: str) -> Reference | None:
    """What a request means by a name, an ARN, or either with a selector; `None`: nothing that can be here."""
    if text.startswith("arn:"):
        parts = text.split(":", 6)
        if len(parts) < 6 or parts[2] != "ssm" or parts[3:5] != [region, account_id]:
            return None
        path, selector = parts[5].removeprefix("parameter"), parts[6:]
        # An ARN does not tell a path of one level from a plain name: names with an inner slash are paths.
        name = path if path.count("/") > 1 else path.removeprefix("/")
        text = ":".join([name, *selector])
    name, colon, chosen = text.partition(":")
    if not colon:
        return Reference(name=name)
    if chosen.isdecimal():
        return Reference(name=name, version=int(chosen)) if len(chosen) < 19 else None
    return Reference(name=name, label=chosen) if chosen else None


def spellings(found: Reference, *, by_arn: bool) -> tuple[str, ...]:
    """The names that a reference may mean: an ARN says `parameter/db` for `db` and for `/db`."""
    if not by_arn or "/" in found.name:
        return (found.name,)
    return (found.name, f"/{found.name}")


def is_label(text: str) -> bool:
    """Whether a version may be labelled so. Source: user guide, "Working with parameter labels"."""
    return (
        bool(_LABEL.fullmatch(text)) and not text[0].isdigit() and not text.lower().startswith(("aws", "ssm"))
    )
