"""What must hold for any policies and any request, and that compiling changes nothing."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.policy.decision import decide
from homeport.policy.request import Request
from tests.kit.policy_cases import FEDERATED, OTHER, ROOT, SERVICE, SESSION, USER, document, policies, request
from tests.kit.slow_policy import Documents, slow_verdict

ACTIONS = ("ecs:RunTask", "ecs:ListTasks", "ecr:GetAuthorizationToken")
RESOURCES = (
    "*",
    "arn:aws:ecs:us-east-1:111122223333:task/web/1",
    "arn:aws:ecs:us-east-1:111122223333:task/alice/1:2",
    "arn:aws:ecs:eu-west-1:444455556666:cluster/web",
)
CALLERS = (USER, SESSION, FEDERATED, ROOT, SERVICE)
VALUES = (
    "a",
    "b",
    "A",
    "",
    "1",
    "10",
    "true",
    "2026-01-01",
    "203.0.113.7",
    "arn:aws:ecs:us-east-1:1:task/a:b",
)
KEYS = ("test:a", "test:b", "test:list")


def some_of(values: tuple[str, ...], most: int = 2) -> st.SearchStrategy[Any]:
    one = st.sampled_from(values)
    return one | st.lists(one, min_size=1, max_size=most, unique=True)


action_patterns = some_of(("*", "ecs:*", "ecs:RunTask", "ECS:run*", "ecs:?un*", "ecr:*", "*:Get*"))
resource_patterns = some_of(
    (
        "*",
        "arn:aws:ecs",
        "arn:aws:ecs:*",
        "arn:aws:ecs:us-*-1:*:task/*",
        "arn:aws:ecs:*:*:task/${aws:username, 'web'}/*",
        "arn:aws:ecs:*:111122223333:*/${test:a}/?",
        "arn:aws:ecs:us-east-1:1111????3333:task/web/1",
        "arn:aws:ecs:*1:*:t*/?",
    )
)
operators = st.sampled_from(
    (
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
        "NumericEquals",
        "NumericNotEquals",
        "NumericLessThanEquals",
        "DateEquals",
        "DateLessThan",
        "Bool",
        "IpAddress",
        "NotIpAddress",
        "ArnLike",
        "ArnNotEquals",
    )
)
WANTED = (*VALUES, "*", "a*", "?", "${test:a}", "${test:b, 'a'}", "${*}", "2026", "203.0.113.0/24")
DATES = ("2026", "2026-01-01", "0")


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for _ in range(draw(st.integers(0, 2))):
        base = draw(operators)
        prefix = draw(st.sampled_from(("", "", "ForAllValues:", "ForAnyValue:")))
        ending = draw(st.sampled_from(("", "", "IfExists")))
        wanted = draw(some_of(DATES if base.startswith("Date") else WANTED, 3))
        out[f"{prefix}{base}{ending}"] = {draw(st.sampled_from(KEYS)): wanted}
    if draw(st.integers(0, 5)) == 0:
        out["Null"] = {draw(st.sampled_from(KEYS)): draw(st.sampled_from(("true", "false")))}
    return out


PRINCIPALS = (
    USER.arn,
    SESSION.arn,
    SESSION.issuer_arn,
    FEDERATED.arn,
    "arn:aws:iam::111122223333:root",
    "444455556666",
    "*",
)


@st.composite
def statements(draw: st.DrawFn, *, with_principal: bool = False, effect: str | None = None) -> dict[str, Any]:
    kind = st.sampled_from(("", "", "", "Not"))
    out: dict[str, Any] = {
        "Effect": effect or draw(st.sampled_from(("Allow", "Allow", "Deny"))),
        f"{draw(kind)}Action": draw(action_patterns),
        f"{draw(kind)}Resource": draw(resource_patterns),
        "Condition": draw(conditions()),
    }
    if with_principal:
        service = st.just({"Service": SERVICE.arn})
        who = st.just("*") | service | some_of(PRINCIPALS).map(lambda names: {"AWS": names})
        out[f"{draw(kind)}Principal"] = draw(who)
    return out


def documents_of(*, with_principal: bool = False) -> st.SearchStrategy[Any]:
    versions = st.sampled_from(("2012-10-17", "2012-10-17", "2008-10-17"))
    several = st.lists(statements(with_principal=with_principal), min_size=1, max_size=3)
    return st.tuples(several, versions).map(lambda drawn: document(*drawn[0], version=drawn[1]))


@st.composite
def everything(draw: st.DrawFn) -> Documents:
    identity = documents_of()
    return Documents(
        identity=draw(st.lists(identity, max_size=3)),
        boundary=draw(st.none() | st.lists(identity, min_size=1, max_size=1)),
        session=draw(st.none() | st.lists(identity, max_size=2)),
        resource=draw(st.lists(documents_of(with_principal=True), max_size=1)),
        resource_must_allow=draw(st.booleans()),
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    values = st.sampled_from(VALUES)
    context = draw(st.fixed_dictionaries({}, optional={"test:a": values, "Test:B": values}))
    if draw(st.booleans()):
        context["test:list"] = draw(st.lists(values, max_size=3))
    return request(
        draw(st.sampled_from(CALLERS)),
        draw(st.sampled_from(ACTIONS)),
        draw(st.sampled_from(RESOURCES)),
        owner=draw(st.sampled_from(("", "", OTHER))),
        context=context,
    )


@given(requests(), everything())
@settings(max_examples=70, deadline=None)
def test_the_compiled_policies_say_what_the_documents_say(asked: Request, documents: Documents) -> None:
    assert decide(asked, policies(documents)).verdict == slow_verdict(asked, documents)


@given(st.lists(requests(), min_size=2, max_size=6), everything())
@settings(max_examples=15, deadline=None)
def test_what_was_asked_before_changes_no_answer(asked: list[Request], documents: Documents) -> None:
    kept = policies(documents)
    first = [decide(one, kept) for one in asked]
    assert [decide(one, kept) for one in reversed(asked)] == first[::-1]


@given(requests(), everything(), st.sampled_from(("identity", "boundary", "session", "resource")))
@settings(max_examples=25, deadline=None)
def test_a_deny_always_wins(asked: Request, documents: Documents, layer: str) -> None:
    """Wherever it stands that binds the caller: only resource policies bind root and services."""
    if asked.caller in (ROOT, SERVICE):
        layer = "resource"
    everyone = {"Principal": "*"} if layer == "resource" else {}
    final = document({"Effect": "Deny", "Action": "*", "Resource": "*", **everyone})
    setattr(documents, layer, [*(getattr(documents, layer) or []), final])
    assert decide(asked, policies(documents)).verdict == "explicitDeny"


@given(requests(), everything(), statements(effect="Allow"), st.sampled_from(("identity", "resource")))
@settings(max_examples=30, deadline=None)
def test_one_more_allow_never_takes_access_away(
    asked: Request, documents: Documents, extra: dict[str, Any], layer: str
) -> None:
    before = decide(asked, policies(documents))
    more = {**extra, "Principal": "*"} if layer == "resource" else extra
    setattr(documents, layer, [*getattr(documents, layer), document(more)])
    after = decide(asked, policies(documents))
    assert after.is_allowed or not before.is_allowed
    assert (after.verdict == "explicitDeny") == (before.verdict == "explicitDeny")


def shuffled(value: Any, dice: random.Random) -> Any:
    """The same with every list and every object in another order."""
    if isinstance(value, list):
        mixed = [shuffled(one, dice) for one in value]
        dice.shuffle(mixed)
        return mixed
    if isinstance(value, dict):
        names = list(value)
        dice.shuffle(names)
        return {name: shuffled(value[name], dice) for name in names}
    return value


@given(requests(), everything(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_things_never_matters(asked: Request, documents: Documents, dice: random.Random) -> None:
    mixed = Documents(
        identity=shuffled(documents.identity, dice),
        boundary=shuffled(documents.boundary, dice),
        session=shuffled(documents.session, dice),
        resource=shuffled(documents.resource, dice),
        resource_must_allow=documents.resource_must_allow,
    )
    first, second = decide(asked, policies(documents)), decide(asked, policies(mixed))
    assert (first.verdict, first.layer, first.missing) == (second.verdict, second.layer, second.missing)
    assert len(first.deciding) == len(second.deciding)
