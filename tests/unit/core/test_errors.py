"""Where an error's code comes from: its class's name, unless it is written or inherited."""

from __future__ import annotations

from typing import Any

from homeport.core.errors import AwsError, DynamicAwsError


class ThingNotFound(AwsError):
    status = 404


class ThingInUseException(AwsError):
    code = "ThingInUse"


class LockedThing(ThingNotFound):
    pass


class ThingError(DynamicAwsError):
    pass


def test_a_class_that_writes_no_code_goes_by_its_own_name() -> None:
    assert ThingNotFound.code == ThingNotFound("gone").code == "ThingNotFound"
    assert ThingNotFound.status == 404


def test_a_written_code_stays() -> None:
    assert ThingInUseException.code == "ThingInUse"


def test_a_special_case_of_an_error_is_that_error_to_callers() -> None:
    assert LockedThing.code == "ThingNotFound"


def test_what_is_no_error_of_a_caller_s_has_no_code_and_gives_none() -> None:
    assert not hasattr(AwsError, "code")
    made: Any = ThingError("ThingBroken", "It broke.")
    assert made.code == "ThingBroken"
    assert ThingError.code == DynamicAwsError.code == "ClientException"
