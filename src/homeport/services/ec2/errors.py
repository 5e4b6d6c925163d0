"""EC2's errors: its model has none, so their codes are data.

Source: EC2 API Reference, "Error codes for the Amazon EC2 API"; texts marked [O] were seen in others' issues,
the rest are ours.
"""

from __future__ import annotations

from homeport.core.errors import DynamicAwsError


class Ec2Error(DynamicAwsError):
    """An error with one of EC2's codes."""


_NAMES = {
    "vpc": ("InvalidVpcID.NotFound", "vpc ID"),
    "subnet": ("InvalidSubnetID.NotFound", "subnet ID"),
    "security-group": ("InvalidGroup.NotFound", "security group"),
    "security-group-rule": ("InvalidSecurityGroupRuleId.NotFound", "security group rule ID"),
    "route-table": ("InvalidRouteTableID.NotFound", "routeTable ID"),
    "internet-gateway": ("InvalidInternetGatewayID.NotFound", "internetGateway ID"),
    "network-interface": ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
    "network-acl": ("InvalidNetworkAclID.NotFound", "networkAcl ID"),
    "instance": ("InvalidInstanceID.NotFound", "instance ID"),
}
_MALFORMED = {
    "security-group": ("InvalidGroupId.Malformed", "sg-"),
    "security-group-rule": ("InvalidSecurityGroupRuleId.Malformed", "sgr-"),
    "instance": ("InvalidInstanceID.Malformed", "i-"),
    "vpc": ("InvalidVpcID.Malformed", "vpc-"),
    "subnet": ("InvalidSubnetID.Malformed", "subnet-"),
    "route-table": ("InvalidRouteTableId.Malformed", "rtb-"),
    "internet-gateway": ("InvalidInternetGatewayId.Malformed", "igw-"),
    "network-interface": ("InvalidNetworkInterfaceId.Malformed", "eni-"),
    "network-acl": ("InvalidNetworkAclId.Malformed", "acl-"),
}
PREFIXES = {kind: prefix for kind, (_, prefix) in _MALFORMED.items()}
"""How ids of each type begin."""


def not_found(kind: str, *resource_ids: str) -> Ec2Error:
    """There is none of these ids [O]: `The vpc ID 'vpc-1' does not exist`."""
    code, noun = _NAMES[kind]
    if len(resource_ids) > 1:
        return Ec2Error(code, f"The {noun}s '{', '.join(resource_ids)}' do not exist")
    return Ec2Error(code, f"The {noun} '{resource_ids[0]}' does not exist")


def malformed(kind: str, resource_id: str) -> Ec2Error:
    """The id is of nothing of this type [O]: `Invalid id: "x" (expecting "vpc-...")`."""
    code, prefix = _MALFORMED[kind]
    return Ec2Error(code, f'Invalid id: "{resource_id}" (expecting "{prefix}...")')


def invalid(text: str) -> Ec2Error:
    """A value cannot be."""
    return Ec2Error("InvalidParameterValue", text)


def clashing(text: str) -> Ec2Error:
    """Values cannot be together."""
    return Ec2Error("InvalidParameterCombination", text)


def missing(name: str) -> Ec2Error:
    """A member that is needed [O]."""
    return Ec2Error("MissingParameter", f"The request must contain the parameter {name}")


def unsupported(name: str) -> Ec2Error:
    """A member, or a value, that means nothing here yet."""
    return Ec2Error("UnsupportedOperation", f"{name} is not supported by Homeport yet.")


def dry_run() -> Ec2Error:
    """All was well, and nothing was done [O]."""
    return Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)


def in_use(text: str) -> Ec2Error:
    """Something else depends on it."""
    return Ec2Error("DependencyViolation", text)
