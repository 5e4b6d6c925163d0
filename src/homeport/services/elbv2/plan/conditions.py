"""A rule's conditions and transforms, checked. Pure.

Source: API Reference, RuleCondition and RuleTransform; Application Load Balancer guide, "Condition types" and
"Quotas": five values and five wildcards a rule.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from homeport.services.elbv2.errors import ValidationError
from homeport.services.elbv2.model.rules import Condition, Pair, Rewrite
from homeport.services.elbv2.plan.requests import LIMITS

Given = Mapping[str, Any]

CONFIGS: Mapping[str, str] = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "query-string": "QueryStringConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "source-ip": "SourceIpConfig",
}
"""The member that holds a field's values."""
_LEGACY = frozenset({"host-header", "path-pattern"})
_REGEX = frozenset({"host-header", "path-pattern", "http-header"})
_ONCE = ("http-request-method", "host-header", "path-pattern", "source-ip")
VALUE_MAX = 128
HEADER_NAME_MAX = 40
METHOD_MAX = 40
REWRITE_MAX = 1024

_HOST = re.compile(r"[A-Za-z0-9.*?-]+\Z")
_PATH = re.compile(r"""[A-Za-z0-9_.$/~"'@:+&*?;=,!()%\[\]-]+\Z""")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_METHOD = re.compile(r"[A-Z_-]+\Z")
_ESCAPED = re.compile(r"\\[*?\\]")
_LOOKS_AROUND = re.compile(r"\(\?(?:[=!]|<[=!])|(?<!\\)(?:\\\\)*\\[1-9]")


def conditions_of(given: Sequence[Given]) -> tuple[Condition, ...]:
    """The conditions of a rule. Raise `ValidationError`."""
    if not given:
        raise ValidationError("A rule must have at least one condition")
    found = tuple(_condition(one) for one in given)
    fields = [one.field for one in found]
    for field in _ONCE:
        if fields.count(field) > 1:
            raise ValidationError(f"Rules cannot have more than one '{field}' condition")
    values, most = sum(map(_count, found)), LIMITS["condition-values-per-alb-rule"]
    if values > most:
        raise ValidationError(
            f"The number of condition values ({values}) of the rule is above the limit of {most}"
        )
    wildcards, most = sum(map(_wildcards, found)), LIMITS["condition-wildcards-per-alb-rule"]
    if wildcards > most:
        raise ValidationError(
            f"The number of wildcards ({wildcards}) of the rule is above the limit of {most}"
        )
    return found


def _condition(given: Given) -> Condition:
    field = given.get("Field", "")
    if field not in CONFIGS:
        raise ValidationError(f"Condition field '{field}' must be one of '[{','.join(CONFIGS)}]'")
    if other := next((m for f, m in CONFIGS.items() if f != field and given.get(m)), None):
        raise ValidationError(
            f"{other} can only be specified when the condition field is its own, not '{field}'"
        )
    config = given.get(CONFIGS[field]) or {}
    if field not in _LEGACY and given.get(CONFIGS[field]) is None and not given.get("Values"):
        raise ValidationError(f"A '{CONFIGS[field]}' must be specified with '{field}'")
    values, regexes = _values(field, given, config), _regexes(field, given, config)
    if field == "query-string":
        pairs = tuple(_pair(one) for one in values)
        _some(field, pairs)
        return Condition(field=field, pairs=pairs)
    _some(field, (*values, *regexes))
    if values and regexes:
        raise ValidationError(f"A '{field}' condition has either values or regular expressions")
    header = _header(config) if field == "http-header" else ""
    for value in values:
        _check_value(field, value)
    if field == "source-ip" and config.get("IpAddressType"):
        raise ValidationError("IpAddressType is for rules of Network Load Balancers, which have none here")
    return Condition(
        field=field, values=tuple(map(str, values)), regexes=tuple(map(_regex, regexes)), header=header
    )


def _values(field: str, given: Given, config: Given) -> Sequence[Any]:
    legacy, modern = given.get("Values") or [], config.get("Values") or []
    if not legacy:
        return modern
    if field not in _LEGACY:
        raise ValidationError(f"Values cannot be specified for '{field}': use {CONFIGS[field]}")
    if modern and list(legacy) != list(modern):
        raise ValidationError(f"Values and {CONFIGS[field]} of a '{field}' condition differ")
    if len(legacy) > 1 and not modern:
        raise ValidationError(f"The '{field}' field contains too many values; the limit is '1'")
    return legacy


def _regexes(field: str, given: Given, config: Given) -> Sequence[str]:
    outer, inner = given.get("RegexValues") or [], config.get("RegexValues") or []
    if (outer or inner) and field not in _REGEX:
        raise ValidationError(f"RegexValues cannot be specified for '{field}'")
    if outer and inner and list(outer) != list(inner):
        raise ValidationError(f"RegexValues and those of {CONFIGS[field]} differ")
    return outer or inner


