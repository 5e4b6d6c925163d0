"""Account settings."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ecs.api.context import Answer, Ecs, Request, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.plan.account_settings import SETTINGS, check_value, known
from homeport.services.ecs.repo.settings import SettingRepo
from homeport.store.tx import Tx


def _root(call: Call) -> str:
    return f"arn:aws:iam::{call.account_id}:root"


def _principal(call: Call, req: Request) -> str:
    """Whom a setting is for: the one named, or the caller (a session's role or user)."""
    return req.get("principalArn") or call.principal.arn


def effective_settings(tx: Tx, call: Call, principal: str | None = None) -> dict[str, str]:
    """What is in force for a principal (the caller): its own, the account's, or AWS's default."""
    who = principal or call.principal.arn
    explicit = SettingRepo(tx, call.account_id, call.region).explicit((who, _root(call)))
    return {
        name: explicit.get((who, name)) or explicit.get((_root(call), name)) or setting.default
        for name, setting in SETTINGS.items()
    }


def _setting(name: str, value: str, principal: str) -> Answer:
    kind = "aws_managed" if name == "guardDutyActivate" else "user"
    return {"name": name, "value": value, "principalArn": principal, "type": kind}


async def _put(call: Call, ecs: Ecs, req: Request, principal: str) -> Answer:
    name, value = req["name"], req["value"]
    check_value(name, value)

    def work(tx: Tx) -> None:
        SettingRepo(tx, call.account_id, call.region).put(principal, name, value)

    await ecs.store.write(work)
    return {"setting": _setting(name, value, principal)}


@ops.operation("PutAccountSetting")
async def put_account_setting(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Set for a principal, or for the caller."""
    return await _put(call, ecs, req, _principal(call, req))


@ops.operation("PutAccountSettingDefault")
async def put_account_setting_default(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Set for everyone in the account who has no setting of their own."""
    return await _put(call, ecs, req, _root(call))


@ops.operation("DeleteAccountSetting")
async def delete_account_setting(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Back to the account's default."""
    name, principal = req["name"], _principal(call, req)
    known(name)

    def work(tx: Tx) -> Answer:
        SettingRepo(tx, call.account_id, call.region).delete(principal, name)
        return _setting(name, effective_settings(tx, call, principal)[name], principal)

    return {"setting": await ecs.store.write(work)}


@ops.operation("ListAccountSettings")
async def list_account_settings(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Explicit settings of a principal, or with `effectiveSettings` what is in force."""
    name, value, principal = req.get("name"), req.get("value"), _principal(call, req)
    if name is not None:
        known(name)
    if value is not None and name is None:
        raise InvalidParameterException("A value filter needs a setting name.")
    page = page_of(call, ecs, req, default=10, maximum=10)

    def work(tx: Tx) -> list[tuple[str, str]]:
        if req.get("effectiveSettings"):
            return sorted(effective_settings(tx, call, principal).items())
        explicit = SettingRepo(tx, call.account_id, call.region).explicit((principal,))
        return sorted((setting, shown) for (_, setting), shown in explicit.items())

    rows = [
        (setting, _setting(setting, shown, principal))
        for setting, shown in await ecs.store.read(work)
        if name in (None, setting) and value in (None, shown) and setting > page.after("")
    ]
    return page.answer("settings", rows[: page.limit + 1])
