"""What was counted, under CloudWatch's names, per balancer and per target group.

The proxy counts since it began; a `Ledger` keeps counting when a proxy dies and the next begins at zero.
Source: Application Load Balancer guide, "CloudWatch metrics"; Network Load Balancer guide, the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from homeport.dataplane.clusters import group_of

_LINE = re.compile(r"^(envoy_[a-z0-9_]+)\{(.*)\} ([0-9.e+]+)$")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
ELB_STATUSES = ("500", "502", "503", "504")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A CloudWatch metric of a balancer (`app/NAME/ID`), of a group (`targetgroup/NAME/ID`), or of both."""

    metric: str
    balancer_id: str = ""
    group_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def read_counters(text: str) -> dict[Counter, float]:
    """The metrics in the proxy's own (Prometheus) list. Times are sums of seconds, with their counts."""
    found: dict[Counter, float] = {}
    for sample in _samples(text):
        for counter, value in _metrics(sample):
            if value:
                found[counter] = found.get(counter, 0.0) + value
    return found


def _samples(text: str) -> Iterator[_Sample]:
    for line in text.splitlines():
        if (match := _LINE.match(line)) is not None:
            yield _Sample(name=match[1], labels=dict(_LABEL.findall(match[2])), value=float(match[3]))


def _metrics(sample: _Sample) -> Iterable[tuple[Counter, float]]:
    labels = sample.labels
    if sample.name == "envoy_homeport_requests":
        return [(counter, sample.value) for counter in _requests(labels)]
    if (group := labels.get("envoy_cluster_name")) is not None and group.startswith("targetgroup/"):
        return [(Counter(metric=name, group_id=group), sample.value * by) for name, by in _of_group(sample)]
    for key in ("envoy_http_conn_manager_prefix", "envoy_tcp_prefix", "envoy_listener_address"):
        if (prefix := labels.get(key)) is not None and "|" in prefix:
            balancer = prefix.partition("|")[0]
            names = _of_balancer(sample.name)
            return [(Counter(metric=name, balancer_id=balancer), sample.value) for name in names]
    return ()


def _requests(labels: Mapping[str, str]) -> Iterator[Counter]:
    """One kind of request: answered by a target, by a rule, or refused."""
    balancer, code = labels["balancer"], labels["code"]
    cluster, flags = labels["cluster"], labels["flags"]
    group = "" if cluster == "-" else group_of(cluster)
    kind = f"{code[0]}XX"
    own = flags != "-" and code[0] in "45"
    if group:
        yield Counter(metric="RequestCount", balancer_id=balancer)
        yield Counter(metric="RequestCount", balancer_id=balancer, group_id=group)
        yield Counter(metric="RequestCountPerTarget", group_id=group)
    if group and not own:
        yield Counter(metric=f"HTTPCode_Target_{kind}_Count", balancer_id=balancer)
        yield Counter(metric=f"HTTPCode_Target_{kind}_Count", balancer_id=balancer, group_id=group)
    elif not group and not own:
        if code in ("301", "302"):
            yield Counter(metric="HTTP_Redirect_Count", balancer_id=balancer)
            yield Counter(metric="HTTPCode_ELB_3XX_Count", balancer_id=balancer)
        else:
            yield Counter(metric="HTTP_Fixed_Response_Count", balancer_id=balancer)
    else:
        yield Counter(metric=f"HTTPCode_ELB_{kind}_Count", balancer_id=balancer)
        if code in ELB_STATUSES:
            yield Counter(metric=f"HTTPCode_ELB_{code}_Count", balancer_id=balancer)


_GROUP = {
    "envoy_cluster_upstream_cx_connect_fail": ("TargetConnectionErrorCount", 1.0),
    "envoy_cluster_ssl_connection_error": ("TargetTLSNegotiationErrorCount", 1.0),
    "envoy_cluster_upstream_rq_time_sum": ("TargetResponseTime.Sum", 0.001),
    "envoy_cluster_upstream_rq_time_count": ("TargetResponseTime.SampleCount", 1.0),
    "envoy_cluster_lb_healthy_panic": ("UnhealthyRoutingRequestCount", 1.0),
}
_BALANCER = {
    "envoy_http_downstream_cx_total": ("NewConnectionCount",),
    "envoy_http_downstream_cx_rx_bytes_total": ("ProcessedBytes",),
    "envoy_http_downstream_cx_tx_bytes_total": ("ProcessedBytes",),
    "envoy_tcp_downstream_cx_total": ("NewFlowCount", "NewFlowCount_TCP"),
    "envoy_tcp_downstream_cx_rx_bytes_total": ("ProcessedBytes", "ProcessedBytes_TCP"),
    "envoy_tcp_downstream_cx_tx_bytes_total": ("ProcessedBytes", "ProcessedBytes_TCP"),
}


def _of_group(sample: _Sample) -> list[tuple[str, float]]:
    found = _GROUP.get(sample.name)
    return [] if found is None else [found]


def _of_balancer(name: str) -> tuple[str, ...]:
    return _BALANCER.get(name, ())


class Ledger:
    """Counters that only grow, over the lives of proxies."""

    def __init__(self) -> None:
        self._life: object = None
        self._last: dict[Counter, float] = {}
        self._totals: dict[Counter, float] = {}

    def read(self, life: object, counters: Mapping[Counter, float]) -> dict[Counter, float]:
        """All totals after what the proxy of this `life` has counted since it began."""
        if life != self._life:
            self._life, self._last = life, {}
        for counter, value in counters.items():
            grown = max(value - self._last.get(counter, 0.0), 0.0)
            self._totals[counter] = self._totals.get(counter, 0.0) + grown
        self._last = dict(counters)
        return dict(self._totals)
