"""Regions and their zones. Pure.

Sources: EC2 user guide, "Regions and Zones" (the regions that every account has without asking); zone ids as
documented in the RAM user guide, "Availability Zone IDs".
"""

from __future__ import annotations

from homeport.services.ec2.model import zone_id

REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
ZONES = ("a", "b", "c")
"""Three in every region: where local instances are spread."""


def regions(here: str) -> tuple[str, ...]:
    """Those that a caller is told of, its own among them."""
    return tuple(sorted({*REGIONS, here}))


def zones(region: str) -> tuple[str, ...]:
    """The names of a region's zones."""
    return tuple(f"{region}{letter}" for letter in ZONES)


def zone_of_id(region: str, wanted: str) -> str | None:
    """The zone that has this id."""
    return next((zone for zone in zones(region) if zone_id(zone) == wanted), None)
