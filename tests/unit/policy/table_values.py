"""Conditions on numbers, instants, truth values, bytes, addresses and ARNs.

Sources: IAM User Guide, condition operators, section by section; W3C's note on date and time formats.
"""

from __future__ import annotations

from tests.kit.policy_cases import MISSING, rows

NUMBERS = (
    *rows(
        "NumericEquals",
        ("10", "10", True),
        (10, "10", True),
        ("10", "10.0", True),
        ("10", "11", False),
        ("1e2", "100", True),
        ("-1.5", "-1.50", True),
        (["1", "2"], "2", True),
        ("10", "ten", False),
        ("ten", "ten", False),
        ("10", "", False),
        ("10", " 10", False),
    ),
    *rows(
        "NumericNotEquals",
        ("10", "11", True),
        ("10", "10", False),
        (["1", "2"], "2", False),
        ("10", "ten", True),
    ),
    *rows("NumericLessThan", ("10", "9", True), ("10", "10", False), ("10", "9.99", True)),
    *rows("NumericLessThanEquals", ("10", "10", True), ("10", "10.01", False)),
    *rows("NumericGreaterThan", ("10", "11", True), ("10", "10", False), (["5", "50"], "10", True)),
    *rows("NumericGreaterThanEquals", ("10", "10", True), ("10", "9", False), ("9", "10", True)),
)

NOON = "2026-07-01T12:00:00Z"

DATES = (
    *rows(
        "DateEquals",
        (NOON, NOON, True),
        (NOON, "2026-07-01T14:00:00+02:00", True),
        (NOON, "1782907200", True),
        ("2026-07-01", "2026-07-01T00:00:00Z", True),
        ("2026-07", "2026-07-01", True),
        ("2026", "2026-01-01T00:00Z", True),
        (NOON, "2026-07-01T12:00:00.001Z", False),
        (NOON, "noon", False),
    ),
    *rows("DateNotEquals", (NOON, NOON, False), (NOON, "2026", True), (NOON, "noon", True)),
    *rows("DateLessThan", (NOON, "2026-07-01T11:59:59Z", True), (NOON, NOON, False), (NOON, "0", True)),
    *rows("DateLessThanEquals", (NOON, NOON, True), (NOON, "2026-07-01T12:00:01Z", False)),
    *rows(
        "DateGreaterThan",
        (NOON, "2026-07-01T12:00:01Z", True),
        (NOON, NOON, False),
        ("1782907200", "2026-07-01T12:00:01Z", True),
    ),
    *rows("DateGreaterThanEquals", (NOON, NOON, True), (NOON, "2026-07-01T11:59:59Z", False)),
)

TRUTHS = (
    *rows(
        "Bool",
        ("true", "true", True),
        (True, "true", True),
        ("TRUE", "true", True),
        ("true", "True", True),
        ("true", "false", False),
        ("false", "false", True),
        (["true", "false"], "false", True),
        ("yes", "yes", False),
    ),
    *rows(
        "Null",
        ("true", MISSING, True),
        ("true", "x", False),
        ("false", MISSING, False),
        ("false", "x", True),
        ("false", "", True),
        (True, MISSING, True),
        (False, "x", True),
        (["true", "false"], MISSING, True),
        ("true", [], True),
    ),
    *rows(
        "BinaryEquals",
        ("QmluYXJ5", "QmluYXJ5", True),
        ("QmluYXJ5", "QmluYXJ6", False),
        (["AA==", "QmluYXJ5"], "QmluYXJ5", True),
        ("not base64!", "not base64!", False),
    ),
)

ADDRESSES = (
    *rows(
        "IpAddress",
        ("203.0.113.0/24", "203.0.113.9", True),
        ("203.0.113.0/24", "203.0.114.9", False),
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.8", False),
        ("203.0.113.9/24", "203.0.113.1", True),
        ("0.0.0.0/0", "198.51.100.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", True),
        ("2001:DB8:1234:5678::/64", "2001:db8:1234:5679::1", False),
        (["203.0.113.0/24", "2001:db8::/32"], "2001:db8::7", True),
        ("203.0.113.0/24", "::ffff:203.0.113.9", True),
        ("203.0.113.0/24", "here", False),
        ("nowhere", "203.0.113.9", False),
    ),
    *rows(
        "NotIpAddress",
        ("203.0.113.0/24", "203.0.113.9", False),
        ("203.0.113.0/24", "203.0.114.9", True),
        (["203.0.113.0/24", "198.51.100.0/24"], "198.51.100.7", False),
        ("203.0.113.0/24", "here", True),
    ),
)

TOPIC = "arn:aws:sns:us-east-1:111122223333:alarms"

ARNS = (
    *rows(
        "ArnEquals",
        (TOPIC, TOPIC, True),
        (TOPIC, f"{TOPIC}2", False),
        ("arn:aws:sns:*:111122223333:*", TOPIC, True),
        ("arn:aws:sns:us-east-?:111122223333:al*s", TOPIC, True),
        ("arn:aws:sns:us-east-1:*", TOPIC, False),
        ("arn:aws:*:us-east-1:111122223333:alarms", TOPIC, True),
        ("arn:aws:SNS:us-east-1:111122223333:alarms", TOPIC, False),
        ("*", TOPIC, True),
        ("*", "no arn", True),
        ("arn:*:*:*:*:*", "no arn", False),
    ),
    *rows(
        "ArnLike",
        ("arn:aws:iam::*:role/ci/*", "arn:aws:iam::111122223333:role/ci/deploy", True),
        ("arn:aws:iam::*:role/ci/*", "arn:aws:iam::111122223333:role/ops", False),
        (
            "arn:aws:someservice:*:111122223333:finance/*",
            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
            False,
        ),
        ("arn:aws:logs:*:*:log-group:*", "arn:aws:logs:us-east-1:1:log-group:/a:b", True),
        ("arn:aws:iam::111122223333:user/${aws:username}", "arn:aws:iam::111122223333:user/alice", True),
        ("arn:aws:iam::111122223333:user/${aws:username}", "arn:aws:iam::111122223333:user/bob", False),
        ("arn:aws:iam::${aws:PrincipalAccount}:role/x", "arn:aws:iam::111122223333:role/x", True),
        ("arn:aws:iam::111122223333:user/${aws:nothing}", "arn:aws:iam::111122223333:user/bob", False),
        **{"aws:username": "alice"},
    ),
    *rows(
        "StringLike",
        (
            "arn:aws:someservice:*:111122223333:finance/*",
            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
            True,
        ),
    ),
    *rows("ArnNotEquals", (TOPIC, TOPIC, False), (TOPIC, "arn:aws:sns:us-east-1:1:x", True)),
    *rows(
        "ArnNotLike",
        ("arn:aws:sns:*:*:al*", TOPIC, False),
        ("arn:aws:sns:*:*:b*", TOPIC, True),
        (["arn:aws:sns:*:*:b*", TOPIC], TOPIC, False),
        ("arn:aws:sns:*:*:${aws:nothing}", TOPIC, False),
    ),
)
