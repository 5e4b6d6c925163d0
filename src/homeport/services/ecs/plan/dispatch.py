"""What an agent is told about a task. Pure."""

from __future__ import annotations

from homeport.agentproto import messages
from homeport.services.ecs.model import ContainerInstance, Task, TaskDefinition
from homeport.services.ecs.plan.networks import WAIT_FOR_ATTACHMENT_MS, interface_payload
from homeport.services.ecs.plan.payload import TaskIdentity, render_stop, render_task
from homeport.services.ecs.ports import RoleSession


def task_payload(
    task: Task,
    definition: TaskDefinition,
    instance: ContainerInstance,
    *,
    role: RoleSession | None = None,
    execution_role: RoleSession | None = None,
) -> messages.Task:
    """The payload's task: whole when it should run, its ARN when it should stop."""
    if task.desired_status == "STOPPED":
        return render_stop(task.arn)
    return render_task(
        td=dict(definition.body),
        overrides=dict(task.asked_overrides),
        role_credentials=role.credentials if role else None,
        execution_role_credentials=execution_role.credentials if execution_role else None,
        task=TaskIdentity(
            arn=task.arn,
            cluster_arn=f"arn:aws:ecs:{task.region}:{task.account_id}:cluster/{task.cluster_name}",
            revision=task.revision,
            group=task.group,
            service_name=task.service_name or "",
            availability_zone=task.availability_zone or instance.attribute("ecs.availability-zone") or "",
            container_arns={c.name: task.container_arn(c) for c in task.containers},
            launch_type=task.launch_type,
            account_id=task.account_id,
            region=task.region,
            log_mode=task.log_mode,
            interfaces=interface_payload(task),
            storage_gib=task.storage_gib,
            gpu_ids={c.name: c.gpu_ids for c in task.containers if c.gpu_ids},
        ),
    )


def interface_announced(
    task: Task, payload: messages.PayloadMessage, *, message_id: str
) -> messages.AttachTaskNetworkInterfacesMessage:
    """What an agent is told of a task's interface before it gets the task in that payload, as AWS does."""
    return messages.AttachTaskNetworkInterfacesMessage(
        message_id=message_id,
        cluster_arn=payload.cluster_arn,
        container_instance_arn=payload.container_instance_arn,
        task_arn=task.arn,
        task_cluster_arn=task.cluster_arn,
        generated_at=payload.generated_at,
        wait_timeout_ms=WAIT_FOR_ATTACHMENT_MS,
        elastic_network_interfaces=interface_payload(task),
    )
