"""Access keys of users: at most two, so that one can replace the other."""

from __future__ import annotations

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.core.ids import access_key_id, secret_key
from homeport.services.iam.api.access import USER, guarded, key_resource
from homeport.services.iam.api.context import (
    Answer,
    Iam,
    Request,
    behind,
    find,
    own_user_name,
    page_of,
)
from homeport.services.iam.errors import (
    AccessDenied,
    InvalidInputException,
    LimitExceededException,
    NoSuchEntityException,
)
from homeport.services.iam.model import AccessKey, LastUse, User
from homeport.services.iam.plan.quotas import KEYS_PER_USER
from homeport.services.iam.repo.keys import KeyRepo, LastUseRepo, sealed
from homeport.services.iam.view import key_view
from homeport.store.tx import Tx


def _owner(tx: Tx, call: Call, req: Request) -> str:
    """The user's name as it is spelled; empty for the root, about whom only a root can ask."""
    name = req.get("UserName") or own_user_name(tx, call)
    return find(tx, call, User, name).name if name else ""


@guarded("CreateAccessKey", USER)
async def create_access_key(call: Call, iam: Iam, req: Request) -> Answer:
    """A key for a user; its secret is shown this once."""
    key = AccessKey(
        access_key_id=access_key_id(iam.ids, "AKIA"),
        secret_access_key=secret_key(iam.ids),
        account_id=call.account_id,
        created_at=iam.clock.now(),
    )

    def work(tx: Tx) -> AccessKey:
        name, keys = _owner(tx, call, req), KeyRepo(tx)
        if not name:
            raise InvalidInputException(
                "UserName must be given: more keys of the root are not supported by Homeport."
            )
        if len(keys.of(call.account_id, name)) >= KEYS_PER_USER:
            raise LimitExceededException(f"Cannot exceed quota for AccessKeysPerUser: {KEYS_PER_USER}")
        owned = replace(key, user_name=name)
        keys.add(sealed(owned, iam.vault))
        return owned

    made = await iam.store.write(work)
    return {"AccessKey": {**key_view(made), "SecretAccessKey": made.secret_access_key}}


@guarded("ListAccessKeys", USER)
async def list_access_keys(call: Call, iam: Iam, req: Request) -> Answer:
    """The keys of a user, without their secrets."""
    keys = await iam.store.read(lambda tx: KeyRepo(tx).of(call.account_id, _owner(tx, call, req)))
    rows = behind(keys, req, key=lambda key: key.access_key_id)
    return page_of("AccessKeyMetadata", rows, req, key=lambda key: key.access_key_id, view=key_view)


def _users_key(tx: Tx, call: Call, req: Request) -> AccessKey:
    """The key that is asked for, which must be that user's."""
    key, owner = KeyRepo(tx).find(req["AccessKeyId"]), _owner(tx, call, req)
    if key is None or key.account_id != call.account_id or key.user_name != owner:
        raise NoSuchEntityException(f"The Access Key with id {req['AccessKeyId']} cannot be found.")
    if not key.user_name:
        raise InvalidInputException("The root's access key can be neither deleted nor switched off here.")
    return key


@guarded("UpdateAccessKey", USER)
async def update_access_key(call: Call, iam: Iam, req: Request) -> Answer:
    """Switch a key off, or on again."""
    if req["Status"] not in ("Active", "Inactive"):
        raise InvalidInputException("Status must be Active or Inactive.")
    await iam.store.write(
        lambda tx: KeyRepo(tx).save(replace(_users_key(tx, call, req), status=req["Status"]))
    )
    return {}


@guarded("DeleteAccessKey", USER)
async def delete_access_key(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a user's key."""
    await iam.store.write(lambda tx: KeyRepo(tx).delete(_users_key(tx, call, req).access_key_id))
    return {}


@key_resource("GetAccessKeyLastUsed")
async def get_access_key_last_used(call: Call, iam: Iam, req: Request) -> Answer:
    """Whose key it is, and when, where and for what it was last used."""
    key_id = req["AccessKeyId"]

    def work(tx: Tx) -> tuple[AccessKey, LastUse | None]:
        key = KeyRepo(tx).find(key_id)
        if key is None or key.account_id != call.account_id:
            raise AccessDenied(
                f"User: {call.principal.arn} is not authorized to perform iam:GetAccessKeyLastUsed "
                f"on resource: access key {key_id}"
            )
        return key, LastUseRepo(tx).find(key_id).get(key_id)

    key, used = await iam.store.read(work)
    last: Answer = {"Region": "N/A", "ServiceName": "N/A"}
    if used is not None:
        last = {"LastUsedDate": used.at, "Region": used.region, "ServiceName": used.service}
    return {"UserName": key.user_name or "root", "AccessKeyLastUsed": last}
