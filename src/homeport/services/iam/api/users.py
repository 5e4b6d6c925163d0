"""Users, their managed policies and access keys: what a node's key needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids, access_key_id, secret_key
from homeport.core.operations import Operations
from homeport.policy.managed import MANAGED_ACTIONS
from homeport.services.iam.errors import (
    DeleteConflictException,
    EntityAlreadyExistsException,
    InvalidInputException,
    LimitExceededException,
    NoSuchEntityException,
    ValidationError,
)
from homeport.services.iam.model import AccessKey, User
from homeport.services.iam.repo.users import UserRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

ops = Operations("iam")
KEYS_MAX = 2
_NAME = re.compile(r"[\w+=,.@-]{1,64}")

Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Iam:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids


def _user_resource(call: Call, request: Request) -> tuple[str, ...]:
    return (f"arn:aws:iam::{call.account_id}:user/{request.get('UserName') or '*'}",)


def _refuse(request: Request, *members: str) -> None:
    for member in members:
        if request.get(member) not in (None, [], "", "/"):
            raise InvalidInputException(f"{member} is not supported by Homeport yet.")


def _page(member: str, rows: Sequence[tuple[str, Answer]], req: Request) -> Answer:
    """One page of (id, shown value); the marker is the id of the last one shown before."""
    start, limit = 0, req.get("MaxItems", 100)
    if marker := req.get("Marker"):
        ids = [row_id for row_id, _ in rows]
        if marker not in ids:
            raise ValidationError(f"Invalid Marker: {marker}")
        start = ids.index(marker) + 1
    shown = rows[start : start + limit]
    answer: Answer = {member: [value for _, value in shown], "IsTruncated": len(rows) > start + limit}
    if answer["IsTruncated"]:
        answer["Marker"] = shown[-1][0]
    return answer


def _find(tx: Tx, call: Call, name: str) -> User:
    user = UserRepo(tx).find(call.account_id, name)
    if user is None:
        raise NoSuchEntityException(f"The user with name {name} cannot be found.")
    return user


def _user_view(user: User) -> Answer:
    return {
        "Path": "/",
        "UserName": user.name,
        "UserId": user.user_id,
        "Arn": user.arn,
        "CreateDate": user.created_at,
    }


@ops.operation("CreateUser", resources=_user_resource)
async def create_user(call: Call, iam: Iam, req: Request) -> Answer:
    """Create a user, who may do nothing yet."""
    _refuse(req, "Path", "PermissionsBoundary", "Tags")
    name = req["UserName"]
    if not _NAME.fullmatch(name):
        raise InvalidInputException("UserName is made of 1 to 64 letters, digits and the characters +=,.@_-")

    def work(tx: Tx) -> User:
        repo = UserRepo(tx)
        if repo.find(call.account_id, name) is not None:
            raise EntityAlreadyExistsException(f"User with name {name} already exists.")
        return repo.add(
            User(
                account_id=call.account_id,
                name=name,
                user_id=access_key_id(iam.ids, "AIDA"),
                created_at=iam.clock.now(),
            )
        )

    return {"User": _user_view(await iam.store.write(work))}


@ops.operation("GetUser", resources=_user_resource)
async def get_user(call: Call, iam: Iam, req: Request) -> Answer:
    """A user by name."""
    if not req.get("UserName"):
        raise InvalidInputException(
            "UserName must be given: the caller's own user is not supported by Homeport yet."
        )
    return {"User": _user_view(await iam.store.read(lambda tx: _find(tx, call, req["UserName"])))}


@ops.operation("ListUsers")
async def list_users(call: Call, iam: Iam, req: Request) -> Answer:
    """All users by name."""
    _refuse(req, "PathPrefix")
    limit = req.get("MaxItems", 100)
    found = await iam.store.read(
        lambda tx: UserRepo(tx).page(call.account_id, after=req.get("Marker") or "", limit=limit + 1)
    )
    answer: Answer = {
        "Users": [_user_view(user) for user in found[:limit]],
        "IsTruncated": len(found) > limit,
    }
    if answer["IsTruncated"]:
        answer["Marker"] = found[limit - 1].name
    return answer


@ops.operation("DeleteUser", resources=_user_resource)
async def delete_user(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a user that has neither keys nor policies."""

    def work(tx: Tx) -> None:
        user, repo = _find(tx, call, req["UserName"]), UserRepo(tx)
        if repo.keys_of(call.account_id, user.name):
            raise DeleteConflictException("Cannot delete entity, must delete access keys first.")
        if user.policies:
            raise DeleteConflictException("Cannot delete entity, must detach all policies first.")
        repo.delete(user)

    await iam.store.write(work)
    return {}


