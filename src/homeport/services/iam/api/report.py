"""The credential report: who has which keys, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.iam.api.account import account_of
from homeport.services.iam.api.context import Answer, Iam, Request, ops
from homeport.services.iam.errors import (
    CredentialReportExpiredException,
    CredentialReportNotPresentException,
)
from homeport.services.iam.model import AccessKey, LastUse, User
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import KeyRepo, LastUseRepo
from homeport.store.tx import Tx

GOOD_FOR = timedelta(hours=4)
"""Source: IAM user guide, "Generate credential reports"."""
_KEY_COLUMNS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
COLUMNS = (
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    *(f"access_key_{number}_{column}" for number in (1, 2) for column in _KEY_COLUMNS),
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
)
_NEVER = "N/A"


@ops.operation("GenerateCredentialReport")
async def generate_credential_report(call: Call, iam: Iam, req: Request) -> Answer:
    """Make a report, unless there is one of the last four hours. It is there when this is answered."""
    del req

    def work(tx: Tx) -> None:
        now, account = iam.clock.now(), account_of(tx, call, iam)
        if account.reported_at is not None and now - account.reported_at < GOOD_FOR:
            return
        report = _report(tx, call, account.created_at)
        EntityRepo(tx).save(replace(account, report=report, reported_at=now))

    await iam.store.write(work, bulk=True)
    return {"State": "COMPLETE"}


@ops.operation("GetCredentialReport")
async def get_credential_report(call: Call, iam: Iam, req: Request) -> Answer:
    """The last report, for four hours."""
    del req
    account = await iam.store.read(lambda tx: EntityRepo(tx).account(call.account_id))
    if account is None or account.reported_at is None:
        raise CredentialReportNotPresentException(
            "Report is not generated. Please call GenerateCredentialReport."
        )
    if iam.clock.now() - account.reported_at >= GOOD_FOR:
        raise CredentialReportExpiredException("The report has expired. Please generate a new one.")
    return {
        "Content": account.report.encode(),
        "ReportFormat": "text/csv",
        "GeneratedTime": account.reported_at,
    }


def _report(tx: Tx, call: Call, since: datetime) -> str:
    users = EntityRepo(tx).page(User, call.account_id)
    keys: dict[str, list[AccessKey]] = {}
    for key in KeyRepo(tx).of_account(call.account_id):
        keys.setdefault(key.user_name, []).append(key)
    used = LastUseRepo(tx).find(*(key.access_key_id for owned in keys.values() for key in owned))
    root = keys.get("", [])
    rows = [
        _row(
            "<root_account>",
            f"arn:aws:iam::{call.account_id}:root",
            min((key.created_at for key in root), default=since),
            root,
            used,
        )
    ]
    rows += [_row(user.name, user.arn, user.created_at, keys.get(user.name, []), used) for user in users]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def _row(
    name: str, arn: str, since: datetime, keys: list[AccessKey], used: Mapping[str, LastUse]
) -> list[str]:
    """A line: nobody has a password, another factor or a certificate here."""
    cells = [name, arn, _time(since), "false", *[_NEVER] * 3, "false"]
    for key in (*keys, None, None)[:2]:
        cells += _key_cells(key, None if key is None else used.get(key.access_key_id))
    return [*cells, "false", _NEVER, "false", _NEVER]


def _key_cells(key: AccessKey | None, use: LastUse | None) -> list[str]:
    if key is None:
        return ["false", *[_NEVER] * 4]
    last = [_NEVER] * 3 if use is None else [_time(use.at), use.region, use.service]
    return [str(key.status == "Active").lower(), _time(key.created_at), *last]


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+00:00")
