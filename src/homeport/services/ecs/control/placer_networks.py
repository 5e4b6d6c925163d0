"""Tasks come to be with their interfaces, in one transaction."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import msgspec

from homeport.services.ecs.control.placer_state import Plan
from homeport.services.ecs.model import Task
from homeport.services.ecs.plan.lifecycle import never_began
from homeport.services.ecs.plan.networks import is_awsvpc, no_interface, subnets_for, with_interface
from homeport.services.ecs.ports import Networks, NoInterfaceError
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx


def add_tasks(tx: Tx, plan: Plan, networks: Networks | None, now: datetime) -> tuple[Task, ...]:
    """A plan's tasks as rows. One whose subnets have no address left stops at once, and says so.

    Source: developer guide, "Amazon ECS stopped tasks error messages": it has been placed, and has stopped.
    """
    network = plan.waiting.request.network
    if network is None:
        assert not is_awsvpc(plan.waiting.request.definition), "its agent would be told of no interface"
        return TaskRepo(tx).add_all(plan.tasks)
    assert networks is not None, "no request has a network where there are none"
    instances = InstanceRepo(tx)
    seats = {task.instance_id for task in plan.tasks if task.instance_id is not None}
    hosts = {row: found for row in seats if (found := instances.get(row)) is not None}
    ready: list[Task] = []
    standing = Counter(plan.waiting.request.standing)
    failed: dict[str, str] = {}
    for task in plan.tasks:
        host = hosts.get(task.instance_id or 0)
        try:
            subnets = subnets_for(network, task, zones=plan.waiting.request.zones, standing=standing)
            instance_id = "" if host is None else host.ec2_instance_id
            interface = networks.attach(tx, task, network, subnets=subnets, instance_id=instance_id)
            ready.append(with_interface(task, interface, network))
            standing[ready[-1].availability_zone or ""] += 1
        except NoInterfaceError as error:
            failed[task.uid] = no_interface(network, error.code)
            ready.append(msgspec.structs.replace(task, last_status="PROVISIONING"))
    repo = TaskRepo(tx)
    added = repo.add_all(ready)
    return tuple(
        repo.save(never_began(task, failed[task.uid], now)) if task.uid in failed else task for task in added
    )