def _some(field: str, values: Sequence[Any]) -> None:
    if not values:
        noun = "condition" if field in _LEGACY else f"'{field}'"
        raise ValidationError(f"A {noun} value must be specified")
    if len(set(map(repr, values))) != len(values):
        raise ValidationError(f"Values of a '{field}' condition cannot be specified more than once")


def _header(config: Given) -> str:
    name = str(config.get("HttpHeaderName", ""))
    _check_length("HttpHeaderName", name, HEADER_NAME_MAX)
    if not _TOKEN.match(name):
        raise ValidationError(f"The HTTP header name '{name}' is not valid")
    if name.lower() == "host":
        raise ValidationError("The host header cannot be used in an http-header condition: use host-header")
    return name


def _pair(given: Given) -> Pair:
    key, value = given.get("Key"), given.get("Value", "")
    if not value:
        raise ValidationError("A 'Value' must be specified in 'QueryStringKeyValuePair'")
    _check_length("Key", key or "")
    _check_length("Value", value)
    return Pair(key=key or None, value=value)


def _check_length(field: str, value: str, most: int = VALUE_MAX) -> None:
    if len(value) > most:
        raise ValidationError(f"The '{field}' value is too long; the limit is '{most}'")


def _check_value(field: str, value: str) -> None:
    _check_length(field, value, METHOD_MAX if field == "http-request-method" else VALUE_MAX)
    if field == "http-request-method" and not _METHOD.match(value):
        raise ValidationError(
            f"The '{field}' value is invalid; the allowed characters are A-Z, hyphen and underscore"
        )
    match field:
        case "host-header":
            good = bool(_HOST.match(value)) and _is_host(value)
        case "path-pattern":
            good = bool(_PATH.match(value))
        case "source-ip":
            good = _is_cidr(value)
        case _:
            good = bool(value) and value.isprintable()
    if not good:
        raise ValidationError(f"Condition value '{value}' of '{field}' is not valid")


def _is_host(value: str) -> bool:
    """It has a point, and only letters after the last one, wildcards aside."""
    head, dot, last = value.rpartition(".")
    del head
    return bool(dot) and bool(re.fullmatch(r"[A-Za-z*?]*(?:[A-Za-z*?-][A-Za-z0-9*?-]*)?", last))


def _is_cidr(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return "/" in value


def _regex(value: str) -> str:
    _check_length("regular expression", value)
    check_regex(value)
    return value


def check_regex(value: str) -> None:
    """Raise unless it is a regular expression that needs no looking around or back."""
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError):
        raise ValidationError(f"The regular expression '{value}' is not valid") from None
    if not value or _LOOKS_AROUND.search(value):
        raise ValidationError(f"The regular expression '{value}' is not valid")


def _count(condition: Condition) -> int:
    return len(condition.values) + len(condition.regexes) + len(condition.pairs)


def _wildcards(condition: Condition) -> int:
    if condition.field == "query-string":
        texts = [_ESCAPED.sub("", text) for pair in condition.pairs for text in (pair.key or "", pair.value)]
    elif condition.field in _REGEX:
        texts = list(condition.values)
    else:
        texts = []
    return sum(text.count("*") + text.count("?") for text in texts)


def transforms_of(given: Sequence[Given]) -> tuple[Rewrite, ...]:
    """The transforms of a rule: one of each type at most. Raise `ValidationError`."""
    found = tuple(_transform(one) for one in given)
    types = [one.type for one in found]
    if len(set(types)) != len(types):
        raise ValidationError("Rules cannot have more than one transform of a type")
    return found


def _transform(given: Given) -> Rewrite:
    kind = given["Type"]
    own, other = "HostHeaderRewriteConfig", "UrlRewriteConfig"
    if kind == "url-rewrite":
        own, other = other, own
    if given.get(other):
        raise ValidationError(f"{other} cannot be specified for a transform of type '{kind}'")
    rewrites = (given.get(own) or {}).get("Rewrites") or []
    if len(rewrites) != 1:
        raise ValidationError(f"A transform of type '{kind}' has exactly one rewrite")
    regex, replace = rewrites[0]["Regex"], rewrites[0]["Replace"]
    if max(len(regex), len(replace)) > REWRITE_MAX:
        raise ValidationError(f"A rewrite cannot be longer than '{REWRITE_MAX}' characters")
    check_regex(regex)
    groups = re.compile(regex).groups
    if any(int(number) > groups for number in re.findall(r"\$([0-9]+)", replace)):
        raise ValidationError(
            f"The replacement '{replace}' names a group that the regular expression has not"
        )
    return Rewrite(type=kind, regex=regex, replace=replace)
