"""Policies made ready: compiled once per content, and then asked for the statements that apply.

What does not depend on the context is decided once per (action, resource) and kept: which statements could
apply at all. A later question about the same two looks at conditions and variables only. A policy's answer
never depends on another's, so this is kept per policy, whoever has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeport.policy.arns import resource_template
from homeport.policy.document import Effect, Policy, PolicyKind, Statement
from homeport.policy.operators import check_of
from homeport.policy.parse import parse_policy
from homeport.policy.principals import Grant, Naming, naming_of
from homeport.policy.request import Request
from homeport.policy.templates import Matcher, Template, tokens_of

NARROWED_MAX = 1024
"""(action, resource) pairs that a policy remembers."""
COMPILED_MAX = 4096
"""Documents that a compiler remembers."""

Actions = Callable[[str], bool]


class CompiledStatement:
    """A statement as functions; `index` is its place in the document."""

    __slots__ = ("_actions", "_checks", "_resources", "_static_resources", "index", "naming", "statement")

    def __init__(self, statement: Statement, index: int, *, variables: bool) -> None:
        self.statement = statement
        self.index = index
        self._actions = _actions(statement.actions)
        self._resources = [resource_template(text, variables=variables) for text in statement.resources]
        self._static_resources = [one.static for one in self._resources if one.static is not None]
        self._checks = tuple(check_of(one, variables=variables) for one in statement.conditions)
        self.naming: Naming | None = None
        if statement.principals is not None:
            self.naming = naming_of(statement.principals, negated=statement.not_principals)

    def takes_action(self, folded: str) -> bool:
        """Whether the statement is about this action, whose name is in lower case."""
        return self._actions(folded) != self.statement.not_actions

    def takes_resource(self, resource: str) -> bool | None:
        """`None`: it depends on variables."""
        if not self._resources:
            return True
        if any(static(resource) for static in self._static_resources):
            return not self.statement.not_resources
        if len(self._static_resources) < len(self._resources):
            return None
        return self.statement.not_resources

    def takes_resource_of(self, request: Request) -> bool:
        """The same with the request's variables; a `NotResource` that cannot be read excludes everything."""
        found = [_found(template, request) for template in self._resources]
        if self.statement.not_resources:
            return all(one is False for one in found)
        return True in found

    def holds(self, request: Request) -> bool:
        """Whether all conditions are true."""
        context = request.context
        return all(check(context) for check in self._checks)

    @property
    def is_unconditional(self) -> bool:
        """Whether no condition is to be looked at."""
        return not self._checks


def _found(template: Template, request: Request) -> bool | None:
    matcher = template.matcher(request.context)
    return None if matcher is None else bool(matcher(request.resource))


def _actions(texts: tuple[str, ...]) -> Actions:
    folded = [text.lower() for text in texts]
    exact = frozenset(text for text in folded if "*" not in text and "?" not in text)
    wild = [_wild(text) for text in folded if text not in exact]
    return lambda action: action in exact or any(matches(action) for matches in wild)


def _wild(text: str) -> Matcher:
    static = Template(tokens_of(text, variables=False, wildcards=True)).static
    assert static is not None, "without variables a template is static"
    return static


Open = tuple[CompiledStatement, bool]
"""A statement that may apply, and whether its resources hold variables."""


@dataclass(slots=True)
class Narrowed:
    """What is left to ask about one action on one resource."""

    settled: tuple[CompiledStatement, ...]
    open: tuple[Open, ...]


class CompiledPolicy:
    """A document, ready to be asked. Safe to share: what it remembers are facts about itself."""

    __slots__ = ("_narrowed", "policy", "statements")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.statements = tuple(
            CompiledStatement(statement, index, variables=policy.has_variables)
            for index, statement in enumerate(policy.statements)
        )
        self._narrowed: dict[tuple[str, str], Narrowed] = {}

    def applying(self, request: Request, folded_action: str) -> list[CompiledStatement]:
        """Statements that apply to the request, whoever asks; in no particular order."""
        key = (folded_action, request.resource)
        narrowed = self._narrowed.get(key)
        if narrowed is None:
            if len(self._narrowed) >= NARROWED_MAX:
                self._narrowed.clear()
            narrowed = self._narrowed[key] = self._narrow(*key)
        applying = list(narrowed.settled)
        for statement, has_variables in narrowed.open:
            if has_variables and not statement.takes_resource_of(request):
                continue
            if statement.holds(request):
                applying.append(statement)
        return applying

    def _narrow(self, action: str, resource: str) -> Narrowed:
        settled: list[CompiledStatement] = []
        unsettled: list[Open] = []
        for statement in self.statements:
            if not statement.takes_action(action):
                continue
            takes = statement.takes_resource(resource)
            if takes is False:
                continue
            if takes and statement.is_unconditional:
                settled.append(statement)
            else:
                unsettled.append((statement, takes is None))
        return Narrowed(tuple(settled), tuple(unsettled))


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


@dataclass(slots=True)
class Applying:
    """The statements of some policies that apply: allowing and denying ones, and how directly they grant."""

    allows: list[StatementRef]
    denies: list[StatementRef]
    grant: Grant = Grant.NONE


def applying(policies: tuple[AttachedPolicy, ...], request: Request, folded_action: str) -> Applying:
    """Ask every policy. A statement with principals applies to those only."""
    found = Applying([], [])
    for attached in policies:
        for one in attached.compiled.applying(request, folded_action):
            grant = Grant.DIRECT
            if one.naming is not None:
                grant = one.naming(request.caller)
                if grant is Grant.NONE:
                    continue
            if one.statement.effect is Effect.DENY:
                found.denies.append(attached.refs[one.index])
            else:
                found.allows.append(attached.refs[one.index])
                found.grant = max(found.grant, grant)
    return found


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
