"""The truth table of condition operators: each row as an Allow, as a Deny, and asked of both evaluators."""

from __future__ import annotations

import pytest

from homeport.policy.decision import decide
from homeport.policy.operators import OPERATORS
from tests.kit.policy_cases import Row, allow, deny, document, policies
from tests.kit.slow_policy import Documents, slow_verdict
from tests.unit.policy import table_keys, table_texts, table_values

TABLE = (
    *table_texts.STRINGS,
    *table_texts.VARIABLES,
    *table_values.NUMBERS,
    *table_values.DATES,
    *table_values.TRUTHS,
    *table_values.ADDRESSES,
    *table_values.ARNS,
    *table_keys.MISSING_KEYS,
    *table_keys.SETS,
)


def verdict(row: Row, documents: Documents) -> str:
    asked = row.request()
    decided = decide(asked, policies(documents)).verdict
    assert decided == slow_verdict(asked, documents), "the slow evaluator says otherwise"
    return decided


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_an_allow_with_this_condition_allows_when_it_holds(row: Row) -> None:
    only = document(allow(Condition=row.condition), version=row.version)
    assert verdict(row, Documents(identity=[only])) == ("allowed" if row.holds else "implicitDeny")


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_deny_with_this_condition_denies_when_it_holds(row: Row) -> None:
    beside = document(allow(), deny(Condition=row.condition), version=row.version)
    assert verdict(row, Documents(identity=[beside])) == ("explicitDeny" if row.holds else "allowed")


def test_the_table_is_as_large_as_it_should_be_and_knows_every_operator() -> None:
    assert len(TABLE) >= 300
    named = {row.operator.rpartition(":")[2].removesuffix("IfExists") for row in TABLE}
    assert named == OPERATORS


@pytest.mark.parametrize("written", ["test:Key", "TEST:KEY", "test:key"])
def test_the_name_of_a_key_has_no_case(written: str) -> None:
    row = Row(operator="StringEquals", wanted="a", given="a", holds=True)
    only = document(allow(Condition={"StringEquals": {written: "a"}}))
    assert verdict(row, Documents(identity=[only])) == "allowed"


@pytest.mark.parametrize(
    ("a", "b", "expected"), [("1", "1", "allowed"), ("1", "2", "implicitDeny"), ("2", "1", "implicitDeny")]
)
def test_all_operators_and_all_keys_must_hold(a: str, b: str, expected: str) -> None:
    row = Row(operator="", wanted="", given=a, holds=True, keys={"test:Other": b})
    together = {"StringEquals": {"test:Key": "1", "test:Other": "1"}}
    apart = {"StringEquals": {"test:Key": "1"}, "NumericEquals": {"test:Other": "1"}}
    for condition in (together, apart):
        only = document(allow(Condition=condition))
        assert verdict(row, Documents(identity=[only])) == expected
