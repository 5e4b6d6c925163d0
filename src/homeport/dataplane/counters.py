"""What was counted, under CloudWatch's names, per balancer and per target group.

The proxy counts since it began; a `Ledger` keeps counting when a proxy dies and the next begins at zero.
Source: Application Load Balancer guide, "CloudWatch metrics"; Network Load Balancer guide, the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from homeport.dataplane.clusters import group_of
from homeport.dataplane.types import Body, typed

REQUESTS = "requests"
"""The proxy's counter of requests."""
OURS, OWN = "homeport", "own"
"""A route with this in its metadata answers for the balancer, where no rule says so."""
_HOW_LETTERS = 12
"""Enough to tell apart how answers came to be; the rest names errors, of which there are many."""
_LINE = re.compile(r"^(envoy_[a-z0-9_]+)\{(.*)\} ([0-9.e+]+)$")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
ELB_STATUSES = ("500", "502", "503", "504")
_NOBODY = frozenset({"UH", "NC", "NFCF", "NR"})
"""Flags of requests for which there was no target."""
_LATE = frozenset({"UT", "UMSDR", "SI", "DT"})


def _begins(how: str) -> str:
    return how[:_HOW_LETTERS]


_TARGET, _WRITTEN, _REDIRECTED = map(_begins, ("via_upstream", "direct_response", "lua_response"))
_REFUSED = frozenset(
    map(_begins, ("rbac_access_denied", "jwt_authn_access_denied", "ext_authz_denied", "ext_authz_error"))
)
"""A rule's guard answered, or what keeps versions of HTTP apart."""


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


def request_counters(balancer_id: str, *, grpc: bool) -> list[Body]:
    """Loggers that count requests by what answered them: which group or none, and with which status.

    Where that says who spoke (2XX: a target, or a rule that fixes an answer), nothing else is asked: each
    word costs every request. Of all others also why and how, and whether it was a rule at all.
    `grpc`: there may be such requests, and their status is 200 whatever becomes of them.
    """
    what = {"balancer": balancer_id, "cluster": "%UPSTREAM_CLUSTER_RAW%", "code": "%RESPONSE_CODE%"}
    how = f'%COALESCE({{"operators": ["RESPONSE_CODE_DETAILS"]}}):{_HOW_LETTERS}%'
    why = {"flags": "%RESPONSE_FLAGS%", "how": how, "own": f"%METADATA(ROUTE:{OURS}:{OWN})%"}
    good, other = [_status("GE", 100), _status("LE", 299)], [_status("LE", 99), _status("GE", 300)]
    if grpc:
        good, other = [*good, _grpc(is_it=False)], [*other, _grpc(is_it=True)]
    return [
        _counter(what, {"and_filter": {"filters": good}}),
        _counter(what | why, {"or_filter": {"filters": other}}),
    ]


def _grpc(*, is_it: bool) -> Body:
    header = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    kept = {} if is_it else {"invert_match": True, "treat_missing_header_as_empty": True}
    return {"header_filter": {"header": {**header, **kept}}}


def _status(operator: str, number: int) -> Body:
    value = {"default_value": number, "runtime_key": "homeport.none"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _counter(tags: Mapping[str, str], only: Body) -> Body:
    written = [{"name": name, "value_format": value} for name, value in sorted(tags.items())]
    config = typed(
        "envoy.extensions.access_loggers.stats.v3.Config",
        stat_prefix="homeport",
        counters=[{"stat": {"name": REQUESTS, "tags": written}, "value_fixed": 1}],
    )
    return {"name": "envoy.access_loggers.stats", "filter": only, "typed_config": config}


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
    """One kind of request: answered by a target, by a rule, by the balancer, or by nobody."""
    balancer, group = labels["balancer"], group_of(_said(labels, "cluster"))
    if group and _was_sent(labels):
        yield Counter(metric="RequestCount", balancer_id=balancer)
        yield Counter(metric="RequestCount", balancer_id=balancer, group_id=group)
        yield Counter(metric="RequestCountPerTarget", group_id=group)
    code = labels["code"]
    if group and labels.get("how", _TARGET) == _TARGET and code != "0":
        metric = f"HTTPCode_Target_{code[0]}XX_Count"
        yield Counter(metric=metric, balancer_id=balancer)
        yield Counter(metric=metric, balancer_id=balancer, group_id=group)
    elif not group and labels.get("how", _WRITTEN) == _WRITTEN and not _said(labels, "own"):
        yield Counter(metric="HTTP_Fixed_Response_Count", balancer_id=balancer)
    else:
        code = _own_code(labels)
        if labels["how"] == _REDIRECTED:
            yield Counter(metric="HTTP_Redirect_Count", balancer_id=balancer)
        yield Counter(metric=f"HTTPCode_ELB_{code[0]}XX_Count", balancer_id=balancer)
        if code in ELB_STATUSES:
            yield Counter(metric=f"HTTPCode_ELB_{code}_Count", balancer_id=balancer)


def _own_code(labels: Mapping[str, str]) -> str:
    """What the balancer answered itself."""
    code, flags = labels["code"], set(labels["flags"].split(","))
    if code == "0":
        return "460"  # the client went before an answer began
    if code[0] != "2":
        return code
    # An answer to gRPC, which tells its status in another way.
    if labels["how"] in _REFUSED:
        return "464"
    return "503" if flags & _NOBODY else "504" if flags & _LATE else "502"


def _said(labels: Mapping[str, str], name: str) -> str:
    """A label's value, "" if there was none to be told."""
    return labels.get(name, "").removeprefix("-")


def _was_sent(labels: Mapping[str, str]) -> bool:
    """Whether a target was chosen. Source: guide, "CloudWatch metrics", RequestCount."""
    nobody = _NOBODY.intersection(labels.get("flags", "-").split(","))
    return not nobody and labels.get("how") not in _REFUSED


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
