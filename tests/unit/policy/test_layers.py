"""The truth table of layers, and what a decision says about what decided it."""

from __future__ import annotations

import pytest

from homeport.policy.decision import Decision, decide
from tests.kit.policy_cases import SESSION, USER, allow, deny, document, policies, request
from tests.kit.policy_layers import Case, aws, to
from tests.kit.slow_policy import Documents, slow_verdict
from tests.unit.policy import table_grants, table_layers


@pytest.mark.parametrize("case", [*table_layers.TABLE, *table_grants.TABLE], ids=str)
def test_the_layers_together_decide_as_documented(case: Case) -> None:
    asked = request(case.caller, case.action, owner=case.owner)
    decision = decide(asked, policies(case.documents))
    assert (decision.verdict, decision.layer) == (case.verdict, case.layer)
    assert slow_verdict(asked, case.documents) == case.verdict


def decided(caller: object = USER, **documents: object) -> Decision:
    return decide(request(caller), policies(Documents(**documents)))  # type: ignore[arg-type]


def told(decision: Decision) -> list[str]:
    return [f"{one.layer} {one.ref.policy} {one.ref.name}" for one in decision.deciding]


def test_an_allowed_request_names_every_statement_that_allowed_it() -> None:
    decision = decided(
        identity=[document(allow("s3:*"), allow(Sid="Second")), document(allow(Sid="Other"))],
        boundary=[document(allow())],
    )
    assert told(decision) == [
        "identity identity-0 Second",
        "identity identity-1 Other",
        "boundary boundary-0 statement 1",
    ]


def test_a_denied_request_names_every_statement_that_denied_it() -> None:
    decision = decided(
        identity=[document(allow(), deny(Sid="No"))], resource=[to("*", "Deny")], boundary=[document(deny())]
    )
    assert told(decision) == [
        "identity identity-0 No",
        "resource resource-0 statement 1",
        "boundary boundary-0 statement 1",
    ]


def test_a_direct_grant_names_the_resources_policy_alone() -> None:
    decision = decided(identity=[document(allow())], resource=[to(aws(USER.arn))])
    assert told(decision) == ["resource resource-0 statement 1"]


def test_an_implicit_deny_names_every_layer_that_did_not_allow() -> None:
    nothing = document(allow("s3:GetObject"))
    decision = decided(SESSION, identity=[nothing], boundary=[nothing], session=[nothing])
    assert decision.missing == ("identity", "boundary", "session")
    assert decision.deciding == ()
