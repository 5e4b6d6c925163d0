"""How many and how long. Source: IAM user guide, "IAM and AWS STS quotas", the default values."""

from __future__ import annotations

from homeport.services.iam.model import Kind

PER_ACCOUNT = {
    Kind.USER: ("UsersPerAccount", 5000),
    Kind.GROUP: ("GroupsPerAccount", 300),
    Kind.ROLE: ("RolesPerAccount", 1000),
    Kind.POLICY: ("PoliciesPerAccount", 1500),
    Kind.INSTANCE_PROFILE: ("InstanceProfilesPerAccount", 1000),
    Kind.OIDC_PROVIDER: ("OpenIdConnectProvidersPerAccount", 100),
}
ATTACHED = {Kind.USER: 10, Kind.GROUP: 10, Kind.ROLE: 10}
INLINE_CHARS = {Kind.USER: 2048, Kind.GROUP: 5120, Kind.ROLE: 10_240}
"""All inline policies of one holder together, white space not counted."""
MANAGED_CHARS = 6144
TRUST_CHARS = 2048
VERSIONS = 5
GROUPS_PER_USER = 10
KEYS_PER_USER = 2
TAGS = 50
CLIENT_IDS = 100
THUMBPRINTS = 5


def chars(document: str) -> int:
    """The size of a policy: white space does not count."""
    return sum(map(len, document.split()))
