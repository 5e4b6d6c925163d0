"""Service Connect on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import Connect
from homeport.services.ecs.view.wire import Wire


def connect_view(connect: Connect | None, *, resources: bool) -> Wire:
    """What was asked for; `resources`: with the Cloud Map services that came of it."""
    if connect is None:
        return {}
    view: Wire = {"serviceConnectConfiguration": dict(connect.given)}
    if resources:
        view["serviceConnectResources"] = [
            {"discoveryName": one.discovery_name, "discoveryArn": one.arn} for one in connect.endpoints
        ]
    return view
