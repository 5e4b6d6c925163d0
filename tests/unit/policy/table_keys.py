"""Keys that are missing, and keys with several values.

Sources: IAM User Guide, condition operators (missing keys, IfExists); single- and multivalued context keys;
examples for multivalued context keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.kit.policy_cases import MISSING, Row, rows

SAMPLES: Mapping[str, str] = {
    "StringEquals": "a",
    "StringEqualsIgnoreCase": "a",
    "StringLike": "a*",
    "NumericEquals": "1",
    "NumericLessThan": "1",
    "NumericLessThanEquals": "1",
    "NumericGreaterThan": "1",
    "NumericGreaterThanEquals": "1",
    "DateEquals": "2026",
    "DateLessThan": "2026",
    "DateLessThanEquals": "2026",
    "DateGreaterThan": "2026",
    "DateGreaterThanEquals": "2026",
    "Bool": "true",
    "BinaryEquals": "AA==",
    "IpAddress": "203.0.113.0/24",
    "ArnEquals": "arn:aws:sns:us-east-1:111122223333:a",
    "ArnLike": "arn:aws:sns:*:*:*",
}
NEGATED_SAMPLES: Mapping[str, str] = {
    "StringNotEquals": "a",
    "StringNotEqualsIgnoreCase": "a",
    "StringNotLike": "a*",
    "NumericNotEquals": "1",
    "DateNotEquals": "2026",
    "NotIpAddress": "203.0.113.0/24",
    "ArnNotEquals": "arn:aws:sns:us-east-1:111122223333:a",
    "ArnNotLike": "arn:aws:sns:*:*:*",
}

# What a condition on a key that is not there is: plain, and with each prefix and ending.
# |  form                    | positive | negated |
WITHOUT_THE_KEY = (
    ("{}", False, True),
    ("{}IfExists", True, True),
    ("ForAllValues:{}", True, True),
    ("ForAnyValue:{}", False, False),
    ("ForAllValues:{}IfExists", True, True),
    ("ForAnyValue:{}IfExists", True, True),
)


def missing_rows() -> Iterator[Row]:
    for form, positive, negated in WITHOUT_THE_KEY:
        for operator, wanted in SAMPLES.items():
            yield Row(operator=form.format(operator), wanted=wanted, given=MISSING, holds=positive)
        for operator, wanted in NEGATED_SAMPLES.items():
            yield Row(operator=form.format(operator), wanted=wanted, given=MISSING, holds=negated)


MISSING_KEYS = tuple(missing_rows())

SETS = (
    *rows(
        "ForAllValues:StringEquals",
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["a"], True),
        (["a", "b"], ["a", "c"], False),
        (["a"], [], True),
        (["a"], [""], True),
        ([], ["a"], False),
    ),
    *rows("ForAllValues:StringLike", ("a*", ["a1", "a2"], True), ("a*", ["a1", "b"], False)),
    *rows(
        "ForAllValues:StringNotLike",
        ("key1*", ["key1:legal"], False),
        ("key1*", ["key1:hr", "key1:personnel"], False),
        ("key1*", ["key2:audit"], True),
        (["key1*", "key2*"], ["key3:x"], True),
        (["key1*", "key2*"], ["key3:x", "key2:y"], False),
    ),
    *rows("ForAllValues:StringNotEquals", (["a", "b"], ["c", "d"], True), (["a", "b"], ["c", "a"], False)),
    *rows(
        "ForAnyValue:StringEquals",
        (["a", "b"], ["b", "c"], True),
        (["a", "b"], ["c", "d"], False),
        (["a"], [""], False),
        (["a"], "a", True),
    ),
    *rows(
        "ForAnyValue:StringNotEquals",
        (["a", "b"], ["a", "c"], True),
        (["a", "b"], ["a", "b"], False),
    ),
    *rows("ForAnyValue:StringLike", ("a*", ["b", "a1"], True), ("a*", ["b"], False)),
    *rows("ForAnyValue:NumericGreaterThan", ("5", ["1", "9"], True), ("5", ["1", "2"], False)),
    *rows("ForAllValues:NumericGreaterThan", ("5", ["1", "9"], False), ("5", ["6", "9"], True)),
    *rows(
        "ForAllValues:ArnLike",
        ("arn:aws:ecs:*:*:cluster/*", ["arn:aws:ecs:us-east-1:1:cluster/a"], True),
        ("arn:aws:ecs:*:*:cluster/*", ["arn:aws:ecs:us-east-1:1:cluster/a", "arn:aws:x:::y"], False),
    ),
    *rows("ForAnyValue:IpAddress", ("10.0.0.0/8", ["192.0.2.1", "10.1.1.1"], True)),
    *rows("ForAllValues:StringEqualsIfExists", ("a", ["a"], True), ("a", ["b"], False)),
    *rows("ForAnyValue:StringEqualsIfExists", ("a", ["a", "b"], True), ("a", ["b"], False)),
    # Without a set operator, several values of the request are alternatives too (our reading).
    *rows("StringEquals", ("a", ["b", "a"], True), ("a", ["b", "c"], False)),
    *rows("StringNotEquals", ("a", ["b", "a"], False), ("a", ["b", "c"], True)),
    *rows("StringEqualsIfExists", ("a", "a", True), ("a", "b", False)),
    *rows("StringNotEqualsIfExists", ("a", "b", True), ("a", "a", False)),
    *rows("BoolIfExists", ("true", "false", False), ("true", "true", True)),
    *rows("NotIpAddressIfExists", ("10.0.0.0/8", "10.1.1.1", False), ("10.0.0.0/8", "192.0.2.1", True)),
)
