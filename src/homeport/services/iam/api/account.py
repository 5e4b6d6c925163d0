"""What an account has but once: its alias, its password policy, and its figures."""

from __future__ import annotations

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.iam.api.context import Answer, Iam, Request, behind, ops, page_of
from homeport.services.iam.errors import EntityAlreadyExistsException, NoSuchEntityException
from homeport.services.iam.model import Account, Kind, Policy
from homeport.services.iam.plan import passwords
from homeport.services.iam.plan.quotas import (
    ATTACHED,
    GROUPS_PER_USER,
    INLINE_CHARS,
    KEYS_PER_USER,
    MANAGED_CHARS,
    PER_ACCOUNT,
    TRUST_CHARS,
    VERSIONS,
)
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import KeyRepo
from homeport.store.tx import Tx

VERSIONS_PER_ACCOUNT = 10_000
"""Source: IAM API Reference, GetAccountSummary, the example's PolicyVersionsInUseQuota."""


def account_of(tx: Tx, call: Call, iam: Iam) -> Account:
    """The account's row, made when it is first needed."""
    found = EntityRepo(tx).account(call.account_id)
    if found is not None:
        return found
    return EntityRepo(tx).add(
        Account(account_id=call.account_id, name=call.account_id, created_at=iam.clock.now())
    )


@ops.operation("CreateAccountAlias")
async def create_account_alias(call: Call, iam: Iam, req: Request) -> Answer:
    """Give the account its alias, in place of another. Source: IAM user guide, "AWS account aliases"."""
    alias = req["AccountAlias"]

    def work(tx: Tx) -> None:
        account, repo = account_of(tx, call, iam), EntityRepo(tx)
        if account.alias == alias:
            return
        if repo.alias_is_taken(alias):
            raise EntityAlreadyExistsException(f"The account alias {alias} already exists.")
        repo.save(replace(account, alias=alias))

    await iam.store.write(work)
    return {}


@ops.operation("DeleteAccountAlias")
async def delete_account_alias(call: Call, iam: Iam, req: Request) -> Answer:
    """Take the alias away."""

    def work(tx: Tx) -> None:
        account = account_of(tx, call, iam)
        if account.alias != req["AccountAlias"]:
            raise NoSuchEntityException(f"The account alias {req['AccountAlias']} cannot be found.")
        EntityRepo(tx).save(replace(account, alias=""))

    await iam.store.write(work)
    return {}


@ops.operation("ListAccountAliases")
async def list_account_aliases(call: Call, iam: Iam, req: Request) -> Answer:
    """The alias, if there is one."""
    account = await iam.store.read(lambda tx: EntityRepo(tx).account(call.account_id))
    aliases = [account.alias] if account is not None and account.alias else []
    return page_of("AccountAliases", behind(aliases, req, key=str), req, key=str, view=str)


@ops.operation("UpdateAccountPasswordPolicy")
async def update_account_password_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """Say the whole password policy; nobody here has a password yet."""
    policy = passwords.asked(req)
    await iam.store.write(
        lambda tx: EntityRepo(tx).save(replace(account_of(tx, call, iam), passwords=policy))
    )
    return {}


@ops.operation("GetAccountPasswordPolicy")
async def get_account_password_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """The password policy that was set."""
    del req
    account = await iam.store.read(lambda tx: EntityRepo(tx).account(call.account_id))
    if account is None or account.passwords is None:
        raise _no_policy(call)
    return {"PasswordPolicy": passwords.shown(account.passwords)}


@ops.operation("DeleteAccountPasswordPolicy")
async def delete_account_password_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """Go back to having none."""
    del req

    def work(tx: Tx) -> None:
        account = EntityRepo(tx).account(call.account_id)
        if account is None or account.passwords is None:
            raise _no_policy(call)
        EntityRepo(tx).save(replace(account, passwords=None))

    await iam.store.write(work)
    return {}


def _no_policy(call: Call) -> NoSuchEntityException:
    return NoSuchEntityException(f"The Password Policy with domain name {call.account_id} cannot be found.")


@ops.operation("GetAccountSummary")
async def get_account_summary(call: Call, iam: Iam, req: Request) -> Answer:
    """How many there are of everything, and how many there may be."""
    del req

    def work(tx: Tx) -> dict[str, int]:
        repo = EntityRepo(tx)
        counts = repo.counts(call.account_id)
        policies = repo.page(Policy, call.account_id)
        return {
            "Users": counts.get(Kind.USER, 0),
            "Groups": counts.get(Kind.GROUP, 0),
            "Roles": counts.get(Kind.ROLE, 0),
            "Policies": len(policies),
            "PolicyVersionsInUse": sum(len(policy.versions) for policy in policies),
            "InstanceProfiles": counts.get(Kind.INSTANCE_PROFILE, 0),
            "Providers": counts.get(Kind.OIDC_PROVIDER, 0),
            "AccountAccessKeysPresent": int(bool(KeyRepo(tx).of(call.account_id, ""))),
        }

    return {"SummaryMap": {**_QUOTAS, **await iam.store.read(work, bulk=True)}}


_QUOTAS = {
    "UsersQuota": PER_ACCOUNT[Kind.USER][1],
    "GroupsQuota": PER_ACCOUNT[Kind.GROUP][1],
    "RolesQuota": PER_ACCOUNT[Kind.ROLE][1],
    "PoliciesQuota": PER_ACCOUNT[Kind.POLICY][1],
    "InstanceProfilesQuota": PER_ACCOUNT[Kind.INSTANCE_PROFILE][1],
    "GroupsPerUserQuota": GROUPS_PER_USER,
    "AccessKeysPerUserQuota": KEYS_PER_USER,
    "AttachedPoliciesPerUserQuota": ATTACHED[Kind.USER],
    "AttachedPoliciesPerGroupQuota": ATTACHED[Kind.GROUP],
    "AttachedPoliciesPerRoleQuota": ATTACHED[Kind.ROLE],
    "UserPolicySizeQuota": INLINE_CHARS[Kind.USER],
    "GroupPolicySizeQuota": INLINE_CHARS[Kind.GROUP],
    "RolePolicySizeQuota": INLINE_CHARS[Kind.ROLE],
    "AssumeRolePolicySizeQuota": TRUST_CHARS,
    "PolicySizeQuota": MANAGED_CHARS,
    "VersionsPerPolicyQuota": VERSIONS,
    "PolicyVersionsInUseQuota": VERSIONS_PER_ACCOUNT,
    "GlobalEndpointTokenVersion": 1,
    # What an account cannot have here, it has none of.
    "ServerCertificates": 0,
    "ServerCertificatesQuota": 20,
    "SigningCertificatesPerUserQuota": 2,
    "AccountSigningCertificatesPresent": 0,
    "AccountPasswordPresent": 0,
    "AccountMFAEnabled": 0,
    "MFADevices": 0,
    "MFADevicesInUse": 0,
}
