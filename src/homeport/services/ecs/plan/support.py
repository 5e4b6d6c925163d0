"""Refusing what Homeport does not do yet: nothing accepted is ignored. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from homeport.services.ecs.errors import ClientException


def refuse(request: Mapping[str, Any], where: str, members: Iterable[str]) -> None:
    """Raise `ClientException` when one of the members is given (empty lists are not)."""
    for member in members:
        value = request.get(member)
        if value is not None and value not in ([], {}, ""):
            path = f"{where}.{member}" if where else member
            raise ClientException(f"{path} is not supported by Homeport yet.")
