"""Conditions on texts: the String operators, variables in them, and what versions know of variables.

Sources: IAM User Guide, condition operators (String); variables and tags; elements: Version.
"""

from __future__ import annotations

from tests.kit.policy_cases import MISSING, Row, rows

STRINGS = (
    *rows(
        "StringEquals",
        ("dev", "dev", True),
        ("dev", "Dev", False),
        ("dev", "devel", False),
        ("", "", True),
        ("", "x", False),
        ("de*", "dev", False),
        ("de*", "de*", True),
        ("d?v", "dev", False),
        (["test", "dev"], "dev", True),
        (["test", "dev"], "prod", False),
        ([], "dev", False),
        (7, "7", True),
        (True, "true", True),
        ("a.c", "abc", False),
        ("naïve", "naïve", True),
    ),
    *rows(
        "StringNotEquals",
        ("dev", "dev", False),
        ("dev", "Dev", True),
        (["test", "dev"], "dev", False),
        (["test", "dev"], "prod", True),
        ([], "dev", True),
        ("dev", "", True),
    ),
    *rows(
        "StringEqualsIgnoreCase",
        ("Dev", "dEV", True),
        ("Dev", "devel", False),
        (["a", "DEV"], "dev", True),
        ("d*", "dev", False),
    ),
    *rows(
        "StringNotEqualsIgnoreCase",
        ("Dev", "dEV", False),
        ("Dev", "prod", True),
        (["a", "DEV"], "dev", False),
    ),
    *rows(
        "StringLike",
        ("dev", "dev", True),
        ("de*", "dev", True),
        ("de*", "de", True),
        ("*", "", True),
        ("*", "anything:at/all", True),
        ("d?v", "dev", True),
        ("d?v", "dv", False),
        ("d?v", "deev", False),
        ("?", "", False),
        ("*ev", "dev", True),
        ("*e*", "dev", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("DE*", "dev", False),
        ("de.*", "dev", False),
        (["x*", "d*"], "dev", True),
        (["x*", "y*"], "dev", False),
        ("home/*/a", "home/b/c/a", True),
        ("[a-z]*", "dev", False),
        ("*\n*", "a\nb", True),
        ("a*", "a\nb", True),
    ),
    *rows(
        "StringNotLike",
        ("de*", "dev", False),
        ("de*", "prod", True),
        (["de*", "pr*"], "prod", False),
        (["de*", "pr*"], "test", True),
    ),
)

NAMED = {"aws:username": "alice", "aws:PrincipalTag/Team": "blue", "many:Key": ["a", "b"], "odd:Key": "a*"}

VARIABLES = (
    *rows(
        "StringEquals",
        ("${aws:username}", "alice", True),
        ("${aws:username}", "bob", False),
        ("${AWS:UserName}", "alice", True),
        ("${aws:PrincipalTag/team}", "blue", True),
        ("home/${aws:username}/${aws:PrincipalTag/Team}", "home/alice/blue", True),
        ("${aws:SourceVpc}", "vpc-1", False),
        (["${aws:SourceVpc}", "vpc-1"], "vpc-1", True),
        ("${aws:SourceVpc, 'vpc-1'}", "vpc-1", True),
        ("${aws:username, 'nobody'}", "alice", True),
        ("${aws:username, 'nobody'}", "nobody", False),
        ("${aws:SourceVpc, ''}", "", True),
        ("${many:Key}", "a", False),
        ("${many:Key, 'a'}", "a", False),
        ("${*}", "*", True),
        ("${?}", "?", True),
        ("${$}", "$", True),
        ("${$}{aws:username}", "${aws:username}", True),
        ("${aws:username", "${aws:username", True),
        ("${}", "${}", True),
        ("$aws:username", "$aws:username", True),
        **NAMED,
    ),
    *rows(
        "StringNotEquals",
        ("${aws:username}", "bob", True),
        ("${aws:username}", "alice", False),
        ("${aws:SourceVpc}", "vpc-1", False),
        (["x", "${aws:SourceVpc}"], "y", False),
        ("${aws:SourceVpc}", MISSING, True),
        ("${aws:SourceVpc, 'vpc-2'}", "vpc-1", True),
        **NAMED,
    ),
    *rows(
        "StringEqualsIgnoreCase",
        ("HOME/${aws:username}", "home/ALICE", True),
        ("${aws:SourceVpc, 'VPC'}", "vpc", True),
        **NAMED,
    ),
    *rows(
        "StringLike",
        ("${aws:username}-*", "alice-1", True),
        ("${aws:username}-*", "bob-1", False),
        ("${odd:Key}", "a*", True),
        ("${odd:Key}", "ab", False),
        ("a${*}", "a*", True),
        ("a${*}", "ab", False),
        ("a${?}*", "a?b", True),
        ("a${?}*", "abb", False),
        ("*${aws:username}*", "xalicey", True),
        ("${aws:SourceVpc}*", "vpc", False),
        (["${aws:SourceVpc}*", "*"], "vpc", True),
        **NAMED,
    ),
    *rows("StringEqualsIfExists", ("${aws:SourceVpc}", MISSING, True), **NAMED),
    *rows("Bool", ("${test:Flag}", "true", True), ("${test:Flag}", "false", False), **{"test:Flag": "TRUE"}),
    *(
        Row(operator="StringEquals", wanted=w, given=g, holds=h, keys=NAMED, version="2008-10-17")
        for w, g, h in (
            ("${aws:username}", "alice", False),
            ("${aws:username}", "${aws:username}", True),
            ("${*}", "${*}", True),
        )
    ),
    Row(operator="StringLike", wanted="${*}", given="${abc}", holds=True, version="2008-10-17"),
)
