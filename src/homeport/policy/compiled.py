"""Policies made ready: compiled once per content, then attached under a name, then asked as a set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from homeport.policy.arns import resource_template
from homeport.policy.document import Condition, Effect, Policy, PolicyKind, Statement, canonical_json
from homeport.policy.operators import check_of
from homeport.policy.parse import parse_policy
from homeport.policy.principals import Grant, Naming, naming_of
from homeport.policy.request import Context, Request
from homeport.policy.templates import Matcher, Template, tokens_of

NARROWED_MAX = 512
"""(action, resource) pairs that a set remembers."""
VALUES_MAX = 16
"""Combinations of variables' values that such a pair remembers."""
COMPILED_MAX = 4096
"""Documents that a compiler remembers."""

Actions = Callable[[str], bool]


class CompiledStatement:
    """A statement as functions; `index` is its place in the document."""

    __slots__ = (
        "_actions",
        "_checks",
        "_has_variables",
        "_resources",
        "_static_resources",
        "index",
        "naming",
        "statement",
    )

    def __init__(self, statement: Statement, index: int, *, variables: bool) -> None:
        self.statement = statement
        self.index = index
        self._actions = _actions(statement.actions)
        self._resources = [resource_template(text, variables=variables) for text in statement.resources]
        self._static_resources = [one.static for one in self._resources if one.static is not None]
        self._has_variables = len(self._static_resources) < len(self._resources)
        self._checks = tuple(check_of(one, variables=variables) for one in statement.conditions)
        self.naming: Naming | None = None
        if statement.principals is not None:
            self.naming = naming_of(statement.principals, negated=statement.not_principals)

    @property
    def variable_keys(self) -> set[str]:
        """Keys of the variables in its resources, in lower case."""
        return {key for template in self._resources for key in template.variable_keys}

    def takes_action(self, folded: str) -> bool:
        """Whether the statement is about this action, whose name is in lower case."""
        return self._actions(folded) != self.statement.not_actions

    def takes_resource(self, resource: str) -> bool | None:
        """`None`: it depends on variables."""
        if not self._resources:
            return True
        if any(static(resource) for static in self._static_resources):
            return not self.statement.not_resources
        if self.statement.not_resources:
            return None if self._has_variables else True
        return None if any(one.may_match(resource) for one in self._resources) else False

    def takes_resource_of(self, request: Request) -> bool:
        """The same with the request's variables; a `NotResource` that cannot be read excludes everything."""
        excludes = self.statement.not_resources
        for template in self._resources:
            matcher = template.matcher(request.context)
            if matcher is None:
                if excludes:
                    return False
            elif matcher(request.resource):
                return not excludes
        return excludes

    def holds(self, context: Context) -> bool:
        """Whether all conditions are true."""
        for check in self._checks:  # noqa: SIM110 (a generator costs more than the check)
            if not check(context):
                return False
        return True

    def failing(self, context: Context) -> tuple[Condition, ...]:
        """The conditions that are not true."""
        pairs = zip(self.statement.conditions, self._checks, strict=True)
        return tuple(condition for condition, check in pairs if not check(context))

    @property
    def is_unconditional(self) -> bool:
        """Whether neither who asks nor a condition is to be looked at."""
        return not self._checks and self.naming is None


def _actions(texts: tuple[str, ...]) -> Actions:
    folded = [text.lower() for text in texts]
    exact = frozenset(text for text in folded if "*" not in text and "?" not in text)
    wild = [_wild(text) for text in folded if text not in exact]
    return lambda action: action in exact or any(matches(action) for matches in wild)


def _wild(text: str) -> Matcher:
    static = Template(tokens_of(text, variables=False, wildcards=True)).static
    assert static is not None, "without variables a template is static"
    return static


