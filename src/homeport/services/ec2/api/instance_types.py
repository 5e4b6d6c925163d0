"""The types of the local instances, and where there are some. Source: EC2 API Reference."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ec2.api.context import (
    Answer,
    Ec2,
    Request,
    check_dry_run,
    check_paging,
    page,
    serve,
)
from homeport.services.ec2.errors import Ec2Error, unsupported
from homeport.services.ec2.model import zone_id
from homeport.services.ec2.plan.filters import Fields, always, flag, predicate
from homeport.services.ec2.ports import LocalInstance

_UNKNOWN = (
    "ebs-info.attachment-limit-type",
    "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
    "ebs-info.ebs-optimized-info.baseline-iops",
    "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
    "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
    "ebs-info.ebs-optimized-info.maximum-iops",
    "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
    "ebs-info.maximum-ebs-attachments",
    "hypervisor",
    "instance-storage-info.disk.count",
    "instance-storage-info.disk.size-in-gb",
    "instance-storage-info.disk.type",
    "instance-storage-info.encryption-support",
    "instance-storage-info.nvme-support",
    "instance-storage-info.total-size-in-gb",
    "network-info.bandwidth-weightings",
    "network-info.efa-info.maximum-efa-interfaces",
    "network-info.flexible-ena-queues-support",
    "network-info.ipv4-addresses-per-interface",
    "network-info.ipv6-addresses-per-interface",
    "network-info.maximum-network-cards",
    "network-info.maximum-network-interfaces",
    "network-info.network-performance",
    "nitro-enclaves-support",
    "nitro-tpm-support",
    "nitro-tpm-info.supported-versions",
    "processor-info.supported-features",
    "processor-info.sustained-clock-speed-in-ghz",
    "reboot-migration-support",
    "supported-boot-mode",
    "supported-root-device-type",
    "supported-virtualization-type",
    "vcpu-info.default-cores",
    "vcpu-info.default-threads-per-core",
    "vcpu-info.valid-cores",
    "vcpu-info.valid-threads-per-core",
)
"""What a part of this machine says nothing about."""
_NEVER = {
    "auto-recovery-supported": "AutoRecoverySupported",
    "bare-metal": "BareMetal",
    "burstable-performance-supported": "BurstablePerformanceSupported",
    "dedicated-hosts-supported": "DedicatedHostsSupported",
    "free-tier-eligible": "FreeTierEligible",
    "hibernation-supported": "HibernationSupported",
    "instance-storage-supported": "InstanceStorageSupported",
}
"""What no local instance is or has."""
_TYPE: Fields[Answer] = {
    **dict.fromkeys(_UNKNOWN, always()),
    **dict.fromkeys(_NEVER, always(*flag(False))),
    "instance-type": lambda one: (one["InstanceType"],),
    "current-generation": always("true"),
    "ebs-info.ebs-optimized-support": always("unsupported"),
    "ebs-info.encryption-support": always("unsupported"),
    "ebs-info.nvme-support": always("unsupported"),
    "memory-info.size-in-mib": lambda one: (str(one["MemoryInfo"]["SizeInMiB"]),),
    "network-info.efa-supported": always("false"),
    "network-info.ena-support": always("unsupported"),
    "network-info.encryption-in-transit-supported": always("false"),
    "network-info.ipv6-supported": always("false"),
    "processor-info.supported-architecture": lambda one: one["ProcessorInfo"]["SupportedArchitectures"],
    "supported-usage-class": always("on-demand"),
    "vcpu-info.default-vcpus": lambda one: (str(one["VCpuInfo"]["DefaultVCpus"]),),
}
_OFFERING: Fields[Answer] = {
    "instance-type": lambda one: (one["InstanceType"],),
    "location": lambda one: (one["Location"],),
}


async def _local(call: Call, ec2: Ec2) -> list[LocalInstance]:
    """Those that have a type."""
    return [one for one in await ec2.instances.all(call.account_id, call.region) if one.instance_type]


@serve("DescribeInstanceTypes", "InstanceTypes", "Filters", "NextToken", "MaxResults")
async def describe_instance_types(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The types of the local instances: what one of them has."""
    wanted = req.get("InstanceTypes") or ()
    check_paging(req, has_ids=bool(wanted))
    passes = predicate(req.get("Filters"), _TYPE)
    known = {one.instance_type: one for one in await _local(call, ec2)}
    if lost := [name for name in wanted if name not in known]:
        raise Ec2Error(
            "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(lost)}]"
        )
    check_dry_run(req)
    listed = [_type_view(known[name]) for name in sorted(set(wanted) or known)]
    listed = [one for one in listed if passes(one)]
    shown, more = page(call, ec2, req, listed, lambda one: str(one["InstanceType"]))
    return {"InstanceTypes": list(shown), **more}


def _type_view(one: LocalInstance) -> Answer:
    cpus = max(one.cpu_units // 1024, 1)
    unsupported_ebs = ("EbsOptimizedSupport", "EncryptionSupport", "NvmeSupport")
    return {
        **dict.fromkeys(_NEVER.values(), False),
        "InstanceType": one.instance_type,
        "CurrentGeneration": True,
        "SupportedUsageClasses": ["on-demand"],
        "ProcessorInfo": {"SupportedArchitectures": [one.architecture]},
        "VCpuInfo": {"DefaultVCpus": cpus},
        "MemoryInfo": {"SizeInMiB": one.memory_mib},
        "EbsInfo": dict.fromkeys(unsupported_ebs, "unsupported"),
        "NetworkInfo": {
            "EnaSupport": "unsupported",
            "EfaSupported": False,
            "EncryptionInTransitSupported": False,
            "Ipv6Supported": False,
        },
        "PlacementGroupInfo": {"SupportedStrategies": []},
    }


@serve("DescribeInstanceTypeOfferings", "LocationType", "Filters", "NextToken", "MaxResults")
async def describe_instance_type_offerings(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Where there are instances of which types; by region when nothing is said."""
    check_paging(req, has_ids=False)
    passes = predicate(req.get("Filters"), _OFFERING)
    by = req.get("LocationType", "region")
    if by == "outpost":
        raise unsupported("The location type outpost")
    check_dry_run(req)
    places = {(_location(call, one, by), one.instance_type) for one in await _local(call, ec2)}
    listed: list[Answer] = [
        {"InstanceType": kind, "LocationType": by, "Location": location}
        for location, kind in sorted(place for place in places if place[0])
    ]
    listed = [one for one in listed if passes(one)]
    shown, more = page(call, ec2, req, listed, lambda one: f"{one['Location']}\0{one['InstanceType']}")
    return {"InstanceTypeOfferings": list(shown), **more}


def _location(call: Call, one: LocalInstance, by: str) -> str:
    if by == "region":
        return call.region
    return one.zone if by == "availability-zone" or not one.zone else zone_id(one.zone)
