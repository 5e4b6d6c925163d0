"""EC2 with local instances that nobody runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from homeport.app.control_plane import ControlPlane
from homeport.core.pages import Pages
from homeport.gateway.stages import MountedService
from homeport.services.ec2 import manifest as ec2
from homeport.services.ec2.manifest import Instances, LocalInstance
from tests.kit.server import GROUND

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def instance(number: int, **changes: object) -> LocalInstance:
    """A local instance."""
    facts: dict[str, object] = {
        "instance_id": f"i-{number:017x}",
        "zone": f"us-east-1{'abc'[number % 3]}",
        "instance_type": "m5.large",
        "launched_at": EPOCH,
        "cpu_units": 2048,
        "memory_mib": 7936,
        **changes,
    }
    return LocalInstance(**facts)  # type: ignore[arg-type]


class SomeInstances:
    """Those that a test says there are."""

    def __init__(self, *found: LocalInstance) -> None:
        self._found = found

    async def all(self, account_id: str, region: str) -> Sequence[LocalInstance]:
        """In one account and region only."""
        del account_id
        return self._found if region == "us-east-1" else ()


def mount_ec2(plane: ControlPlane, pages: Pages) -> tuple[MountedService, ...]:
    """EC2 with three local instances, of which the last does not answer."""
    found = (instance(0), instance(1), instance(2, is_reachable=False))
    return (_mounted(plane, pages, SomeInstances(*found)),)


def _mounted(plane: ControlPlane, pages: Pages, instances: Instances) -> MountedService:
    context = ec2.Ec2(
        store=plane.store,
        clock=plane.clock,
        ids=plane.ids,
        pages=pages,
        instances=instances,
        ground=GROUND,
    )
    return MountedService(
        name=ec2.name,
        operations=ec2.operations,
        context=context,
        invalid_input=ec2.invalid_input,
        internal_error="InternalError",
        facts=ec2.facts,
    )
