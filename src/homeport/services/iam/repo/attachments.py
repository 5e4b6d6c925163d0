"""Which managed policies hang on whom, read from both sides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, func, select

from homeport.services.iam.model import Attachment, Holder, Usage
from homeport.services.iam.repo.entities import touch_policies
from homeport.services.iam.repo.tables import attachments
from homeport.store.tx import Tx

_ROW = (
    attachments.c.holder_id,
    attachments.c.usage,
    attachments.c.policy_arn,
    attachments.c.policy_id,
)


class AttachmentRepo:
    """Attachments as permissions and as boundaries."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def attach(self, holder: Holder, usage: Usage, policy_arn: str, policy_id: int | None) -> None:
        """Insert; it was looked whether it is there. `policy_id` is `None` for one of AWS's own."""
        self._tx.execute(
            attachments.insert().values(
                holder_id=holder.id,
                usage=usage,
                policy_arn=policy_arn,
                account_id=holder.account_id,
                policy_id=policy_id,
            )
        )
        self._touch(holder)

    def detach(self, holder: Holder, usage: Usage, policy_arn: str | None = None) -> bool:
        """Remove one, or all of a usage; whether there was one."""
        statement = delete(attachments).where(
            attachments.c.holder_id == holder.id, attachments.c.usage == usage
        )
        if policy_arn is not None:
            statement = statement.where(attachments.c.policy_arn == policy_arn)
        gone = self._tx.execute(statement)
        self._touch(holder)
        return gone.rowcount > 0

    def of(self, *holder_ids: int) -> tuple[Attachment, ...]:
        """What hangs on these, by ARN."""
        rows = self._tx.execute(
            select(*_ROW).where(attachments.c.holder_id.in_(holder_ids)).order_by(attachments.c.policy_arn)
        )
        return tuple(_attachment(row) for row in rows)

    def arns(self, holder_id: int, usage: Usage = Usage.PERMISSIONS) -> tuple[str, ...]:
        """The ARNs that hang on one holder."""
        return tuple(one.policy_arn for one in self.of(holder_id) if one.usage == usage)

    def boundary(self, holder_id: int) -> str | None:
        """The ARN of a user's or role's permissions boundary."""
        return next(iter(self.arns(holder_id, Usage.BOUNDARY)), None)

    def of_policy(self, account_id: str, policy_arn: str) -> tuple[Attachment, ...]:
        """Whom a policy hangs on."""
        rows = self._tx.execute(
            select(*_ROW).where(
                attachments.c.account_id == account_id, attachments.c.policy_arn == policy_arn
            )
        )
        return tuple(_attachment(row) for row in rows)

    def of_account(self, account_id: str) -> tuple[Attachment, ...]:
        """All of an account."""
        rows = self._tx.execute(
            select(*_ROW).where(attachments.c.account_id == account_id).order_by(attachments.c.policy_arn)
        )
        return tuple(_attachment(row) for row in rows)

    def counts(self, account_id: str, policy_arns: Iterable[str] | None = None) -> dict[tuple[str, str], int]:
        """How many holders there are, by ARN and usage; `None`: of every policy that has one."""
        query = (
            select(attachments.c.policy_arn, attachments.c.usage, func.count())
            .where(attachments.c.account_id == account_id)
            .group_by(attachments.c.policy_arn, attachments.c.usage)
        )
        if policy_arns is not None:
            query = query.where(attachments.c.policy_arn.in_(tuple(policy_arns)))
        return {(row[0], row[1]): int(row[2]) for row in self._tx.execute(query)}

    def _touch(self, holder: Holder) -> None:
        self._tx.touch(f"iam.{holder.kind}", f"{holder.account_id}/{holder.name}")
        touch_policies(self._tx, holder.account_id)


def _attachment(row: Any) -> Attachment:
    holder_id, usage, policy_arn, policy_id = row
    return Attachment(holder_id=holder_id, usage=Usage(usage), policy_arn=policy_arn, policy_id=policy_id)
