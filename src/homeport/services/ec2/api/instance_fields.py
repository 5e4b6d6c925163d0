"""What can be asked of instances by filters.

Source: EC2 API Reference, DescribeInstances and DescribeInstanceStatus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from homeport.services.ec2.api.context import Answer
from homeport.services.ec2.plan.filters import Fields, always, flag


def reservation_id(instance_id: str) -> str:
    """Each instance is a reservation of its own."""
    return f"r-{instance_id.removeprefix('i-')}"


def shown(*path: str) -> Callable[[Answer], Iterable[str]]:
    """What an instance shows at the end of a path of members; lists are gone through."""

    def read(one: Answer) -> Iterable[str]:
        found: list[Any] = [one]
        for name in path:
            held = [holder[name] for holder in found if name in holder]
            found = [value for each in held for value in (each if isinstance(each, list) else [each])]
        return [_spelt(value) for value in found]

    return read


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return flag(value)[0]
    return value.strftime("%Y-%m-%dT%H:%M:%S.000Z") if isinstance(value, datetime) else str(value)


_ABSENT = (
    "affinity", "block-device-mapping.attach-time", "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name", "block-device-mapping.status", "block-device-mapping.volume-id",
    "boot-mode", "capacity-reservation-id",
    "capacity-reservation-specification.capacity-reservation-preference",
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn",
    "client-token", "current-instance-boot-mode", "dns-name", "ena-support", "enclave-options.enabled",
    "hibernation-options.configured", "host-id", "hypervisor", "iam-instance-profile.id", "image-id",
    "instance-lifecycle", "ipv6-address", "kernel-id", "key-name", "maintenance-options.auto-recovery",
    "metadata-options.http-endpoint", "metadata-options.http-protocol-ipv4",
    "metadata-options.http-protocol-ipv6", "metadata-options.http-put-response-hop-limit",
    "metadata-options.http-tokens", "metadata-options.instance-metadata-tags", "metadata-options.state",
    "network-interface.addresses.association.allocation-id",
    "network-interface.addresses.association.association-id",
    "network-interface.addresses.association.carrier-ip",
    "network-interface.addresses.association.customer-owned-ip",
    "network-interface.addresses.association.public-dns-name",
    "network-interface.association.allocation-id", "network-interface.association.association-id",
    "network-interface.association.carrier-ip", "network-interface.association.customer-owned-ip",
    "network-interface.association.public-dns-name", "network-interface.deny-all-igw-traffic",
    "network-interface.ipv4-prefixes.ipv4-prefix", "network-interface.ipv6-address",
    "network-interface.ipv6-addresses.ipv6-address", "network-interface.ipv6-addresses.is-primary-ipv6",
    "network-interface.ipv6-prefixes.ipv6-prefix", "network-interface.operator.principal",
    "network-interface.outpost-arn", "network-interface.public-dns-name",
    "network-interface.requester-id", "network-interface.tag-key", "network-interface.tag-value",
    "network-performance-options.bandwidth-weighting", "operator.principal", "outpost-arn",
    "placement-group-name", "placement-partition-number", "platform", "platform-details",
    "private-dns-name-options.enable-resource-name-dns-a-record",
    "private-dns-name-options.enable-resource-name-dns-aaaa-record",
    "private-dns-name-options.hostname-type", "product-code", "product-code.type", "ramdisk-id", "reason",
    "requester-id", "root-device-name", "root-device-type", "spot-instance-request-id",
    "state-reason-code", "state-reason-message", "tpm-support", "usage-operation",
    "usage-operation-update-time", "virtualization-type",
)  # fmt: skip
"""What a local instance says nothing about: nothing passes a filter of it."""

_HELD = "NetworkInterfaces"
_ADDRESSES = (_HELD, "PrivateIpAddresses")

INSTANCE: Fields[Answer] = {
    **dict.fromkeys(_ABSENT, always()),
    "architecture": shown("Architecture"),
    "availability-zone": shown("Placement", "AvailabilityZone"),
    "availability-zone-id": shown("Placement", "AvailabilityZoneId"),
    "ebs-optimized": shown("EbsOptimized"),
    "iam-instance-profile.arn": shown("IamInstanceProfile", "Arn"),
    "instance-id": shown("InstanceId"),
    "instance-state-code": shown("State", "Code"),
    "instance-state-name": shown("State", "Name"),
    "instance-type": shown("InstanceType"),
    "instance.group-id": shown("SecurityGroups", "GroupId"),
    "instance.group-name": shown("SecurityGroups", "GroupName"),
    "ip-address": shown("PublicIpAddress"),
    "launch-index": shown("AmiLaunchIndex"),
    "launch-time": shown("LaunchTime"),
    "monitoring-state": shown("Monitoring", "State"),
    "network-interface.addresses.association.ip-owner-id": shown(*_ADDRESSES, "Association", "IpOwnerId"),
    "network-interface.addresses.association.public-ip": shown(*_ADDRESSES, "Association", "PublicIp"),
    "network-interface.addresses.primary": shown(*_ADDRESSES, "Primary"),
    "network-interface.addresses.private-dns-name": shown(*_ADDRESSES, "PrivateDnsName"),
    "network-interface.addresses.private-ip-address": shown(*_ADDRESSES, "PrivateIpAddress"),
    "network-interface.association.ip-owner-id": shown(_HELD, "Association", "IpOwnerId"),
    "network-interface.association.public-ip": shown(_HELD, "Association", "PublicIp"),
    "network-interface.attachment.attach-time": shown(_HELD, "Attachment", "AttachTime"),
    "network-interface.attachment.attachment-id": shown(_HELD, "Attachment", "AttachmentId"),
    "network-interface.attachment.delete-on-termination": shown(_HELD, "Attachment", "DeleteOnTermination"),
    "network-interface.attachment.device-index": shown(_HELD, "Attachment", "DeviceIndex"),
    "network-interface.attachment.instance-id": lambda one: [one["InstanceId"]] if one[_HELD] else (),
    "network-interface.attachment.instance-owner-id": shown(_HELD, "OwnerId"),
    "network-interface.attachment.network-card-index": shown(_HELD, "Attachment", "NetworkCardIndex"),
    "network-interface.attachment.status": shown(_HELD, "Attachment", "Status"),
    "network-interface.availability-zone": (
        lambda one: [one["Placement"]["AvailabilityZone"]] if one[_HELD] else ()
    ),
    "network-interface.description": shown(_HELD, "Description"),
    "network-interface.group-id": shown(_HELD, "Groups", "GroupId"),
    "network-interface.group-name": shown(_HELD, "Groups", "GroupName"),
    "network-interface.ipv6-native": lambda one: flag(False) if one[_HELD] else (),
    "network-interface.mac-address": shown(_HELD, "MacAddress"),
    "network-interface.network-interface-id": shown(_HELD, "NetworkInterfaceId"),
    "network-interface.operator.managed": lambda one: flag(False) if one[_HELD] else (),
    "network-interface.owner-id": shown(_HELD, "OwnerId"),
    "network-interface.private-dns-name": shown(_HELD, "PrivateDnsName"),
    "network-interface.private-ip-address": shown(_HELD, "PrivateIpAddress"),
    "network-interface.requester-managed": lambda one: flag(False) if one[_HELD] else (),
    "network-interface.source-dest-check": shown(_HELD, "SourceDestCheck"),
    "network-interface.status": shown(_HELD, "Status"),
    "network-interface.subnet-id": shown(_HELD, "SubnetId"),
    "network-interface.vpc-id": shown(_HELD, "VpcId"),
    "operator.managed": always("false"),
    "private-dns-name": shown("PrivateDnsName"),
    "private-ip-address": shown("PrivateIpAddress"),
    "reservation-id": lambda one: (reservation_id(one["InstanceId"]),),
    "source-dest-check": shown("SourceDestCheck"),
    "subnet-id": shown("SubnetId"),
    "tenancy": shown("Placement", "Tenancy"),
    "vpc-id": shown("VpcId"),
}
"""Who owns it is the caller: `owner-id` is added with the request."""

STATUS: Fields[Answer] = {
    **dict.fromkeys(
        (
            "application-status.status",
            "attached-ebs-status.status",
            "event.code",
            "event.description",
            "event.instance-event-id",
            "event.not-after",
            "event.not-before",
            "event.not-before-deadline",
            "operator.principal",
        ),
        always(),
    ),
    "availability-zone": shown("AvailabilityZone"),
    "availability-zone-id": shown("AvailabilityZoneId"),
    "instance-state-code": shown("InstanceState", "Code"),
    "instance-state-name": shown("InstanceState", "Name"),
    "instance-status.reachability": shown("InstanceStatus", "Details", "Status"),
    "instance-status.status": shown("InstanceStatus", "Status"),
    "operator.managed": always("false"),
    "system-status.reachability": shown("SystemStatus", "Details", "Status"),
    "system-status.status": shown("SystemStatus", "Status"),
}
