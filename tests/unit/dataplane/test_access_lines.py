"""What the proxy wrote of a request or a connection, as a line: each field, and each case of it.

Sources: guides of Application, Network and Classic Load Balancers, "Access log entries".
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.dataplane.access_lines import Record, Source, line_of, read_record
from homeport.dataplane.access_objects import last_end, object_key, period_end

WEB = Source(
    balancer_id="app/web/50dc6c495c0c9188",
    address="172.31.0.9",
    account_id="123456789012",
    region="us-east-2",
    dns_name="web-1.us-east-2.elb.amazonaws.com",
    bucket="logs",
)
NET = msgspec.structs.replace(WEB, balancer_id="net/n/c6e77e28c25b2234")
OLD = msgspec.structs.replace(WEB, balancer_id="clb/old/1", minutes=60, prefix="a/b")
GROUP = "targetgroup/my-targets/73e2d6bc24d8a067"
FORWARDED: dict[str, Any] = {
    "kind": "HTTP",
    "port": "80",
    "start": "1530570168.364000",
    "took_ms": 3,
    "client": "192.168.131.39:2817",
    "target": "10.0.0.1:80",
    "cluster": f"{GROUP}#0123456789abcdef",
    "connection": 7,
    "to_target_us": 499,
    "target_us": 1499,
    "to_client_us": 1,
    "answered_us": 2000,
    "status": 200,
    "details": "via_upstream",
    "flags": "-",
    "received": 34,
    "sent": 366,
    "method": "GET",
    "host": "www.example.com",
    "path": "/",
    "protocol": "HTTP/1.1",
    "agent": "curl/7.46.0",
    "trace": "Root=1-58337262-36d228ad5d99923122bbe354",
    "rule": {"priority": "0", "actions": "forward"},
}
UNSENT: dict[str, Any] = {
    **FORWARDED,
    **dict.fromkeys(("target", "to_target_us", "target_us", "to_client_us")),
    "details": "no_healthy_upstream",
    "flags": "UH",
    "status": 503,
}
SECURE: dict[str, Any] = {
    **FORWARDED,
    "kind": "HTTPS",
    "port": "443",
    "cipher": "ECDHE-RSA-AES128-GCM-SHA256",
    "tls": "TLSv1.2",
    "asked_name": "www.example.com",
    "certificate": "arn:cert-a",
    "own_certificate": "arn:cert-a",
    "own_names": "example.com *.example.com",
}
CONNECTION: dict[str, Any] = {
    "kind": "TLS",
    "port": "443",
    "start": "1545274770.1",
    "took_ms": 10_500,
    "client": "72.21.218.154:51341",
    "target": "10.0.1.1:80",
    "cluster": f"{GROUP}#0123456789abcdef",
    "connection": 1,
    "cipher": "ECDHE-RSA-AES128-SHA",
    "tls": "TLSv1.2",
    "asked_name": "n.example.com",
    "certificate": "arn:cert-a",
    "own_certificate": "arn:cert-a",
    "own_names": "example.com",
    "received": 98,
    "sent": 246,
    "listener": "g3d4b5e8bb8464cd",
    "connect_us": 20,
    "connected_us": 1069,
    "failure": None,
}
NAMES = (
    "type",
    "time",
    "elb",
    "client",
    "target",
    "request_time",
    "target_time",
    "response_time",
    "status",
    "target_status",
    "received",
    "sent",
    "request",
    "agent",
    "cipher",
    "protocol",
    "group",
    "trace",
    "domain",
    "certificate",
    "priority",
    "created",
    "actions",
    "redirect",
    "error",
    "targets",
    "target_statuses",
    "classification",
    "reason",
    "connection",
    "host",
    "uri",
    "transform",
)


def written(fields: dict[str, Any], source: Source = WEB, **changes: Any) -> str:
    record = read_record(msgspec.json.encode({**fields, **changes}))
    assert record is not None
    return line_of(source, record)


def line(fields: dict[str, Any], **changes: Any) -> dict[str, str]:
    found = shlex.split(written(fields, **changes))
    assert len(found) == len(NAMES)
    return dict(zip(NAMES, found, strict=True))


def test_a_request_that_was_forwarded_is_a_line_of_all_fields() -> None:
    connection = line(FORWARDED)["connection"]
    assert written(FORWARDED) == (
        "http 2018-07-02T22:22:48.366000Z app/web/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 "
        '0.000 0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - '
        f"arn:aws:elasticloadbalancing:us-east-2:123456789012:{GROUP} "
        '"Root=1-58337262-36d228ad5d99923122bbe354" '
        '"-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" '
        f'{connection} "-" "-" "-"'
    )


@pytest.mark.parametrize(
    ("fields", "changes", "kind"),
    [
        (FORWARDED, {}, "http"),
        (FORWARDED, {"status": 101, "upgrade": "WebSocket"}, "ws"),
        (FORWARDED, {"status": 200, "upgrade": "websocket"}, "http"),
        (FORWARDED, {"protocol": "HTTP/2", "content_type": "application/grpc"}, "http"),
        (SECURE, {}, "https"),
        (SECURE, {"protocol": "HTTP/2"}, "h2"),
        (SECURE, {"protocol": "HTTP/2", "content_type": "application/grpc+proto"}, "grpcs"),
        (SECURE, {"content_type": "application/grpc"}, "https"),
        (SECURE, {"status": 101, "upgrade": "websocket"}, "wss"),
    ],
)
def test_the_type_tells_the_protocol(fields: dict[str, Any], changes: dict[str, Any], kind: str) -> None:
    assert line(fields, **changes)["type"] == kind


def test_a_web_socket_is_told_when_it_is_closed_and_others_when_the_answer_begins() -> None:
    long = {"took_ms": 60_000}
    assert line(FORWARDED, **long)["time"] == "2018-07-02T22:22:48.366000Z"
    socket = line(FORWARDED, **long, status=101, upgrade="websocket")
    assert socket["time"] == "2018-07-02T22:23:48.364000Z"
    assert socket["created"] == "2018-07-02T22:22:48.364000Z"


def test_what_reached_no_target_has_no_times_and_no_status_of_a_target() -> None:
    found = line(UNSENT)
    assert (found["request_time"], found["target_time"], found["response_time"]) == ("-1", "-1", "-1")
    assert (found["target"], found["status"], found["target_status"]) == ("-", "503", "-")
    assert (found["targets"], found["target_statuses"]) == ("-", "-")
    assert found["group"].endswith(GROUP)
    assert found["actions"] == "forward"


def test_a_target_that_did_not_answer_is_named_without_times() -> None:
    found = line(
        FORWARDED, target_us=None, to_client_us=None, status=504, details="response_timeout", flags="UT"
    )
    assert (found["request_time"], found["target_time"], found["response_time"]) == ("-1", "-1", "-1")
    assert (found["target"], found["targets"]) == ("10.0.0.1:80", "10.0.0.1:80")
    assert (found["status"], found["target_status"]) == ("504", "-")


def test_an_answer_that_broke_off_keeps_the_target_s_status() -> None:
    found = line(
        FORWARDED, details="upstream_reset_after_response_started{connection_termination}", flags="UC"
    )
    assert (found["status"], found["target_status"]) == ("200", "200")


@pytest.mark.parametrize(("flags", "status"), [("DC", "460"), ("UF,DC", "460"), ("DR", "460"), ("-", "-")])
def test_a_client_that_left_before_the_answer_is_460(flags: str, status: str) -> None:
    """Source: guide, "Troubleshoot your Application Load Balancers", HTTP 460."""
    assert line(FORWARDED, target_us=None, status=0, flags=flags)["status"] == status


def test_the_request_line_has_the_url_as_it_was_sent_with_a_port() -> None:
    assert (
        line(FORWARDED, host="x:8080", path="/%2f?a=%20")["request"] == "GET http://x:8080/%2f?a=%20 HTTP/1.1"
    )
    assert line(SECURE)["request"] == "GET https://www.example.com:443/ HTTP/1.1"
    assert line(SECURE, protocol="HTTP/2")["request"] == "GET https://www.example.com:443/ HTTP/2.0"
    assert line(FORWARDED, host="[::1]")["request"] == "GET http://[::1]:80/ HTTP/1.1"


def test_what_is_no_http_has_neither_rule_nor_action() -> None:
    empty = dict.fromkeys(("method", "host", "path", "agent", "trace", "rule", "cluster"))
    found = line(UNSENT, **empty, status=400, details="http1.codec_error", flags="DPE")
    assert found["request"] == "- http://web-1.us-east-2.elb.amazonaws.com:80- -"
    assert (found["agent"], found["trace"], found["group"]) == ("-", "-", "-")
    assert (found["priority"], found["actions"], found["status"]) == ("-", "-", "400")
    assert (found["classification"], found["reason"]) == ("-", "-")


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("http1.content_length_and_chunked_not_allowed", ("Ambiguous", "BothTeClPresent")),
        ("http1.invalid_transfer_encoding", ("Severe", "BadTransferEncoding")),
        ("via_upstream", ("-", "-")),
    ],
)
def test_what_could_be_read_in_two_ways_is_classified(details: str, expected: tuple[str, str]) -> None:
    """Source: guide, "Classification reasons"."""
    found = line(UNSENT, details=details)
    assert (found["classification"], found["reason"]) == expected


@pytest.mark.parametrize(
    ("changes", "domain", "certificate"),
    [
        ({}, "www.example.com", "arn:cert-a"),
        ({"asked_name": "EXAMPLE.com"}, "example.com", "arn:cert-a"),
        ({"asked_name": "a.b.example.com"}, "-", "arn:cert-a"),
        ({"asked_name": "other.org"}, "-", "arn:cert-a"),
        ({"asked_name": None}, "-", "arn:cert-a"),
        ({"asked_name": "b.org", "certificate": "arn:cert-b"}, "b.org", "arn:cert-b"),
    ],
)
def test_the_name_asked_for_is_told_if_the_certificate_is_for_it(
    changes: dict[str, Any], domain: str, certificate: str
) -> None:
    found = line(SECURE, **changes)
    assert (found["domain"], found["certificate"]) == (domain, certificate)
    assert (found["cipher"], found["protocol"]) == ("ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2")


@pytest.mark.parametrize(
    ("rule", "changes", "priority", "actions"),
    [
        ({"priority": "7", "actions": "redirect"}, {"status": 301}, "7", "redirect"),
        ({"priority": "0", "actions": "fixed-response"}, {"status": 404}, "0", "fixed-response"),
        ({"priority": "3", "actions": "authenticate,forward"}, {}, "3", "authenticate,forward"),
        (
            {"priority": "3", "actions": "authenticate,forward"},
            {"details": "ext_authz_denied", "status": 302},
            "3",
            "authenticate",
        ),
        (
            {"priority": "3", "actions": "jwt-validation,forward"},
            {"details": "jwt_authn_access_denied{Jwt_is_missing}", "status": 401},
            "3",
            "jwt-validation",
        ),
        ({"priority": "3", "actions": "forward"}, {"status": 464, "details": "direct_response"}, "3", "-"),
    ],
)
def test_a_rule_is_told_by_its_priority_and_by_what_was_done(
    rule: dict[str, str], changes: dict[str, Any], priority: str, actions: str
) -> None:
    found = line(UNSENT, rule=rule, **changes)
    assert (found["priority"], found["actions"]) == (priority, actions)


def test_only_a_redirect_tells_where_to() -> None:
    to = "https://example.com:443/"
    redirect = {"priority": "1", "actions": "redirect"}
    assert line(UNSENT, rule=redirect, location=to)["redirect"] == to
    assert line(FORWARDED, location=to)["redirect"] == "-"


def test_what_a_rule_rewrote_is_told_beside_what_was_sent() -> None:
    sent = {"host_sent": "www.example.com", "path_sent": "/old"}
    found = line(FORWARDED, **sent, path="/new", host="inner")
    assert found["request"] == "GET http://www.example.com:80/old HTTP/1.1"
    assert (found["host"], found["uri"], found["transform"]) == ("inner", "/new", "TransformSuccess")
    same = line(FORWARDED, host_sent="www.example.com", path_sent="/")
    assert (same["host"], same["uri"], same["transform"]) == ("-", "-", "-")


def test_requests_of_one_connection_have_one_trace_and_others_another() -> None:
    one = line(FORWARDED)["connection"]
    assert one.startswith("TID_")
    assert len(one) == len("TID_") + 32
    assert line(UNSENT)["connection"] == one
    assert line(FORWARDED, connection=8)["connection"] != one
    assert line(FORWARDED, client="192.168.131.39:2818")["connection"] != one


@given(st.text(), st.text())
def test_whatever_a_client_says_a_line_has_its_fields(agent: str, path: str) -> None:
    text = written(FORWARDED, agent=agent, path=f"/{path}")
    assert text.isascii()
    assert "\n" not in text
    assert len(text.split('"')) == 1 + 2 * 15


@given(st.binary())
def test_what_is_no_record_is_none(data: bytes) -> None:
    found = read_record(data)
    assert found is None or isinstance(found, Record)


def test_half_a_record_is_none() -> None:
    whole = msgspec.json.encode(FORWARDED)
    assert read_record(whole[:-20]) is None
    assert read_record(whole) is not None


# Connection logs


def test_a_connection_of_an_application_balancer() -> None:
    """Source: guide, "Connection log entries"; no client shows a certificate here."""
    source = msgspec.structs.replace(WEB, connections=True)
    secured = {**CONNECTION, "kind": "HTTPS", "secured_us": 4036, "exchange": "X25519"}
    trace = written(secured, source).split(" ")[11]
    assert written(secured, source) == (
        "2018-12-20T02:59:30.104036Z 72.21.218.154 51341 443 TLSv1.2 ECDHE-RSA-AES128-SHA 0.004 - - - "
        f"Success {trace} X25519"
    )
    same = {"client": secured["client"], "connection": secured["connection"]}
    assert line(FORWARDED, **same)["connection"] == trace, "the access log's lines say the same"
    plain = {"kind": "HTTP", "port": "80", "tls": None, "cipher": None, "client": "[::1]:99"}
    assert written(CONNECTION, source, **plain).split(" ")[1:11] == ["::1", "99", "80", *["-"] * 7]
    failed = {
        **secured,
        "secured_us": None,
        "tls": None,
        "cipher": None,
        "failure": "TLS_error:|1:SSL routines",
    }
    assert written(failed, source).split(" ")[4:11] == [*["-"] * 6, "Failed:UnmappedConnectionError"]


# Network balancers


def test_a_tls_connection_is_a_line_of_22_fields() -> None:
    assert written(CONNECTION, NET) == (
        "tls 2.0 2018-12-20T02:59:40 net/n/c6e77e28c25b2234 g3d4b5e8bb8464cd 72.21.218.154:51341 "
        "172.31.0.9:443 10500 - 98 246 - arn:cert-a - ECDHE-RSA-AES128-SHA tlsv12 - "
        "n.example.com - - - 2018-12-20T02:59:30"
    )


def test_a_handshake_that_failed_has_the_client_s_alert_and_no_certificate() -> None:
    failure = "TLS_error:|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end"
    failed = {"cipher": None, "tls": None, "failure": failure, "asked_name": None}
    found = written(CONNECTION, NET, **failed).split(" ")
    assert found[11:18] == ["48", "-", "-", "-", "-", "-", "-"]
    ours = "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"
    assert written(CONNECTION, NET, **{**failed, "failure": ours}).split(" ")[11] == "-"


def test_a_name_is_url_encoded() -> None:
    assert written(CONNECTION, NET, asked_name="a b/ü").split(" ")[17] == "a%20b%2F%C3%BC"


# Classic balancers


def test_a_request_of_a_classic_balancer() -> None:
    assert written(FORWARDED, OLD, received=0, sent=29) == (
        "2018-07-02T22:22:48.364000Z old 192.168.131.39:2817 10.0.0.1:80 0.000499 0.001499 0.000001 "
        '200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - -'
    )
    assert written(UNSENT, OLD).split(" ")[2:9] == ["192.168.131.39:2817", "-", "-1", "-1", "-1", "503", "-"]


def test_a_connection_of_a_classic_balancer() -> None:
    assert written(CONNECTION, OLD) == (
        "2018-12-20T02:59:30.100000Z old 72.21.218.154:51341 10.0.1.1:80 0.001069 0.000020 -1 - - 98 246 "
        '"- - - " "-" ECDHE-RSA-AES128-SHA TLSv1.2'
    )
    assert written(CONNECTION, OLD, connect_us=None).split(" ")[3:7] == ["-", "-1", "-1", "-1"]


# Objects


def test_objects_are_called_as_the_guides_say() -> None:
    end = datetime(2014, 2, 15, 23, 40, tzinfo=UTC)
    day = "AWSLogs/123456789012/elasticloadbalancing/us-east-2/2014/02/15/"
    day += "123456789012_elasticloadbalancing_us-east-2_"
    named = "app.web.50dc6c495c0c9188_20140215T2340Z_172.31.0.9_20sg8hgm.log.gz"
    assert object_key(WEB, end, "20sg8hgm") == day + named
    connections = msgspec.structs.replace(WEB, connections=True)
    assert object_key(connections, end, "20sg8hgm").rpartition("/")[2].startswith("conn_log.123456789012_")
    assert object_key(NET, end, "20sg8hgm") == day + "net.n.c6e77e28c25b2234_20140215T2340Z_20sg8hgm.log.gz"
    assert object_key(OLD, end, "20sg8hgm") == f"a/b/{day}old_20140215T2340Z_172.31.0.9_20sg8hgm.log"


@given(st.datetimes(datetime(2020, 1, 1), datetime(2050, 1, 1)), st.sampled_from((5, 60)))  # noqa: DTZ001
def test_a_period_ends_on_the_clock(naive: datetime, minutes: int) -> None:
    at = naive.replace(tzinfo=UTC)
    end = period_end(at, minutes)
    assert (end.minute % minutes, end.second, end.microsecond) == (0, 0, 0)
    assert 0 < (end - at).total_seconds() <= minutes * 60
    assert last_end(at, minutes) <= at
    assert last_end(end, minutes) == end
