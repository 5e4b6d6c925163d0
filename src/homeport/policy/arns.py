"""ARNs with wildcards, as `Resource` and as the ARN operators read them: not the same.

Of an ARN's six fields, divided by colons, the last holds the resource and may have further colons.

- An **ARN operator** compares field by field: no wildcard passes into another field.
- **Resource** compares the whole, but a wildcard within one of the first five fields stops at its colon,
  unless it is a `*` that ends its field: that one may run on over colons. In the last field a wildcard takes
  everything. Fields that a resource lacks are completed with `*`.

Source: IAM User Guide, elements: Resource; condition operators: ARN.
"""

from __future__ import annotations

from itertools import pairwise

from homeport.policy.request import Context
from homeport.policy.templates import Template, Token, Wild, tokens_of

FIELDS = 6

_IN_FIELD = {Wild.ONE: Wild.ONE_IN_FIELD, Wild.ANY: Wild.ANY_IN_FIELD}


def completed(resource: str) -> str:
    """`arn:aws:sqs` is `arn:aws:sqs:*:*:*`."""
    return resource + ":*" * (FIELDS - len(fields_of(resource)))


def fields_of(text: str) -> list[str]:
    """The six fields, or fewer; a colon inside `${...}` divides nothing."""
    if "${" not in text:
        return text.split(":", FIELDS - 1)
    fields = [""]
    is_inside = False
    for position, character in enumerate(text):
        if len(fields) == FIELDS:
            fields[-1] += text[position:]
            break
        if character == ":" and not is_inside:
            fields.append("")
            continue
        if text.startswith("${", position):
            is_inside = True
        elif character == "}":
            is_inside = False
        fields[-1] += character
    return fields


def resource_template(resource: str, *, variables: bool) -> Template:
    """A pattern of `Resource`. Variables are only known in the last field: before, they are text."""
    if resource == "*":
        return Template((Wild.ANY,))
    *front, last = fields_of(completed(resource))
    tokens: list[Token] = []
    for field in front:
        cut = tokens_of(field, variables=False, wildcards=True)
        # "" marks the end, so that pairs see the last token too.
        tokens += [
            token if isinstance(token, str) or (token is Wild.ANY and following == "") else _IN_FIELD[token]
            for token, following in pairwise([*cut, ""])
            if isinstance(token, str | Wild)
        ]
        tokens.append(":")
    return Template(_merged([*tokens, *tokens_of(last, variables=variables, wildcards=True)]))


def _merged(tokens: list[Token]) -> tuple[Token, ...]:
    merged: list[Token] = []
    for token in tokens:
        last = merged[-1] if merged else None
        if isinstance(token, str) and isinstance(last, str):
            merged[-1] = last + token
        else:
            merged.append(token)
    return tuple(merged)


class ArnPattern:
    """A value of an ARN operator. A lone `*` matches whatever there is."""

    __slots__ = ("_fields", "_whole")

    def __init__(self, text: str, *, variables: bool) -> None:
        fields = fields_of(text)
        self._whole = Template((Wild.ANY,)) if text == "*" else None
        self._fields = tuple(
            Template(tokens_of(field, variables=variables, wildcards=True)) for field in fields
        )

    def matches(self, arn: str, context: Context) -> bool | None:
        """`None` when a variable has no value."""
        if self._whole is not None:
            return True
        matchers = [field.matcher(context) for field in self._fields]
        if None in matchers:
            return None
        asked = arn.split(":", FIELDS - 1)
        return len(matchers) == len(asked) == FIELDS and all(
            matcher is not None and matcher(part) for matcher, part in zip(matchers, asked, strict=True)
        )
