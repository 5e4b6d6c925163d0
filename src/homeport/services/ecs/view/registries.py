"""Service registries on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.services.ecs.model import Registry
from homeport.services.ecs.view.wire import Wire


def registries_view(registries: Iterable[Registry]) -> list[Wire]:
    """Registries as they were asked for."""
    return [dict(one.given) for one in registries if not one.for_connect]
