"""What `app` reads of this service."""

from __future__ import annotations

from homeport.core.call import Principal, is_own_session
from homeport.services.iam.api import (  # noqa: F401  fill the table
    absent,
    access_keys,
    account,
    details,
    groups,
    holders,
    linked_roles,
    policies,
    policy_versions,
    profiles,
    providers,
    report,
    roles,
    simulation,
    tags,
    users,
)
from homeport.services.iam.api.access import Facts
from homeport.services.iam.api.context import Iam, ops
from homeport.services.iam.model import (
    AccessKey,
    AppliedPolicy,
    InstanceProfile,
    LastUse,
    OidcProvider,
    PrincipalPolicies,
    Role,
    Usage,
    User,
)
from homeport.services.iam.repo import tables  # noqa: F401  defines the tables
from homeport.services.iam.repo.applied import (
    managed_policy,
    policies_of_id,
    policies_of_role,
    policies_of_user,
)
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import KeyRepo, LastUseRepo, opened, sealed
from homeport.services.iam.repo.managed import ADMINISTRATOR_POLICY_ARN, AGENT_POLICY_ARN

name = "iam"
operations = ops
invalid_input = "ValidationError"
facts = Facts()


def takes(principal: Principal, operation: str) -> bool:
    """Who has only a session of its own may not touch IAM.

    Source: IAM User Guide, "Compare AWS STS credentials": GetSessionToken's without multi-factor
    authentication, and GetFederationToken's, cannot call IAM's operations.
    """
    del operation
    return not is_own_session(principal)


__all__ = [
    "ADMINISTRATOR_POLICY_ARN",
    "AGENT_POLICY_ARN",
    "AccessKey",
    "AppliedPolicy",
    "AttachmentRepo",
    "EntityRepo",
    "Iam",
    "InstanceProfile",
    "KeyRepo",
    "LastUse",
    "LastUseRepo",
    "OidcProvider",
    "PrincipalPolicies",
    "Role",
    "Usage",
    "User",
    "facts",
    "invalid_input",
    "managed_policy",
    "name",
    "opened",
    "operations",
    "policies_of_id",
    "policies_of_role",
    "policies_of_user",
    "sealed",
    "takes",
]
