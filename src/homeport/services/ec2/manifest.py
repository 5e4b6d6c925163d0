"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.ec2.api import (  # noqa: F401  fill the table
    absent,
    acls,
    classic_link,
    gateways,
    group_uses,
    instance_types,
    instances,
    interfaces,
    regions,
    route_tables,
    rules,
    security_groups,
    subnets,
    tags,
    vpcs,
)
from homeport.services.ec2.api.context import Ec2, open_here, ops
from homeport.services.ec2.api.facts import Facts
from homeport.services.ec2.model import (
    Attachment,
    NetworkInterface,
    Rule,
    SecurityGroup,
    Subnet,
    Vpc,
    private_name,
)
from homeport.services.ec2.plan.effective_rules import Allow, EffectiveRules, effective_rules
from homeport.services.ec2.plan.why_blocked import End, Guard, Obstacle, why_blocked
from homeport.services.ec2.ports import Ground, Instances, LocalInstance, OpenGround
from homeport.services.ec2.repo import tables  # noqa: F401  defines the tables
from homeport.services.ec2.repo.everywhere import (
    find_anywhere,
    interfaces_everywhere,
    range_trouble,
    rules_everywhere,
    standing_vpcs,
    vpcs_everywhere,
)
from homeport.services.ec2.repo.interfaces import add_interface, remove_interface, vpc_of
from homeport.services.ec2.repo.networks import Ranges, open_account
from homeport.services.ec2.repo.shelf import Shelf

name = "ec2"
operations = ops
invalid_input = "InvalidParameterValue"
facts = Facts()
takes = None

__all__ = [
    "Allow",
    "Attachment",
    "Ec2",
    "EffectiveRules",
    "End",
    "Ground",
    "Guard",
    "Instances",
    "LocalInstance",
    "NetworkInterface",
    "Obstacle",
    "OpenGround",
    "Ranges",
    "Rule",
    "SecurityGroup",
    "Shelf",
    "Subnet",
    "Vpc",
    "add_interface",
    "effective_rules",
    "facts",
    "find_anywhere",
    "interfaces_everywhere",
    "invalid_input",
    "name",
    "open_account",
    "open_here",
    "operations",
    "private_name",
    "range_trouble",
    "remove_interface",
    "rules_everywhere",
    "standing_vpcs",
    "takes",
    "vpc_of",
    "vpcs_everywhere",
    "why_blocked",
]
