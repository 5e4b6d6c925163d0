"""Service-linked roles: a service has its own names and policies for them, and only it changes them."""

from __future__ import annotations

from homeport.core.access import Keys
from homeport.core.call import Call
from homeport.core.ids import unique_id, uuid
from homeport.services.iam.api.access import ROLE, guarded
from homeport.services.iam.api.context import Answer, Iam, Request, find, ops
from homeport.services.iam.api.roles import SERVICES_PATH, remove
from homeport.services.iam.errors import InvalidInputException, NoSuchEntityException
from homeport.services.iam.model import Role, RoleDeletion, Usage
from homeport.services.iam.plan.linked_roles import linked_role, trust_of
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.view import created_role_view
from homeport.store.tx import Tx


def _service_roles(call: Call, request: Request) -> tuple[str, ...]:
    return (f"arn:aws:iam::{call.account_id}:role{SERVICES_PATH}{request.get('AWSServiceName') or '*'}/*",)


def _service_keys(call: Call, request: Request) -> Keys:
    del call
    return {"iam:AWSServiceName": str(request.get("AWSServiceName") or "")}


def _deleted_role(call: Call, request: Request) -> tuple[str, ...]:
    parts = str(request.get("DeletionTaskId") or "").split("/")
    name = "/".join(parts[1:4]) if len(parts) == 5 else "*"
    return (f"arn:aws:iam::{call.account_id}:role/{name}",)


@ops.operation("CreateServiceLinkedRole", resources=_service_roles, keys=_service_keys)
async def create_service_linked_role(call: Call, iam: Iam, req: Request) -> Answer:
    """Make the role that a service works with."""
    service = req["AWSServiceName"]
    name, known = linked_role(service, req.get("CustomSuffix", ""))

    def work(tx: Tx) -> Role:
        if EntityRepo(tx).find(Role, call.account_id, name) is not None:
            raise InvalidInputException(
                f"Service role name {name} has been taken in this account, please try a different suffix."
            )
        role = EntityRepo(tx).add(
            Role(
                account_id=call.account_id,
                name=name,
                path=f"{SERVICES_PATH}{service}/",
                unique_id=unique_id(iam.ids, "AROA"),
                created_at=iam.clock.now(),
                trust=trust_of(service),
                description=req.get("Description"),
                linked_service=service,
            )
        )
        AttachmentRepo(tx).attach(role, Usage.PERMISSIONS, known.policy_arn, None)
        return role

    return {"Role": created_role_view(await iam.store.write(work), None)}


@guarded("DeleteServiceLinkedRole", ROLE)
async def delete_service_linked_role(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a service's role. No service of Homeport needs its own, so this is done at once."""

    def work(tx: Tx) -> str:
        role = find(tx, call, Role, req["RoleName"])
        if not role.linked_service:
            raise InvalidInputException(f"{role.name} is not a service-linked role: use DeleteRole.")
        AttachmentRepo(tx).detach(role, Usage.PERMISSIONS)
        remove(tx, role)
        task = f"task{role.path}{role.name}/{uuid(iam.ids)}"
        EntityRepo(tx).add(RoleDeletion(account_id=call.account_id, name=task, created_at=iam.clock.now()))
        return task

    return {"DeletionTaskId": await iam.store.write(work)}


@ops.operation("GetServiceLinkedRoleDeletionStatus", resources=_deleted_role)
async def get_service_linked_role_deletion_status(call: Call, iam: Iam, req: Request) -> Answer:
    """How far a deletion is: it is done as soon as it is answered."""
    task = req["DeletionTaskId"]
    found = await iam.store.read(lambda tx: EntityRepo(tx).find(RoleDeletion, call.account_id, task))
    if found is None:
        raise NoSuchEntityException(f"The deletion task {task} cannot be found.")
    return {"Status": "SUCCEEDED"}
