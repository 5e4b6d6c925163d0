"""What a listing of parameters asks for. Pure.

Source: API Reference, ParameterStringFilter, DescribeParameters and GetParametersByPath.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from homeport.services.ssm.errors import InvalidFilterKey, InvalidFilterOption, InvalidFilterValue
from homeport.services.ssm.model import Parameter, ParameterVersion

Test: TypeAlias = Callable[[Parameter, ParameterVersion], bool]
"""Whether a parameter belongs to the listing; its labels are its newest version's."""

_BY_PATH = ("Type", "KeyId", "Label")
_DESCRIBED = ("Name", "Type", "KeyId", "Path", "Label", "Tier", "DataType")
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "Name": ("Equals", "BeginsWith", "Contains"),
    "Path": ("Recursive", "OneLevel"),
}


def is_below(name: str, path: str, *, recursive: bool) -> bool:
    """Whether a parameter lies in the hierarchy under a path, directly or at any depth."""
    prefix = path if path.endswith("/") else f"{path}/"
    if path == "/" and not name.startswith("/"):
        return "/" not in name or recursive
    rest = name.removeprefix(prefix)
    return rest != name and (recursive or "/" not in rest)


def by_path_tests(filters: Sequence[Mapping[str, Any]]) -> list[Test]:
    """The tests of GetParametersByPath. Raise for filters that it does not have."""
    return [_test(given, _BY_PATH) for given in filters]


def described_tests(request: Mapping[str, Any]) -> list[Test]:
    """The tests of DescribeParameters, from both of its kinds of filters. Raise for what it does not have."""
    old = [{"Key": given["Key"], "Values": given["Values"]} for given in request.get("Filters") or ()]
    if old and request.get("ParameterFilters"):
        raise InvalidFilterKey("Use either Filters or ParameterFilters, not both.")
    old = [given | ({"Option": "BeginsWith"} if given["Key"] == "Name" else {}) for given in old]
    return [_test(given, _DESCRIBED) for given in [*old, *(request.get("ParameterFilters") or ())]]


def _test(given: Mapping[str, Any], keys: tuple[str, ...]) -> Test:
    key, values = given["Key"], tuple(given.get("Values") or ())
    tagged = key.startswith("tag:") and keys is _DESCRIBED
    if key not in keys and not tagged:
        raise InvalidFilterKey(f"The filter key {key} is not one of {', '.join(keys)}.")
    options = _OPTIONS.get(key, ("Equals", "BeginsWith"))
    option = given.get("Option") or ("OneLevel" if key == "Path" else "Equals")
    if option not in options:
        raise InvalidFilterOption(f"The filter {key} has the options {', '.join(options)}, not {option}.")
    if tagged:
        tag = key.removeprefix("tag:")
        return lambda parameter, _: (
            tag in parameter.tags and (not values or _matches(parameter.tags[tag], values, option))
        )
    if not values:
        raise InvalidFilterValue(f"The filter {key} needs at least one value.")
    if key == "Path":
        if not all(value.startswith("/") for value in values):
            raise InvalidFilterValue("A path begins with a slash.")
        recursive = option == "Recursive"
        return lambda parameter, _: any(
            is_below(parameter.name, path, recursive=recursive) for path in values
        )
    if key == "Label":
        return lambda _, version: any(_matches(label, values, option) for label in version.labels)
    return lambda parameter, version: _matches(_value(key, parameter, version), values, option)


def _value(key: str, parameter: Parameter, version: ParameterVersion) -> str:
    match key:
        case "Name":
            return parameter.name
        case "Type":
            return parameter.type
        case "KeyId":
            return version.key_id
        case "Tier":
            return parameter.tier
        case _:
            return version.data_type


def _matches(text: str, values: Sequence[str], option: str) -> bool:
    match option:
        case "BeginsWith":
            return text.startswith(tuple(values))
        case "Contains":
            return any(value in text for value in values)
        case _:
            return text in values
