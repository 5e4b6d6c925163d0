"""Filters of listings. Pure. Sources: NamespaceFilter, ServiceFilter, OperationFilter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from homeport.services.servicediscovery.errors import InvalidInput
from homeport.services.servicediscovery.model import Namespace, Operation, Service

Test = Callable[[Any], bool]
_CONDITIONS = {
    "TYPE": ("EQ", "BEGINS_WITH", "IN"),
    "NAME": ("EQ", "BEGINS_WITH"),
    "HTTP_NAME": ("EQ", "BEGINS_WITH"),
    "NAMESPACE_ID": ("EQ",),
    "SERVICE_ID": ("EQ",),
    "STATUS": ("EQ", "IN"),
    "UPDATE_DATE": ("BETWEEN",),
    "RESOURCE_OWNER": ("EQ",),
}
_OWNERS = ("SELF", "OTHER_ACCOUNTS")


def namespace_test(filters: Iterable[Mapping[str, Any]]) -> Test:
    """Whether a namespace is to be listed."""

    def value(name: str, one: Namespace) -> str:
        return {"TYPE": one.type, "NAME": one.name, "HTTP_NAME": one.http_name}[name]

    return _all_of(filters, value)


def service_test(filters: Iterable[Mapping[str, Any]]) -> Test:
    """Whether a service is to be listed."""

    def value(name: str, one: Service) -> str:
        del name
        return one.namespace_id

    return _all_of(filters, value)


def operation_test(filters: Iterable[Mapping[str, Any]]) -> Test:
    """Whether an operation is to be listed."""

    def value(name: str, one: Operation) -> str:
        targets = {"NAMESPACE_ID": "NAMESPACE", "SERVICE_ID": "SERVICE"}
        if name in targets:
            return one.targets.get(targets[name], "")
        return {"STATUS": "SUCCESS", "TYPE": one.type, "UPDATE_DATE": one.created_at.isoformat()}[name]

    return _all_of(filters, value)


def _all_of(filters: Iterable[Mapping[str, Any]], value: Callable[[str, Any], str]) -> Test:
    tests = [_test(one, value) for one in filters]
    return lambda noun: all(test(noun) for test in tests)


def _test(given: Mapping[str, Any], value: Callable[[str, Any], str]) -> Test:
    name, values = given["Name"], [_plain(one) for one in given["Values"]]
    condition = given.get("Condition") or "EQ"
    if condition not in _CONDITIONS[name]:
        raise InvalidInput(f"The condition {condition} is not supported for the filter {name}.")
    wanted = {"EQ": 1, "BEGINS_WITH": 1, "BETWEEN": 2}.get(condition)
    if wanted is not None and len(values) != wanted:
        raise InvalidInput(f"The condition {condition} takes {wanted} value(s): {len(values)} are given.")
    if name == "RESOURCE_OWNER":
        if values[0] not in _OWNERS:
            raise InvalidInput(f"RESOURCE_OWNER is one of {', '.join(_OWNERS)}.")
        return lambda _: values[0] == "SELF"
    if condition == "BETWEEN":
        start, end = map(_instant, values)
        return lambda noun: start <= noun.created_at <= end
    if condition == "BEGINS_WITH":
        return lambda noun: value(name, noun).startswith(values[0])
    return lambda noun: value(name, noun) in values


def _plain(text: str) -> str:
    """An id, of an id or an ARN."""
    return text.rpartition("/")[2] if text.startswith("arn:") else text


def _instant(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidInput(f"UPDATE_DATE takes Unix times in seconds: {text[:32]!r} is none.") from None
