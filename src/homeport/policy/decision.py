"""Whether a request is allowed, and what decided it.

The order of thought is AWS's: an explicit deny anywhere ends it; then what the resource's policy grants
directly; then identity-based policies, the permissions boundary and session policies: all must allow.
Between accounts, the caller's side and the resource's side must each allow.
Source: IAM User Guide, evaluation logic, also cross-account; access_policies_boundaries; session policies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from homeport.policy.compiled import NO_POLICIES, Applying, PolicySet, StatementRef
from homeport.policy.principals import Grant
from homeport.policy.request import OUTSIDERS, CallerKind, Request


class Verdict(StrEnum):
    """IAM's own words in policy simulations (`EvalDecision`)."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


class Layer(StrEnum):
    """Kinds of policies that take part."""

    IDENTITY = "identity"
    RESOURCE = "resource"
    TRUST = "trust"
    BOUNDARY = "boundary"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Every policy that applies to one caller and one resource.

    `identity` holds the caller's own and its groups' or role's. `boundary` and `session` are absent when they
    are `None`; an empty set allows nothing. `resource` is the resource's own policy: a role's trust policy
    with `is_trust`. `resource_must_allow` is for those resources (KMS keys) whose own policy has to allow
    even within an account; trust policies always have to.
    """

    identity: PolicySet = NO_POLICIES
    boundary: PolicySet | None = None
    session: PolicySet | None = None
    resource: PolicySet = NO_POLICIES
    is_trust: bool = False
    resource_must_allow: bool = False

    def layer(self, layer: Layer) -> PolicySet | None:
        """The policies of one kind; `None`: there are none, and none is needed."""
        match layer:
            case Layer.IDENTITY:
                return self.identity
            case Layer.BOUNDARY:
                return self.boundary
            case Layer.SESSION:
                return self.session
            case Layer.TRUST:
                return self.resource if self.is_trust else None
            case Layer.RESOURCE:
                return None if self.is_trust else self.resource

    def names(self) -> dict[Layer, list[str]]:
        """What there is of each kind, by the policies' names."""
        sets = ((layer, self.layer(layer)) for layer in Layer)
        return {layer: [one.name for one in found.policies] for layer, found in sets if found is not None}


class Deciding(NamedTuple):
    """A statement, and as what kind of policy it spoke."""

    layer: Layer
    ref: StatementRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer.

    `deciding` are the statements that made it: all that deny, or all that allow in the layers that counted;
    none when it is an implicit deny. `layer` is the one that denied, `missing` all that did not allow.
    """

    verdict: Verdict
    deciding: tuple[Deciding, ...] = ()
    layer: Layer | None = None
    missing: tuple[Layer, ...] = ()

    @property
    def is_allowed(self) -> bool:
        """Whether the request may go on."""
        return self.verdict is Verdict.ALLOWED


@dataclass(slots=True)
class _Found:
    """What every layer says; a layer that is not there is `None`."""

    identity: Applying
    resource: Applying
    boundary: Applying | None
    session: Applying | None
    resource_layer: Layer

    def layers(self) -> list[tuple[Layer, Applying]]:
        all_layers = (
            (Layer.IDENTITY, self.identity),
            (self.resource_layer, self.resource),
            (Layer.BOUNDARY, self.boundary),
            (Layer.SESSION, self.session),
        )
        return [(layer, found) for layer, found in all_layers if found is not None]


_EVERY_LAYER = frozenset(Layer)


def decide(request: Request, policies: Policies) -> Decision:
    """Decide one request. The order of policies, statements and values never matters for the verdict."""
    found = _ask(request, policies)
    denies = tuple(Deciding(layer, ref) for layer, said in found.layers() for ref in said.denies)
    if denies:
        return Decision(verdict=Verdict.EXPLICIT_DENY, deciding=denies, layer=denies[0].layer)
    kind = request.caller.kind
    if kind in OUTSIDERS:
        return _verdict(
            found, () if found.resource.grant else (found.resource_layer,), frozenset({found.resource_layer})
        )
    if request.is_cross_account:
        return _between_accounts(request, found)
    return _within_account(request, policies, found)


def _ask(request: Request, policies: Policies) -> _Found:
    action = request.action.lower()
    kind = request.caller.kind
    has_identity = kind not in OUTSIDERS and kind is not CallerKind.ROOT
    boundary = policies.boundary if has_identity else None
    session = policies.session if has_identity else None
    return _Found(
        identity=(policies.identity if has_identity else NO_POLICIES).applying(request, action),
        resource=policies.resource.applying(request, action),
        boundary=None if boundary is None else boundary.applying(request, action),
        session=None if session is None else session.applying(request, action),
        resource_layer=Layer.TRUST if policies.is_trust else Layer.RESOURCE,
    )


def _between_accounts(request: Request, found: _Found) -> Decision:
    missing: list[Layer] = []
    if request.caller.kind is not CallerKind.ROOT:
        missing += [] if found.identity.allows else [Layer.IDENTITY]
        missing += _limits(request, found)
    if not found.resource.grant:
        missing.append(found.resource_layer)
    return _verdict(found, tuple(missing), _EVERY_LAYER)


def _within_account(request: Request, policies: Policies, found: _Found) -> Decision:
    grant = found.resource.grant
    if grant is Grant.DIRECT:
        return _verdict(found, (), frozenset({found.resource_layer}))
    must = policies.is_trust or policies.resource_must_allow
    missing: list[Layer] = []
    if must and not grant:
        missing.append(found.resource_layer)
    if request.caller.kind is not CallerKind.ROOT:
        if not found.identity.allows and grant is not Grant.ISSUER:
            missing.append(Layer.IDENTITY)
        missing += _limits(request, found)
    return _verdict(found, tuple(missing), _EVERY_LAYER)


def _limits(request: Request, found: _Found) -> list[Layer]:
    """Layers that allow nothing by themselves, and here did not. A federated user needs a session policy."""
    missing: list[Layer] = []
    if found.boundary is not None and not found.boundary.allows:
        missing.append(Layer.BOUNDARY)
    if found.session is None:
        missing += [Layer.SESSION] if request.caller.kind is CallerKind.FEDERATED_USER else []
    elif not found.session.allows:
        missing.append(Layer.SESSION)
    return missing


def _verdict(found: _Found, missing: tuple[Layer, ...], counted: frozenset[Layer]) -> Decision:
    if missing:
        return Decision(verdict=Verdict.IMPLICIT_DENY, layer=missing[0], missing=missing)
    return Decision(
        verdict=Verdict.ALLOWED,
        deciding=tuple(
            Deciding(layer, ref) for layer, said in found.layers() if layer in counted for ref in said.allows
        ),
    )
