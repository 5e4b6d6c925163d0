"""Daemon task definitions: families and revisions of their own, beside those of tasks and services."""

from __future__ import annotations

import msgspec

from homeport.core.arn import is_arn
from homeport.core.call import Call
from homeport.services.ecs.api.access import registering_daemon
from homeport.services.ecs.api.context import Answer, Ecs, Request, home, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import DAEMON_TASK_DEFINITION, TaskDefinition
from homeport.services.ecs.plan.daemon_request import daemon_definition
from homeport.services.ecs.plan.identifiers import task_definition_name
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.plan.task_definition import Settings
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.view.daemons import daemon_definition_brief, daemon_definition_view
from homeport.store.tx import Tx

UNKNOWN = "The specified daemon task definition does not exist."


def _resource(call: Call, request: Request) -> tuple[str, ...]:
    reference = request.get("daemonTaskDefinition") or request.get("family") or "*"
    if is_arn(reference):
        return (reference,)
    tail = reference if ":" in reference else f"{reference}:*"
    return (f"arn:aws:ecs:{call.region}:{call.account_id}:{DAEMON_TASK_DEFINITION}/{tail}",)


def find_daemon_definition(tx: Tx, call: Call, reference: str) -> TaskDefinition | None:
    """That revision, or the family's latest ACTIVE one."""
    name = task_definition_name(home(call), reference, DAEMON_TASK_DEFINITION)
    if not name.here:
        return None
    repo = TaskDefinitionRepo(tx, DAEMON_TASK_DEFINITION)
    if name.revision is None:
        return repo.latest_active(call.account_id, call.region, name.family)
    return repo.exact(call.account_id, call.region, name.family, name.revision)


@ops.operation(
    "RegisterDaemonTaskDefinition",
    resources=_resource,
    needs=registering_daemon,
    invalid_input="ClientException",
)
async def register_daemon_task_definition(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Register the next revision of a family."""
    tags = checked(req.get("tags"))
    settings = Settings(region=call.region, account_id=call.account_id)
    body, family = daemon_definition(req, settings), req["family"]

    def work(tx: Tx) -> TaskDefinition:
        repo = TaskDefinitionRepo(tx, DAEMON_TASK_DEFINITION)
        return repo.add(
            TaskDefinition(
                account_id=call.account_id,
                region=call.region,
                family=family,
                revision=repo.next_revision(call.account_id, call.region, family),
                registered_at=ecs.clock.now(),
                registered_by=call.principal.arn,
                kind=DAEMON_TASK_DEFINITION,
                body=body,
                tags=tags,
            )
        )

    return {"daemonTaskDefinitionArn": (await ecs.store.write(work)).arn}


@ops.operation("DescribeDaemonTaskDefinition", resources=_resource)
async def describe_daemon_task_definition(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A revision, or the family's latest ACTIVE one."""
    reference = req["daemonTaskDefinition"]
    definition = await ecs.store.read(lambda tx: find_daemon_definition(tx, call, reference))
    if definition is None:
        raise ClientException(UNKNOWN)
    return {"daemonTaskDefinition": daemon_definition_view(definition)}


@ops.operation("DeleteDaemonTaskDefinition", resources=_resource)
async def delete_daemon_task_definition(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Delete an ACTIVE revision: no daemon can be made of it any more, and those of it run on.

    It is DELETE_IN_PROGRESS as long as a daemon uses it, then DELETED.
    """
    reference = req["daemonTaskDefinition"]

    def work(tx: Tx) -> TaskDefinition:
        if task_definition_name(home(call), reference, DAEMON_TASK_DEFINITION).revision is None:
            raise ClientException("Revision is missing.")
        definition = find_daemon_definition(tx, call, reference)
        if definition is None:
            raise ClientException(UNKNOWN)
        if definition.status != "ACTIVE":
            raise ClientException(
                f"The specified daemon task definition is {definition.status}: only an ACTIVE one can be "
                "deleted."
            )
        used = DaemonRepo(tx).uses(definition)
        return TaskDefinitionRepo(tx, DAEMON_TASK_DEFINITION).save(
            msgspec.structs.replace(
                definition,
                status="DELETE_IN_PROGRESS" if used else "DELETED",
                delete_requested_at=ecs.clock.now(),
            )
        )

    return {"daemonTaskDefinitionArn": (await ecs.store.write(work)).arn}


@ops.operation("ListDaemonTaskDefinitions")
async def list_daemon_task_definitions(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Revisions by family and number; ACTIVE ones unless `status` says otherwise."""
    if req.get("family") and req.get("familyPrefix"):
        raise InvalidParameterException("Specify family or familyPrefix, not both.")
    page, status = page_of(call, ecs, req), req.get("status") or "ACTIVE"
    position = page.after(None)

    def work(tx: Tx) -> tuple[TaskDefinition, ...]:
        return TaskDefinitionRepo(tx, DAEMON_TASK_DEFINITION).listed(
            call.account_id,
            call.region,
            family=req.get("family"),
            prefix=req.get("familyPrefix") or "",
            status=None if status == "ALL" else status,
            last_only=req.get("revision") == "LAST_REGISTERED",
            descending=req.get("sort") == "DESC",
            after=None if position is None else (position[0], position[1]),
            limit=page.limit + 1,
        )

    found = await ecs.store.read(work)
    rows = [([one.family, one.revision], daemon_definition_brief(one)) for one in found]
    return page.answer("daemonTaskDefinitions", rows)
