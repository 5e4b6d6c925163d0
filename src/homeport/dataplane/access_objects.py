"""Access logs' objects: what they are called, and when one is due.

Sources: guides of Application, Network and Classic Load Balancers, "Access log files": one object for each
address and each five minutes (classic: five or sixty), named by when its time ends.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from homeport.dataplane.access_lines import Source

_HOME = "AWSLogs"


def period_end(at: datetime, minutes: int) -> datetime:
    """When the period ends that `at` lies in; what lies on the border is of the next one."""
    span = minutes * 60
    return datetime.fromtimestamp((int(at.timestamp()) // span + 1) * span, UTC)


def last_end(at: datetime, minutes: int) -> datetime:
    """The newest end of a period by `at`."""
    return period_end(at, minutes) - timedelta(minutes=minutes)


def is_gzipped(source: Source) -> bool:
    """Whether its objects are compressed: those of classic balancers are not."""
    return not source.balancer_id.startswith("clb/")


def object_key(source: Source, end: datetime, token: str) -> str:
    """The object for the time until `end`. `token` tells it from another of the same time."""
    is_network = source.balancer_id.startswith("net/")
    is_classic = source.balancer_id.startswith("clb/")
    name = source.balancer_id.split("/")[1] if is_classic else source.balancer_id.replace("/", ".")
    parts = [source.account_id, "elasticloadbalancing", source.region, name, f"{end:%Y%m%dT%H%MZ}"]
    if not is_network:
        parts.append(source.address)
    parts.append(token)
    folders = [
        *filter(None, [source.prefix]),
        _HOME,
        source.account_id,
        "elasticloadbalancing",
        source.region,
        f"{end:%Y/%m/%d}",
    ]
    kind = "conn_log." if source.connections else ""
    return "/".join(folders) + f"/{kind}" + "_".join(parts) + (".log.gz" if is_gzipped(source) else ".log")
