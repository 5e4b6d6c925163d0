"""Which documents are policies, what refuses the others, and that the normal form says the same.

Texts marked [O] were seen from IAM (moto's table of invalid documents, made from AWS's answers); texts that
nobody saw are not pinned.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.policy.decision import decide
from homeport.policy.document import MalformedPolicyError, PolicyKind, canonical_json, normal_form
from homeport.policy.parse import parse_policy
from homeport.policy.request import Request
from tests.kit.policy_cases import allow, document, policies
from tests.kit.slow_policy import Documents
from tests.unit.policy.test_properties import documents_of, requests

SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"
NO_ACTIONS = "Policy statement must contain actions."
NO_RESOURCES = "Policy statement must contain resources."


def one(**members: Any) -> dict[str, Any]:
    """A document with one statement; `None` leaves a member out."""
    whole = {**allow("s3:ListBucket", "arn:aws:s3:::bucket"), **members}
    return document({name: value for name, value in whole.items() if value is not None})


OBSERVED = (  # [O]
    ("This is not a json document", SYNTAX),
    (document(), SYNTAX),
    ({"Version": "2012-10-17"}, SYNTAX),
    (document("afd"), SYNTAX),  # type: ignore[arg-type]
    ({**one(), "Version": "2013-10-17"}, SYNTAX),
    ({**one(), "Extra field": "value"}, SYNTAX),
    (one(**{"Extra field": "value"}), SYNTAX),
    ({**one(), "Id": ["cd3a"]}, SYNTAX),
    ({**one(), "Id": {}}, SYNTAX),
    (one(Effect="invalid"), SYNTAX),
    (one(Effect=None), SYNTAX),
    (one(Effect="denY"), LEGACY),
    (one(Action="invalid"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
    (
        one(Action=None, NotAction=""),
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    ),
    (one(Action="a a:ListBucket"), "Vendor a a is not valid"),
    (one(Action="s3:List:Bucket"), "Actions/Condition can contain only one colon."),
    (one(Resource="invalid resource"), 'Resource invalid resource must be in ARN format or "*".'),
    (one(Resource=["adf"]), 'Resource adf must be in ARN format or "*".'),
    (one(Resource=""), 'Resource  must be in ARN format or "*".'),
    (one(Action="s:3:x", Resource="sdfsadf"), 'Resource sdfsadf must be in ARN format or "*".'),
    (
        one(Resource="a:bsdfdsafsad"),
        'Partition "bsdfdsafsad" is not valid for resource "arn:bsdfdsafsad:*:*:*:*".',
    ),
    (one(Resource="a:b:cadfsdf"), 'Partition "b" is not valid for resource "arn:b:cadfsdf:*:*:*".'),
    (one(Resource="a:b:c:d:e:f:g:h"), 'Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h".'),
    (
        one(Resource="aws:s3:::example_bucket"),
        'Partition "s3" is not valid for resource "arn:s3:::example_bucket:*".',
    ),
    (one(Resource=None), NO_RESOURCES),
    (one(Resource=[]), NO_RESOURCES),
    (one(Resource=None, Action="invalid"), NO_RESOURCES),
    (one(Action=None), NO_ACTIONS),
    (one(Action=[]), NO_ACTIONS),
    (one(Action=None, Resource=None), NO_ACTIONS),
    (document({"Effect": "Deny"}, allow("s3:ListBucket", "arn:aws:s3:::b")), NO_ACTIONS),
    (one(Resource="arn:aws"), "Resource vendor must be fully qualified and cannot contain regexes."),
    (one(Resource="arn:aws::fdsasf"), LEGACY),
    (one(Resource={"a": "arn:aws:s3:::b"}), SYNTAX),
    (one(Resource=["adfdf", {}]), SYNTAX),
    (one(NotResource=[]), SYNTAX),
    (one(NotResource="*"), SYNTAX),
    (one(Action=[[]]), SYNTAX),
    (one(NotAction="s3s:ListBucket", Action=[]), SYNTAX),
    (one(Action={}), SYNTAX),
    (one(Condition=[]), SYNTAX),
    (one(Condition="a"), SYNTAX),
    (one(Condition={"a": "b"}), SYNTAX),
    (one(Condition={"DateGreaterThan": "b"}), SYNTAX),
    (one(Condition={"DateGreaterThan": []}), SYNTAX),
    (one(Condition={"DateGreaterThan": {"a": {}}}), SYNTAX),
    (one(Condition={"x": {"a": "1"}}), SYNTAX),
    (one(Condition={"ForAnyValue::StringEqualsIfExists": {"a": "asf"}}), SYNTAX),
    (one(Condition={"DateGreaterThan": {"a": "sdfdsf"}}), LEGACY),
    (one(Condition={"DateLessThanEquals": {"a": "234-13"}}), LEGACY),
    (one(Condition={"DateLessThanEquals": {"a": "2016-12-13t2:00:00.593194+1"}}), LEGACY),
    (one(Condition={"DateLessThan": {"a": "9223372036854775808"}}), LEGACY),
    (one(Sid={}), SYNTAX),
    (one(Sid=[]), SYNTAX),
    (
        document(allow("s3:x", "*", Sid="sdf"), {"Sid": "sdf", "Effect": "Allow"}),
        "Statement IDs (SID) in a single policy must be unique.",
    ),
    (
        one(Sid="a-b"),
        "Statement IDs (SID) must be alpha-numeric. "
        "Check that your input satisfies the regular expression [0-9A-Za-z]*",
    ),
)

VALID = (
    one(),
    {"Version": "2012-10-17", "Statement": one()["Statement"][0]},
    {"Statement": one()["Statement"]},
    {"Version": "2008-10-17", "Id": "an id with spaces", "Statement": one()["Statement"]},
    one(Action="iam: asdf safdsf af "),
    one(Action="*", Resource=["arn:aws:s3:::bucket", "*"]),
    one(Action="*:*"),
    one(Resource="arn:aws:fdsasf"),
    one(Resource="arn:aws:invalid-service:us-east-1::x"),
    one(Resource="arn:aws:s3:::${aws:username}/*"),
    one(Condition={}),
    one(Condition={"DateGreaterThan": {}}),
    one(Condition={"DateGreaterThan": {"a": []}}),
    one(Condition={"NumericLessThan": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": True}}),
    one(Condition={"ForAllValues:StringEquals": {"aws:TagKeys": "Department"}}),
    document(allow(Sid=""), allow(Sid="")),
)

UNSEEN = (
    '{"Statement":{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}}',
    '{"Statement":[],"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}',
    "[]",
    "null",
    "[" * 100_000,
    '{"Statement":NaN}',
    json.dumps(one(Action=1)),
    json.dumps(one(Principal="*")),
    json.dumps(one(Condition={"NullIfExists": {"a": "true"}})),
    json.dumps(one(Condition={"ForAllValues:Null": {"a": "true"}})),
    json.dumps(one(Condition={"stringequals": {"a": "b"}})),
    json.dumps(one(Condition={"StringEquals": {"a:b": "1", "A:B": "2"}})),
    json.dumps(one(Condition={"StringEquals": {"a": None}})),
    json.dumps(one(Resource="arn:aws:s*:::x")),
)


@pytest.mark.parametrize(("written", "message"), OBSERVED)
def test_an_invalid_document_is_refused_in_iams_words(written: Any, message: str) -> None:
    text = written if isinstance(written, str) else json.dumps(written)
    with pytest.raises(MalformedPolicyError) as refusal:
        parse_policy(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize("text", UNSEEN, ids=lambda text: str(text)[:60])
def test_other_invalid_documents_are_refused_too(text: str) -> None:
    with pytest.raises(MalformedPolicyError):
        parse_policy(text)


@pytest.mark.parametrize("written", VALID, ids=json.dumps)
def test_a_valid_document_is_accepted_and_its_normal_form_stays(written: Any) -> None:
    policy = parse_policy(json.dumps(written))
    again = parse_policy(canonical_json(policy))
    assert canonical_json(again) == canonical_json(policy)


TRUST = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}


@pytest.mark.parametrize(
    "statement",
    [
        {**TRUST, "Resource": "*"},
        {**TRUST, "Action": "ecs:RunTask"},
        {**TRUST, "Action": "*"},
        {**TRUST, "Principal": {"CanonicalUser": "x"}},
        {**TRUST, "Principal": {"Someone": "x"}},
        {**TRUST, "Principal": {"AWS": "arn:aws:iam::111122223333:user/*"}},
        {**TRUST, "Principal": {"AWS": "bob"}},
        {**TRUST, "Principal": {}},
        {**TRUST, "Principal": ["*"]},
        {name: value for name, value in TRUST.items() if name != "Principal"},
        {**{n: v for n, v in TRUST.items() if n != "Principal"}, "NotPrincipal": {"AWS": "111122223333"}},
    ],
    ids=json.dumps,
)
def test_a_trust_policy_has_its_own_grammar(statement: Any) -> None:
    assert parse_policy(json.dumps(document(TRUST)), PolicyKind.TRUST).kind is PolicyKind.TRUST
    with pytest.raises(MalformedPolicyError):
        parse_policy(json.dumps(document(statement)), PolicyKind.TRUST)


def test_a_resources_policy_names_principals_and_may_leave_the_resource_out() -> None:
    statement = {"Sid": "with spaces", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
    assert parse_policy(json.dumps(document(statement)), PolicyKind.RESOURCE).statements[0].resources == ()
    with pytest.raises(MalformedPolicyError):
        parse_policy(json.dumps(document(allow())), PolicyKind.RESOURCE)


@pytest.mark.parametrize("member", ["Resource", "NotResource", "Action", "NotAction"])
def test_an_empty_list_is_not_taken_for_everything(member: str) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
    if "Action" in member:
        statement.pop("Action")
    with pytest.raises(MalformedPolicyError):
        parse_policy(json.dumps(document({**statement, member: []})), PolicyKind.RESOURCE)


@pytest.mark.parametrize("member", ["Principal", "NotPrincipal"])
@pytest.mark.parametrize("named", [{}, {"AWS": []}, {"AWS": ["111122223333"], "Service": []}], ids=str)
def test_a_statement_about_nobody_is_refused(member: str, named: Any) -> None:
    statement = {"Effect": "Deny", member: named, "Action": "*"}
    with pytest.raises(MalformedPolicyError):
        parse_policy(json.dumps(document(statement)), PolicyKind.RESOURCE)


def test_the_normal_form_has_one_spelling_for_all() -> None:
    first = one(Action=["s3:b", "s3:a", "s3:a"], Condition={"Bool": {"k": True}, "ArnLike": {"k": ["*"]}})
    second = one(Action=["s3:a", "s3:b"], Condition={"ArnLike": {"k": "*"}, "Bool": {"k": "true"}})
    assert parse_policy(json.dumps(first)) != parse_policy(json.dumps(second))
    assert normal_form(parse_policy(json.dumps(first))) == normal_form(parse_policy(json.dumps(second)))


@given(requests(), documents_of())
@settings(max_examples=25, deadline=None)
def test_the_normal_form_decides_as_the_document_does(asked: Request, written: Any) -> None:
    normal = json.loads(canonical_json(parse_policy(json.dumps(written))))
    first, second = (decide(asked, policies(Documents(identity=[one]))) for one in (written, normal))
    assert first.verdict == second.verdict


NAMES = ("Version", "Statement", "Effect", "Action", "Resource", "Condition", "Principal", "Bool", "x")
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
)


@given(anything, st.sampled_from(PolicyKind))
@settings(max_examples=80, deadline=None)
def test_whatever_is_sent_is_a_policy_or_refused(raw: Any, kind: PolicyKind) -> None:
    with suppress(MalformedPolicyError):
        assert parse_policy(json.dumps(raw), kind).statements
