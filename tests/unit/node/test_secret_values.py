"""References to secrets, and what is taken out of answers and texts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.redact import HIDDEN, without_values
from homeport.node.secret_values import (
    BadReferenceError,
    SecretReference,
    parameter_values,
    parse_environment_file,
    parse_secret,
    picked,
)

ARN = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:team/db-AbCdEf"
PARAMETER = "arn:aws:ssm:eu-west-1:000000000000:parameter"

parts = st.text(alphabet=st.characters(codec="ascii", categories=("L", "N"), include_characters="-_./ "))
texts = st.text()


@given(key=parts, stage=parts, version=parts)
def test_a_reference_says_key_stage_and_version(key: str, stage: str, version: str) -> None:
    """Source: developer guide, `arn:...:secret:NAME-SUFFIX:json-key:version-stage:version-id`."""
    found = parse_secret(f"{ARN}:{key}:{stage}:{version}")
    assert found == SecretReference(secret_id=ARN, json_key=key, version_stage=stage, version_id=version)
    asked = {"SecretId": ARN, "VersionStage": stage, "VersionId": version}
    assert found.request == {member: value for member, value in asked.items() if value}


def test_an_arn_alone_means_the_whole_secret() -> None:
    assert parse_secret(ARN) == SecretReference(secret_id=ARN)
    assert parse_secret(ARN).request == {"SecretId": ARN}


@given(st.lists(parts).filter(lambda more: len(more) not in {0, 3}))
def test_any_other_number_of_parts_is_refused(more: list[str]) -> None:
    with pytest.raises(BadReferenceError, match="invalid ARN format"):
        parse_secret(":".join((ARN, *more)))


@given(texts.filter(lambda text: not text.startswith("arn:")))
def test_what_is_no_arn_is_refused(text: str) -> None:
    with pytest.raises(BadReferenceError, match="not an ARN"):
        parse_secret(text)


@given(texts)
def test_without_a_key_the_text_comes_as_it_is(text: str) -> None:
    assert picked(text, "") == text


@given(st.dictionaries(texts.filter(bool), texts, min_size=1), st.data(), st.booleans())
def test_a_key_picks_its_text(members: dict[str, str], data: st.DataObject, escaped: bool) -> None:
    key = data.draw(st.sampled_from(sorted(members)))
    assert picked(json.dumps(members, ensure_ascii=escaped, indent=2), key) == members[key]


@pytest.mark.parametrize(
    "spelled", ["5432", "1.50", "1e5", "12345678901234567890", "true", "null", '{"a": [1]}']
)
def test_a_member_that_is_no_text_comes_as_it_is_spelled(spelled: str) -> None:
    assert picked(f'{{"port": {spelled} , "x": "y"}}', "port") == spelled


@pytest.mark.parametrize("text", ["hunter2", "", '["hunter2"]', '"hunter2"', '{"hunter2": ', "12"])
def test_a_secret_that_has_no_keys_is_told_without_its_value(text: str) -> None:
    with pytest.raises(BadReferenceError, match="not a JSON object: it has no json key user") as told:
        picked(text, "user")
    assert "hunter2" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


def test_a_key_that_is_missing_is_told_as_the_agent_does() -> None:
    with pytest.raises(BadReferenceError) as told:
        picked('{"password": "hunter2"}', "user")
    assert str(told.value) == "retrieved secret from Secrets Manager did not contain json key user"


def test_parameters_are_found_by_name_and_by_arn() -> None:
    answer = {
        "Parameters": [
            {"Name": "/a/b", "ARN": f"{PARAMETER}/a/b", "Value": "1"},
            {"Name": "/c", "ARN": f"{PARAMETER}/c", "Value": "2"},
        ],
        "InvalidParameters": [],
    }
    found = parameter_values(["/a/b", f"{PARAMETER}/c"], answer)
    assert (found["/a/b"], found[f"{PARAMETER}/c"]) == ("1", "2")


def test_parameters_that_are_not_there_are_told_together() -> None:
    """Source: amazon-ecs-agent, ssm.go."""
    with pytest.raises(BadReferenceError) as told:
        parameter_values(["/a", "/b", "/c"], {"Parameters": [{"Name": "/b", "Value": "hunter2"}]})
    assert str(told.value) == "invalid parameters: /a,/c"


@given(st.lists(st.text(alphabet="abc", min_size=1)), st.text(alphabet="abcd"))
def test_no_value_of_some_length_stays_in_a_text(values: list[str], text: str) -> None:
    left = without_values(text, values)
    assert not any(value in left for value in values if len(value) >= 4)
    if not any(value in text for value in values if len(value) >= 4):
        assert left == text


def test_the_longest_value_is_taken_out_first() -> None:
    assert without_values("at token-1234-more!", ["token-1234", "token-1234-more"]) == f"at {HIDDEN}!"


def test_environment_files_have_no_quoting() -> None:
    text = "# a comment\nA=1\n B = x y \nnothing\nA=2\nQ='q'\n=v\n"
    assert parse_environment_file(text) == {"A": "1", "B": " x y ", "Q": "'q'"}
