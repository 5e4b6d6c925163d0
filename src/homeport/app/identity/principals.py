"""IAM as STS and the gateway read it: roles to assume, and what a principal's policies come to."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.core.call import Principal, PrincipalKind, SessionFacts
from homeport.gateway.ports import CallerPolicies
from homeport.policy.compiled import AttachedPolicy, Compiler, PolicySet
from homeport.policy.decision import Policies
from homeport.services.iam.manifest import (
    AppliedPolicy,
    EntityRepo,
    KeyRepo,
    OidcProvider,
    PrincipalPolicies,
    Role,
    managed_policy,
    policies_of_id,
    policies_of_role,
)
from homeport.services.sts.manifest import RoleFacts, Session
from homeport.store.tx import Tx


class IamRoles:
    """STS's `Roles` over IAM's repositories."""

    def find(self, tx: Tx, account_id: str, name: str) -> RoleFacts | None:
        """The role of that name."""
        role = EntityRepo(tx).find(Role, account_id, name)
        if role is None:
            return None
        return RoleFacts(
            arn=role.arn,
            role_id=role.unique_id,
            name=role.name,
            trust=role.trust,
            session_seconds_max=role.session_seconds_max,
            tags=role.tags,
        )

    def client_ids(self, tx: Tx, account_id: str, issuer: str) -> tuple[str, ...] | None:
        """The audiences of an account's OpenID Connect provider."""
        provider = EntityRepo(tx).find(OidcProvider, account_id, issuer)
        return None if provider is None else provider.client_ids

    def account_of_key(self, tx: Tx, access_key_id: str) -> str | None:
        """The account of a long-term access key."""
        key = KeyRepo(tx).find(access_key_id)
        return None if key is None else key.account_id

    def has_policy(self, tx: Tx, account_id: str, arn: str) -> bool:
        """Whether there is a managed policy that the account may use."""
        return managed_policy(tx, account_id, arn) is not None


class PolicyBook:
    """Compiles what IAM says of a principal; a document is compiled once, whoever has it."""

    def __init__(self) -> None:
        self._compiler = Compiler()

    def of(self, found: PrincipalPolicies, session: PolicySet | None = None) -> CallerPolicies:
        """A user's or role's policies, and its session's."""
        identity = self._set(found.identity)
        boundary = None if found.boundary is None else self._set((found.boundary,))
        sets = [one for one in (identity, boundary, session) if one is not None]
        return CallerPolicies(
            policies=Policies(identity=identity, boundary=boundary, session=session),
            reads_resource_tags=any(
                one.compiled.reads_resource_tags for group in sets for one in group.policies
            ),
        )

    def session(self, tx: Tx, session: Session) -> PolicySet | None:
        """What limits a session; `None`: nothing does."""
        named = [(arn, managed_policy(tx, session.account_id, arn)) for arn in session.policy_arns]
        texts = [("session policy", text) for text in session.policies]
        texts += [(arn, policy.default.document) for arn, policy in named if policy is not None]
        if not session.policies and not session.policy_arns and not session.federated:
            return None
        return PolicySet(AttachedPolicy(name, self._compiler.compile(text)) for name, text in texts)

    def _set(self, applied: Iterable[AppliedPolicy]) -> PolicySet:
        return PolicySet(
            AttachedPolicy(one.arn or one.name, self._compiler.compile(one.document)) for one in applied
        )


def root(account_id: str, session: Session | None = None) -> Principal:
    """An account's root, by its own key or by a session's."""
    return Principal(
        arn=f"arn:aws:iam::{account_id}:root",
        account_id=account_id,
        user_id=account_id,
        kind=PrincipalKind.ROOT,
        session=None if session is None else SessionFacts(issued_at=session.issued_at),
    )


def user(found: PrincipalPolicies, session: Session | None = None) -> Principal:
    """A user, by its own key or by a session of its own."""
    who = found.principal
    return Principal(
        arn=who.arn,
        account_id=who.account_id,
        user_id=who.unique_id,
        kind=PrincipalKind.USER,
        tags=who.tags,
        session=None if session is None else SessionFacts(issued_at=session.issued_at),
    )


def of_session(tx: Tx, session: Session, book: PolicyBook) -> tuple[Principal, CallerPolicies] | None:
    """Whose session it is, and what it may; `None`: who it was for is not there any more."""
    if session.role:
        found = policies_of_role(tx, session.account_id, session.role)
        if found is None or found.principal.unique_id != session.user_id.partition(":")[0]:
            return None
        return _other(session, PrincipalKind.ROLE, found), book.of(found, book.session(tx, session))
    issuer = session.issuer_id if session.federated else session.user_id
    if issuer == session.account_id:
        return (root(session.account_id, session), CallerPolicies()) if not session.federated else None
    found = policies_of_id(tx, issuer)
    if found is None:
        return None
    if session.federated:
        return _other(session, PrincipalKind.FEDERATED, found), book.of(found, book.session(tx, session))
    return user(found, session), book.of(found)


def _other(session: Session, kind: PrincipalKind, found: PrincipalPolicies) -> Principal:
    """Somebody whose credentials are only ever temporary."""
    return Principal(
        arn=session.principal_arn,
        account_id=session.account_id,
        user_id=session.user_id,
        kind=kind,
        tags=found.principal.tags,
        session=SessionFacts(
            issued_at=session.issued_at,
            issuer_arn=found.principal.arn,
            name=session.name,
            tags=session.tags,
            transitive=session.transitive,
            source_identity=session.source_identity,
            provider=session.provider,
        ),
    )
