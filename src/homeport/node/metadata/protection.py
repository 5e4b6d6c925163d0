"""`/api/<id>/task-protection/v1/state`: a task asks ECS not to be stopped by a scale-in.

Source: ECS developer guide, "Amazon ECS task scale-in protection endpoint";
the agent's GetTaskProtection and UpdateTaskProtection handlers.
"""

from __future__ import annotations

import json

import msgspec

from homeport.node.metadata.answer import NOT_FOUND, Answer, Question, answer_json
from homeport.node.metadata.source import (
    MetadataSource,
    Protection,
    ProtectionFailedError,
    ProtectionRefusedError,
    TaskView,
)
from homeport.node.metadata.view import wire_time


class _Update(msgspec.Struct, forbid_unknown_fields=True, rename="pascal"):
    protection_enabled: bool
    expires_in_minutes: int | None = None


async def protection_answer(question: Question, found: tuple[MetadataSource, TaskView] | None) -> Answer:
    """Forward the question to ECS with the task's role."""
    if question.method not in {"GET", "PUT"}:
        return NOT_FOUND
    if found is None:
        return _error(404, "ResourceNotFoundException", "Failed to find a task for the request")
    source, task = found
    if task.task.role_credentials is None:
        text = "Invalid Request: no task IAM role credentials available for task"
        return _error(403, "AccessDeniedException", text, arn=task.task.arn)
    try:
        if question.method == "GET":
            return _answer(await source.protection(task))
        update = msgspec.json.decode(question.body, type=_Update)
        protected = await source.protect(
            task, enabled=update.protection_enabled, minutes=update.expires_in_minutes
        )
        return _answer(protected)
    except msgspec.DecodeError as error:
        return _error(400, "InvalidParameterException", f"UpdateTaskProtection: {error}", arn=task.task.arn)
    except ProtectionRefusedError as refused:
        failure = {"Arn": refused.arn, "Reason": refused.reason}
        return answer_json({"failure": {**failure, **({"Detail": refused.detail} if refused.detail else {})}})
    except ProtectionFailedError as failed:
        return _error(
            failed.status, failed.code, failed.message, arn=task.task.arn, request_id=failed.request_id
        )


def _answer(protection: Protection) -> Answer:
    body: dict[str, object] = {}
    if protection.enabled and protection.expires_at is not None:
        body["ExpirationDate"] = wire_time(protection.expires_at)
    body |= {"ProtectionEnabled": protection.enabled, "TaskArn": protection.task_arn}
    return answer_json({"protection": body})


def _error(status: int, code: str, message: str, *, arn: str = "", request_id: str = "") -> Answer:
    error = {**({"Arn": arn} if arn else {}), "Code": code, "Message": message}
    body = {"error": error, **({"requestID": request_id} if request_id else {})}
    return Answer(status=status, body=json.dumps(body, separators=(",", ":")).encode())