@ops.operation("AttachUserPolicy", resources=_user_resource)
async def attach_user_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """Attach one of the managed policies that Homeport has."""
    arn = req["PolicyArn"]
    if arn not in MANAGED_ACTIONS:
        raise NoSuchEntityException(
            f"Policy {arn} does not exist or is not attachable. "
            f"Homeport has: {', '.join(sorted(MANAGED_ACTIONS))}."
        )

    def work(tx: Tx) -> None:
        user = _find(tx, call, req["UserName"])
        if arn not in user.policies:
            UserRepo(tx).save(msgspec.structs.replace(user, policies=(*user.policies, arn)))

    await iam.store.write(work)
    return {}


@ops.operation("DetachUserPolicy", resources=_user_resource)
async def detach_user_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """Take a managed policy away."""

    def work(tx: Tx) -> None:
        user = _find(tx, call, req["UserName"])
        if req["PolicyArn"] not in user.policies:
            raise NoSuchEntityException(f"Policy {req['PolicyArn']} was not found.")
        kept = tuple(arn for arn in user.policies if arn != req["PolicyArn"])
        UserRepo(tx).save(msgspec.structs.replace(user, policies=kept))

    await iam.store.write(work)
    return {}


@ops.operation("ListAttachedUserPolicies", resources=_user_resource)
async def list_attached_user_policies(call: Call, iam: Iam, req: Request) -> Answer:
    """The managed policies of a user."""
    _refuse(req, "PathPrefix")
    user = await iam.store.read(lambda tx: _find(tx, call, req["UserName"]))
    rows = [(arn, {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}) for arn in user.policies]
    return _page("AttachedPolicies", rows, req)


@ops.operation("CreateAccessKey", resources=_user_resource)
async def create_access_key(call: Call, iam: Iam, req: Request) -> Answer:
    """A key for a user; its secret is shown this once."""
    if not req.get("UserName"):
        raise InvalidInputException(
            "UserName must be given: more keys of the root are not supported by Homeport."
        )
    key = AccessKey(
        access_key_id=access_key_id(iam.ids, "AKIA"),
        secret_access_key=secret_key(iam.ids),
        account_id=call.account_id,
        user_name=req["UserName"],
        created_at=iam.clock.now(),
    )

    def work(tx: Tx) -> None:
        user, repo = _find(tx, call, key.user_name), UserRepo(tx)
        if len(repo.keys_of(call.account_id, user.name)) >= KEYS_MAX:
            raise LimitExceededException(f"Cannot exceed quota for AccessKeysPerUser: {KEYS_MAX}")
        repo.add_key(key)

    await iam.store.write(work)
    return {
        "AccessKey": {
            "UserName": key.user_name,
            "AccessKeyId": key.access_key_id,
            "Status": key.status,
            "SecretAccessKey": key.secret_access_key,
            "CreateDate": key.created_at,
        }
    }


@ops.operation("ListAccessKeys", resources=_user_resource)
async def list_access_keys(call: Call, iam: Iam, req: Request) -> Answer:
    """The keys of a user, without their secrets."""

    def work(tx: Tx) -> tuple[AccessKey, ...]:
        name = req.get("UserName") or ""
        if name:
            _find(tx, call, name)
        return UserRepo(tx).keys_of(call.account_id, name)

    rows = [
        (
            key.access_key_id,
            {
                "UserName": key.user_name or "root",
                "AccessKeyId": key.access_key_id,
                "Status": key.status,
                "CreateDate": key.created_at,
            },
        )
        for key in await iam.store.read(work)
    ]
    return _page("AccessKeyMetadata", rows, req)


@ops.operation("DeleteAccessKey", resources=_user_resource)
async def delete_access_key(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a user's key."""

    def work(tx: Tx) -> None:
        repo = UserRepo(tx)
        key = repo.key(req["AccessKeyId"])
        if key is None or key.account_id != call.account_id or key.user_name != (req.get("UserName") or ""):
            raise NoSuchEntityException(f"The Access Key with id {req['AccessKeyId']} cannot be found.")
        if not key.user_name:
            raise InvalidInputException("The root's access key cannot be deleted here.")
        repo.delete_key(key.access_key_id)

    await iam.store.write(work)
    return {}