class CompiledPolicy:
    """A document, ready to be asked. It may be shared by all who have it."""

    __slots__ = ("policy", "reads_resource_tags", "statements")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.reads_resource_tags = "resourcetag/" in canonical_json(policy).lower()
        """Whether it may depend on the resource's tags, which somebody must then look up."""
        self.statements = tuple(
            CompiledStatement(statement, index, variables=policy.has_variables)
            for index, statement in enumerate(policy.statements)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRef:
    """One statement of one policy, as an explanation names it."""

    policy: str
    """The policy's ARN, or the name of an inline one."""
    index: int
    statement: Statement

    @property
    def name(self) -> str:
        """The Sid, or the place in the document, counted from 1."""
        return self.statement.sid or f"statement {self.index + 1}"


class AttachedPolicy:
    """A compiled policy under the name that it has where it is attached."""

    __slots__ = ("compiled", "name", "refs")

    def __init__(self, name: str, compiled: CompiledPolicy) -> None:
        self.name = name
        self.compiled = compiled
        self.refs = tuple(
            StatementRef(policy=name, index=one.index, statement=one.statement) for one in compiled.statements
        )


class Applying(NamedTuple):
    """The statements that apply: allowing and denying ones, and how directly they grant."""

    allows: tuple[StatementRef, ...] = ()
    denies: tuple[StatementRef, ...] = ()
    grant: Grant = Grant.NONE


NOTHING_APPLIES = Applying()

Candidate = tuple[CompiledStatement, StatementRef]


class Narrowed:
    """What is known about one action on one resource, and what is left to ask."""

    __slots__ = ("_by_values", "_keys", "conditional", "settled", "unknown")

    def __init__(self, taking: Iterable[Candidate], unknown: Iterable[Candidate] = ()) -> None:
        """`taking` are about the resource; of `unknown` it depends on the values of variables."""
        self.conditional: list[Candidate] = []
        allows: list[StatementRef] = []
        denies: list[StatementRef] = []
        for one, ref in taking:
            if not one.is_unconditional:
                self.conditional.append((one, ref))
            else:
                (denies if ref.statement.effect is Effect.DENY else allows).append(ref)
        self.settled = Applying(tuple(allows), tuple(denies), Grant.DIRECT if allows else Grant.NONE)
        self.unknown = tuple(unknown)
        self._keys = tuple({key for one, _ in self.unknown for key in one.variable_keys})
        self._by_values: dict[tuple[tuple[str, ...], ...], Narrowed] = {}

    def known(self, request: Request, taking: Callable[[], Iterable[Candidate]]) -> Narrowed:
        """The same with what the request's variables say; `taking` gives those that do not depend on them."""
        values = tuple([request.context.get(key) for key in self._keys])
        found = self._by_values.get(values)
        if found is None:
            if len(self._by_values) >= VALUES_MAX:
                self._by_values.clear()
            more = [(one, ref) for one, ref in self.unknown if one.takes_resource_of(request)]
            found = self._by_values[values] = Narrowed([*taking(), *more])
        return found


class PolicySet:
    """Policies that count as one: those of a user and its groups, of a role, of a session, of a resource.

    What does not depend on the context is decided once per (action, resource) and kept: which statements
    apply, and which may; and below that, what the values of variables make of it. A later question about
    the same looks at conditions and principals only.
    """

    __slots__ = ("_narrowed", "policies")

    def __init__(self, policies: Iterable[AttachedPolicy] = ()) -> None:
        self.policies = tuple(policies)
        self._narrowed: dict[tuple[str, str], Narrowed] = {}

    def applying(self, request: Request, folded_action: str) -> Applying:
        """What the policies say about a request."""
        if not self.policies:
            return NOTHING_APPLIES
        key = (folded_action, request.resource)
        narrowed = self._narrowed.get(key)
        if narrowed is None:
            if len(self._narrowed) >= NARROWED_MAX:
                self._narrowed.clear()
            taking, unknown = (self._candidates(*key, takes=takes) for takes in (True, None))
            narrowed = self._narrowed[key] = Narrowed(taking, unknown)
        if narrowed.unknown:
            narrowed = narrowed.known(request, lambda: self._candidates(*key, takes=True))
        return _opened(narrowed, request) if narrowed.conditional else narrowed.settled

    def _candidates(self, action: str, resource: str, *, takes: bool | None) -> list[Candidate]:
        """Statements about the action that take the resource, or of which it cannot be known yet (`None`)."""
        return [
            (one, ref)
            for attached in self.policies
            for one, ref in zip(attached.compiled.statements, attached.refs, strict=True)
            if one.takes_action(action) and one.takes_resource(resource) is takes
        ]


NO_POLICIES = PolicySet()


def _opened(narrowed: Narrowed, request: Request) -> Applying:
    allows, denies, grant = narrowed.settled
    more_allows: list[StatementRef] = []
    more_denies: list[StatementRef] = []
    for one, ref in narrowed.conditional:
        granted = Grant.DIRECT if one.naming is None else one.naming(request.caller)
        if granted is Grant.NONE or not one.holds(request.context):
            continue
        if ref.statement.effect is Effect.DENY:
            more_denies.append(ref)
        else:
            more_allows.append(ref)
            grant = max(grant, granted)
    return Applying((*allows, *more_allows), (*denies, *more_denies), grant)


class Compiler:
    """Compiles each document once."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[PolicyKind, str], CompiledPolicy] = {}

    def compile(self, text: str, kind: PolicyKind = PolicyKind.IDENTITY) -> CompiledPolicy:
        """Raise `MalformedPolicyError` when `text` is no valid policy of its kind."""
        key = (kind, text)
        found = self._compiled.get(key)
        if found is None:
            if len(self._compiled) >= COMPILED_MAX:
                self._compiled.clear()
            found = self._compiled[key] = CompiledPolicy(parse_policy(text, kind))
        return found
