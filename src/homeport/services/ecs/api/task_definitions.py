"""Task definitions."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.access import registering
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_task_definition, home, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.resources import definition_resource, definitions_resource
from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import TaskDefinition
from homeport.services.ecs.plan.identifiers import TaskDefinitionName, task_definition_name
from homeport.services.ecs.plan.query import compile_query
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.plan.task_definition import Settings, normalise
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.view import task_definition_view
from homeport.store.tx import Tx


@ops.operation(
    "RegisterTaskDefinition",
    resources=definition_resource,
    needs=registering,
    invalid_input="ClientException",
)
async def register_task_definition(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Register the next revision of a family."""
    tags = checked(req.get("tags"))

    body = normalise(
        {key: value for key, value in req.items() if key != "tags"},
        settings=Settings(region=call.region, account_id=call.account_id, check_expression=compile_query),
    )
    family = req["family"]

    def work(tx: Tx) -> TaskDefinition:
        repo = TaskDefinitionRepo(tx)
        return repo.add(
            TaskDefinition(
                account_id=call.account_id,
                region=call.region,
                family=family,
                revision=repo.next_revision(call.account_id, call.region, family),
                registered_at=ecs.clock.now(),
                registered_by=call.principal.arn,
                body=body,
                tags=tags,
            )
        )

    definition = await ecs.store.write(work)
    return {"taskDefinition": task_definition_view(definition), "tags": list(tags)}


@ops.operation("DescribeTaskDefinition")
async def describe_task_definition(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A revision, or the family's latest ACTIVE one."""
    name = task_definition_name(home(call), req["taskDefinition"])

    def work(tx: Tx) -> TaskDefinition | None:
        return find_task_definition(tx, call, name)

    definition = await ecs.store.read(work)
    if definition is None:
        raise ClientException("Unable to describe task definition.")
    answer: Answer = {"taskDefinition": task_definition_view(definition)}
    if "TAGS" in (req.get("include") or ()):
        answer["tags"] = list(definition.tags)
    return answer


def _revision_named(call: Call, reference: str) -> TaskDefinitionName:
    name = task_definition_name(home(call), reference)
    if name.revision is None:
        raise ClientException("Revision is missing.")
    return name


@ops.operation("DeregisterTaskDefinition")
async def deregister_task_definition(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Make a revision INACTIVE; what runs of it runs on."""
    name = _revision_named(call, req["taskDefinition"])

    def work(tx: Tx) -> TaskDefinition:
        definition = find_task_definition(tx, call, name)
        if definition is None:
            raise ClientException("The specified task definition does not exist.")
        if definition.status != "ACTIVE":
            return definition
        return TaskDefinitionRepo(tx).save(
            msgspec.structs.replace(definition, status="INACTIVE", deregistered_at=ecs.clock.now())
        )

    return {"taskDefinition": task_definition_view(await ecs.store.write(work))}


@ops.operation("DeleteTaskDefinitions", resources=definitions_resource)
async def delete_task_definitions(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Delete up to ten INACTIVE revisions; they go once nothing uses them."""
    references = req["taskDefinitions"]
    if not 1 <= len(references) <= 10:
        raise InvalidParameterException("taskDefinitions must name 1 to 10 task definitions.")
    names = [(reference, _revision_named(call, reference)) for reference in references]

    def work(tx: Tx) -> Answer:
        repo = TaskDefinitionRepo(tx)
        deleted: list[Answer] = []
        failures: list[Answer] = []
        for reference, name in names:
            definition = find_task_definition(tx, call, name)
            if definition is None:
                failures.append({"arn": reference, "reason": "The specified task definition does not exist."})
                continue
            if definition.status == "ACTIVE":
                reason = (
                    "The specified task definition is still in ACTIVE status. "
                    "Please deregister the target and try again."
                )
                failures.append({"arn": definition.arn, "reason": reason})
                continue
            if definition.status == "INACTIVE":
                definition = repo.save(
                    msgspec.structs.replace(
                        definition, status="DELETE_IN_PROGRESS", delete_requested_at=ecs.clock.now()
                    )
                )
            deleted.append(task_definition_view(definition))
        return {"taskDefinitions": deleted, "failures": failures}

    return await ecs.store.write(work)


@ops.operation("ListTaskDefinitions")
async def list_task_definitions(call: Call, ecs: Ecs, req: Request) -> Answer:
    """ARNs of revisions; here `familyPrefix` is an exact family name."""
    page = page_of(call, ecs, req)
    position = page.after(None)

    def work(tx: Tx) -> tuple[tuple[str, int], ...]:
        return TaskDefinitionRepo(tx).page(
            call.account_id,
            call.region,
            family=req.get("familyPrefix"),
            status=req.get("status") or "ACTIVE",
            descending=req.get("sort") == "DESC",
            after=None if position is None else (position[0], position[1]),
            limit=page.limit + 1,
        )

    head = f"arn:aws:ecs:{call.region}:{call.account_id}:task-definition"
    found = await ecs.store.read(work)
    return page.answer("taskDefinitionArns", [(list(row), f"{head}/{row[0]}:{row[1]}") for row in found])


@ops.operation("ListTaskDefinitionFamilies")
async def list_task_definition_families(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Families whose name starts with `familyPrefix`."""
    page = page_of(call, ecs, req)

    def work(tx: Tx) -> tuple[str, ...]:
        return TaskDefinitionRepo(tx).families(
            call.account_id,
            call.region,
            prefix=req.get("familyPrefix") or "",
            status=req.get("status") or "ALL",
            after=page.after(""),
            limit=page.limit + 1,
        )

    return page.answer("families", [(family, family) for family in await ecs.store.read(work)])
