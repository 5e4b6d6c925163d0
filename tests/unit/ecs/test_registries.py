"""Service registries: found is exactly what should run and runs, and who is to stop is let go of first."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.rollout import NOW, service, task

from homeport.services.ecs.model import Registry, TargetPlace, Task
from homeport.services.ecs.plan.registries import (
    DRAIN,
    LET_GO_WITHIN,
    LOOK,
    Deregister,
    Host,
    Register,
    RegistryPlan,
    RegistrySnapshot,
    Report,
    is_wanted,
    let_go,
    plan_registrations,
)
from homeport.services.ecs.plan.targets import GroupSeen, TargetSnapshot, plan_targets
from homeport.services.ecs.ports import RegistryInstance

ARN, OTHER = "arn:a", "arn:b"
PLAIN = Registry(arn=ARN, container="app", container_port=80, custom_health=True, given={})
HOSTS = {number: Host(ec2_instance_id=f"i-{number}", address=f"10.0.0.{number}") for number in (1, 2)}
PLACE = TargetPlace(target_group="tg/one", container="app", port=80)


def found(number: int, *registries: Registry, **members: Any) -> Task:
    """A task with a registry, bound to a host port."""
    made = task(number, registries=registries or (PLAIN,), **members)
    binding = {"containerPort": 80, "hostPort": 49000 + number}
    container = msgspec.structs.replace(made.containers[0], network_bindings=(binding,))
    return msgspec.structs.replace(made, containers=(container,))


def plan(*live: Task, registered: Any = None) -> RegistryPlan:
    there = {ARN: {}, **(registered or {})}
    shown = RegistrySnapshot(service=service(2), live=live, hosts=HOSTS, registered=there)
    return plan_registrations(shown)


def after(made: RegistryPlan, registered: Any) -> dict[str, dict[str, RegistryInstance]]:
    """What is registered once everything was done."""
    there: dict[str, dict[str, RegistryInstance]] = {ARN: {}, **{k: dict(v) for k, v in registered.items()}}
    for action in made.actions:
        match action:
            case Register():
                healthy = action.attributes.get("AWS_INIT_HEALTH_STATUS") != "UNHEALTHY"
                instance = RegistryInstance(attributes=action.attributes, healthy=healthy)
                there.setdefault(action.arn, {})[action.task.uid] = instance
            case Report():
                old = there[action.arn][action.uid]
                instance = RegistryInstance(attributes=old.attributes, healthy=action.healthy)
                there[action.arn][action.uid] = instance
            case Deregister():
                del there[action.arn][action.uid]
    return there


def test_a_task_is_registered_once_it_runs_with_its_instances_address_and_port() -> None:
    (only,) = plan(found(1), found(2, last_status="PENDING")).actions
    assert isinstance(only, Register)
    assert (only.attributes["AWS_INSTANCE_IPV4"], only.attributes["AWS_INSTANCE_PORT"]) == (
        "10.0.0.1",
        "49001",
    )


def test_a_task_on_its_way_out_is_deregistered_and_then_let_go() -> None:
    leaving = found(1, desired_status="STOPPED")
    assert leaving.is_held
    there = {ARN: {leaving.uid: RegistryInstance(attributes={}, healthy=True)}}
    made = plan(leaving, registered=there)
    assert made.actions == (Deregister(arn=ARN, uid=leaving.uid),)
    (released,) = made.released
    assert released.last_status == "STOPPING"
    assert not released.is_held


def test_a_task_behind_a_balancer_waits_for_both() -> None:
    leaving = found(1, desired_status="STOPPED", target_places=(PLACE,))
    (released,) = plan(leaving).released
    assert released.is_held, "its targets have a say, too"
    assert released.last_status == leaving.last_status
    groups = {"tg/one": GroupSeen()}

    def moved(one: Task) -> str:
        shown = TargetSnapshot(service=service(1), live=(one,), targets=(), groups=groups)
        (only,) = plan_targets(shown, NOW).tasks
        return only.last_status

    assert moved(leaving) == "DEACTIVATING", "somebody still finds it"
    assert moved(released) == "STOPPING"


def test_a_crashed_task_holds_nothing_and_is_deregistered() -> None:
    crashed = found(1, desired_status="STOPPED", stop_code="EssentialContainerExited")
    made = plan(crashed, registered={ARN: {crashed.uid: RegistryInstance(attributes={}, healthy=True)}})
    assert made.actions == (Deregister(arn=ARN, uid=crashed.uid),)
    assert made.released == ()


@given(st.data())
def test_once_done_there_is_nothing_left_to_do(data: st.DataObject) -> None:
    live, there = [], {ARN: {}, OTHER: {}}
    for number in range(1, data.draw(st.integers(0, 5)) + 1):
        one = found(
            number,
            data.draw(st.sampled_from([PLAIN, msgspec.structs.replace(PLAIN, arn=OTHER)])),
            desired_status=data.draw(st.sampled_from(["RUNNING", "STOPPED"])),
            last_status=data.draw(st.sampled_from(["PENDING", "RUNNING", "DEACTIVATING", "STOPPING"])),
        )
        checked = data.draw(st.booleans())
        health = data.draw(st.sampled_from(["UNKNOWN", "HEALTHY", "UNHEALTHY"]))
        container = msgspec.structs.replace(one.containers[0], has_health_check=checked, health_status=health)
        live.append(
            msgspec.structs.replace(
                one, containers=(container,), instance_id=data.draw(st.sampled_from([1, 2]))
            )
        )
    for uid in data.draw(st.sets(st.sampled_from([one.uid for one in live] or ["gone"]) | st.just("gone"))):
        arn = data.draw(st.sampled_from([ARN, OTHER]))
        there[arn][uid] = RegistryInstance(attributes={"old": "1"}, healthy=data.draw(st.booleans()))
    made = plan(*live, registered=there)
    done = after(made, there)
    released = {one.id: one for one in made.released}
    again = plan(*(released.get(one.id, one) for one in live), registered=done)
    assert again.is_empty
    wanted = {(one.registries[0].arn, one.uid) for one in live if is_wanted(one)}
    assert {(arn, uid) for arn, instances in done.items() for uid in instances} == wanted
    assert not any(one.is_held for one in released.values())


CONNECT = Registry(arn=ARN, container="app", container_port=80, for_connect=True, given={})
PROBED = {"essential": True, "has_health_check": True}


def probed(number: int, status: str, registry: Registry) -> Task:
    """A task whose container has this health."""
    made = found(number, registry)
    return msgspec.structs.replace(
        made, containers=(msgspec.structs.replace(made.containers[0], health_status=status, **PROBED),)
    )


def test_service_connect_leads_to_healthy_tasks_and_knows_their_deployment() -> None:
    healthy, sick = probed(1, "HEALTHY", CONNECT), probed(2, "UNHEALTHY", CONNECT)
    (only,) = plan(healthy, sick).actions
    assert isinstance(only, Register)
    assert only.attributes["ECS_DEPLOYMENT_ID"] == healthy.started_by
    there = {ARN: {sick.uid: RegistryInstance(attributes={}, healthy=True)}}
    assert Deregister(arn=ARN, uid=sick.uid) in plan(sick, registered=there).actions
    (other,) = plan(probed(2, "UNHEALTHY", PLAIN)).actions
    assert isinstance(other, Register), "whoever asks Cloud Map is told how a task is"
    assert "ECS_DEPLOYMENT_ID" not in other.attributes


def test_a_task_is_told_to_stop_once_the_proxy_has_let_it_go_and_it_had_time_for_what_it_began() -> None:
    leaving, plain = found(1, CONNECT, desired_status="STOPPED"), found(2, desired_status="STOPPED")
    step = let_go([leaving, plain], {}, in_force=False, now=NOW)
    assert (step.free, step.wake_at) == ((plain,), NOW + LOOK)
    at = NOW + LOOK
    step = let_go([leaving], step.leaving, in_force=True, now=at)
    assert (step.free, step.wake_at) == ((), at + DRAIN)
    again = let_go([leaving], step.leaving, in_force=False, now=at + DRAIN / 2)
    assert (again.free, again.wake_at) == ((), at + DRAIN), "what came later does not matter"
    assert let_go([leaving], again.leaving, in_force=False, now=at + DRAIN).free == (leaving,)


def test_a_proxy_that_is_not_there_or_does_not_answer_holds_nobody_up() -> None:
    leaving = found(1, CONNECT, desired_status="STOPPED")
    assert let_go([leaving], {}, in_force=None, now=NOW).free == (leaving,)
    first = let_go([leaving], {}, in_force=False, now=NOW)
    assert let_go([leaving], first.leaving, in_force=False, now=NOW + LET_GO_WITHIN).free == (leaving,)
