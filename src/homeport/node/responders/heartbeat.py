"""HeartbeatMessage: the control plane is there, and wants to know how the instance is."""

from __future__ import annotations

from homeport.node.reporter import Reporter
from homeport.node.telemetry import Telemetry


async def respond(telemetry: Telemetry, reporter: Reporter) -> None:
    """Publish the instance's status; reports that wait for their next attempt need not wait."""
    reporter.nudge()
    await telemetry.checked()
