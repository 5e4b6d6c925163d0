"""A resource's own policy, as its service hands it to the decision."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.policy.compiled import AttachedPolicy, Compiler, PolicySet
from homeport.policy.document import PolicyKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePolicy:
    """`is_trust`: a role's trust policy. `must_allow`: it has to allow within an account, too."""

    policies: PolicySet
    is_trust: bool = False
    must_allow: bool = False


def resource_policy(compiler: Compiler, name: str, text: str) -> ResourcePolicy:
    """Of a document that was checked when it was put there."""
    compiled = compiler.compile(text, PolicyKind.RESOURCE)
    return ResourcePolicy(policies=PolicySet((AttachedPolicy(name, compiled),)))


def trust_policy(compiler: Compiler, name: str, text: str) -> ResourcePolicy:
    """The same for a role's trust policy."""
    compiled = compiler.compile(text, PolicyKind.TRUST)
    return ResourcePolicy(policies=PolicySet((AttachedPolicy(name, compiled),)), is_trust=True)
