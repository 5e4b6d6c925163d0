"""The fleet against a slow model: whatever happens to it, however often, what is left is right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.placement import (
    GROUPS,
    Machine,
    SlowFleet,
    SlowTask,
    World,
    demands,
    fleet_of,
    instance,
    instances,
    worlds,
)

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.fleet_parts import DENSE_FROM, PortMap
from homeport.services.ecs.plan.placement_types import Demand

DESIRED = st.sampled_from(("RUNNING", "RUNNING", "STOPPED"))


def agrees(fleet: Fleet, slow: SlowFleet) -> None:
    assert len(fleet) == len(slow.machines)
    for number, machine in slow.machines.items():
        left = fleet.remaining(number)
        assert (left.cpu, left.memory) == (machine.free("cpu"), machine.free("memory"))
        assert left.ports_tcp == tuple(sorted(set(machine.ports("ports_tcp"))))
        assert left.ports_udp == tuple(sorted(set(machine.ports("ports_udp"))))
        assert left.running_tasks == len(machine.counted)
        assert left.pending_tasks == sum(task.pending for task in machine.tasks)
        row = fleet.row(number)
        assert fleet.rows.eni_free[row] == machine.free("enis")
        assert fleet.groups_on(number) == {task.demand.group for task in machine.counted}
        for group in GROUPS:
            counts = fleet.group(group)
            assert (0 if counts is None else counts.dense(fleet.size)[row]) == machine.count(group)
            assert bool(fleet.hosting(group)[row]) == (machine.count(group) > 0)
    assert fleet.tasks == sum(len(machine.tasks) for machine in slow.machines.values())
    uids = [machine.view.uid for machine in slow.ordered()]
    assert [fleet.view(row).uid for row in fleet.rows.by_uid.tolist()] == uids
    assert [int(fleet.rows.rank[row]) for row in fleet.rows.by_uid.tolist()] == list(range(len(uids)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_after_any_changes_what_is_left_is_what_a_slow_model_says(data: st.DataObject) -> None:
    fleet, slow, where = Fleet(), SlowFleet(), {}
    for _ in range(data.draw(st.integers(1, 25))):
        number = data.draw(st.integers(1, 5))
        task_id = data.draw(st.integers(-3, 6))
        match data.draw(
            st.sampled_from(("upsert", "remove", "assign", "assign", "assign", "mark", "release"))
        ):
            case "upsert":
                view = data.draw(instances(number))
                fleet.upsert_instance(view)
                slow.machines.setdefault(number, Machine(view)).view = view
            case "remove":
                fleet.remove_instance(number)
                slow.machines.pop(number, None)
                where = {task: at for task, at in where.items() if at != number}
            case "release":
                fleet.release(task_id)
                drop(slow, where, task_id)
            case "mark":
                desired = data.draw(DESIRED)
                last = data.draw(st.sampled_from(("PENDING", "RUNNING", "STOPPED")))
                known = fleet.mark(task_id, desired_status=desired, last_status=last)
                assert known == (task_id in where or last == "STOPPED")
                if last == "STOPPED":
                    drop(slow, where, task_id)
                elif known:
                    tasks = slow.machines[where[task_id]].tasks
                    task = next(task for task in tasks if task.id == task_id)
                    task.desired, task.pending = desired, last == "PENDING"
            case "assign":
                demand, desired = data.draw(demands()), data.draw(DESIRED)
                last = data.draw(st.sampled_from(("PENDING", "RUNNING", "STOPPED")))
                for _ in range(2):  # the change feed repeats
                    taken = fleet.assign(task_id, number, demand, desired_status=desired, last_status=last)
                    assert taken == (number in slow.machines)
                drop(slow, where, task_id)
                if taken and last != "STOPPED":
                    where[task_id] = number
                    slow.add(SlowTask(task_id, demand, desired, last == "PENDING"), number)
        agrees(fleet, slow)


def drop(slow: SlowFleet, where: dict[int, int], task_id: int) -> None:
    if (number := where.pop(task_id, None)) is not None:
        machine = slow.machines[number]
        machine.tasks = [task for task in machine.tasks if task.id != task_id]


@settings(max_examples=40, deadline=None)
@given(worlds(), demands(), st.lists(st.tuples(st.integers(95, 130), st.integers(1, 9)), max_size=20))
def test_many_at_once_are_the_same_as_one_after_the_other(
    world: World, demand: Demand, tasks: list[tuple[int, int]]
) -> None:
    one_by_one = fleet_of(*(machine.view for machine in world.slow.machines.values()))
    for machine in world.slow.machines.values():
        for task in machine.tasks:
            one_by_one.assign(task.id, machine.view.id, task.demand, desired_status=task.desired)
    taken = [one_by_one.assign(task_id, number, demand) for task_id, number in tasks]
    many = world.fleet.assign_many([t for t, _ in tasks], [n for _, n in tasks], demand)
    assert many == sum(taken)
    for number in world.slow.machines:
        assert world.fleet.remaining(number) == one_by_one.remaining(number)
        assert world.fleet.groups_on(number) == one_by_one.groups_on(number)


def test_an_echo_changes_nothing_and_is_not_a_new_version() -> None:
    fleet = fleet_of(instance(1))
    demand = Demand(cpu=100, ports_tcp=(80,), group="service:web")
    fleet.assign(7, 1, demand)
    version = fleet.version
    fleet.assign(7, 1, demand)
    fleet.assign_many([7], [1], demand)
    fleet.upsert_instance(instance(1))
    fleet.release(8)
    fleet.remove_instance(2)
    assert fleet.version == version
    assert fleet.remaining(1).cpu == 3996


def test_every_change_is_a_new_version_and_only_attributes_make_masks_stale() -> None:
    fleet = Fleet()
    seen = [fleet.version]
    for change in (
        lambda: fleet.upsert_instance(instance(1)),
        lambda: fleet.assign(7, 1, Demand(cpu=1)),
        lambda: fleet.assign(7, 1, Demand(cpu=1), last_status="RUNNING"),
        lambda: fleet.assign(7, 1, Demand(cpu=1), desired_status="STOPPED"),
        lambda: fleet.upsert_instance(instance(1, agent_connected=False)),
        lambda: fleet.release(7),
    ):
        change()
        seen.append(fleet.version)
    assert seen == sorted(set(seen))
    assert fleet.attributes_version == 1
    fleet.upsert_instance(instance(1, attributes={"stack": "prod"}))
    assert fleet.attributes_version == 2


def test_a_stopping_task_holds_its_resources_but_no_longer_counts() -> None:
    """Source: ECS Developer Guide, task placement constraints: placement looks at the desired status."""
    fleet = fleet_of(instance(1))
    demand = Demand(cpu=1000, group="service:web")
    fleet.assign(7, 1, demand)
    fleet.assign(7, 1, demand, desired_status="STOPPED", last_status="RUNNING")
    assert fleet.remaining(1).cpu == 3096
    assert fleet.remaining(1).running_tasks == 0
    assert fleet.groups_on(1) == frozenset()


def test_a_task_of_an_unknown_instance_is_not_taken_in() -> None:
    fleet = fleet_of(instance(1))
    assert not fleet.assign(7, 2, Demand(cpu=1))
    assert fleet.assign_many([7, 8], [1, 2], Demand(cpu=1)) == 1
    assert (fleet.instance_of(7), fleet.instance_of(8)) == (1, None)


def test_removing_an_instance_forgets_its_tasks_and_its_row_serves_another() -> None:
    fleet = fleet_of(instance(1), instance(2))
    fleet.assign(7, 1, Demand(cpu=100, ports_tcp=(80,), group="service:web"))
    fleet.remove_instance(1)
    fleet.upsert_instance(instance(3))
    fleet.release(7)
    assert fleet.size == 2
    assert fleet.remaining(3).cpu == 4096
    assert fleet.remaining(3).ports_tcp == ()
    assert fleet.group("service:web") is None
    assert fleet.find(instance(1).uid) is None
    assert fleet.find(instance(3).uid) == instance(3)


def test_an_instance_cannot_become_another() -> None:
    fleet = fleet_of(instance(1))
    with pytest.raises(ValueError, match="uid"):
        fleet.upsert_instance(instance(1, uid="f" * 32))


def test_an_instance_that_returns_smaller_may_have_less_than_nothing() -> None:
    fleet = fleet_of(instance(1))
    fleet.assign(7, 1, Demand(memory=8000))
    fleet.upsert_instance(instance(1, memory=4096))
    assert fleet.remaining(1).memory == -3904
    fleet.release(7)
    assert fleet.remaining(1).memory == 4096


class TestGpus:
    def test_the_first_free_ones_are_taken_and_given_back_in_their_order(self) -> None:
        fleet = fleet_of(instance(1, gpu_ids=("a", "b", "c")))
        fleet.assign(7, 1, Demand(gpus=2))
        fleet.assign(8, 1, Demand(gpus=1))
        assert (fleet.gpu_ids(7), fleet.gpu_ids(8)) == (("a", "b"), ("c",))
        fleet.release(7)
        assert fleet.remaining(1).gpu_ids == ("a", "b")
        assert fleet.gpu_ids(7) == ()

    def test_those_that_were_decided_elsewhere_are_taken(self) -> None:
        fleet = fleet_of(instance(1, gpu_ids=("a", "b", "c")))
        fleet.assign(7, 1, Demand(gpus=1))
        fleet.assign(7, 1, Demand(gpus=1), gpu_ids=("b",))
        assert fleet.remaining(1).gpu_ids == ("a", "c")

    def test_more_of_them_are_free_at_once(self) -> None:
        fleet = fleet_of(instance(1, gpu_ids=("a",)))
        fleet.assign(7, 1, Demand(gpus=1))
        fleet.upsert_instance(instance(1, gpu_ids=("a", "b")))
        assert fleet.remaining(1).gpu_ids == ("b",)


def test_a_port_taken_twice_is_free_when_both_gave_it_back() -> None:
    fleet = fleet_of(instance(1, ports_tcp=(22,)))
    fleet.assign(7, 1, Demand(ports_tcp=(22, 80)))
    fleet.assign(8, 1, Demand(ports_tcp=(80,)))
    fleet.release(7)
    assert fleet.remaining(1).ports_tcp == (22, 80)
    fleet.release(8)
    assert fleet.remaining(1).ports_tcp == (22,)


def test_ports_take_memory_only_while_they_are_in_use() -> None:
    fleet = fleet_of(instance(1))
    for port in range(1, 65536, 500):
        fleet.assign(port, 1, Demand(ports_tcp=(port,)))
        fleet.release(port)
    ports: PortMap = fleet.ports_tcp
    assert ports._words == {}


def test_a_group_on_many_rows_counts_as_one_on_few() -> None:
    views = [instance(n) for n in range(1, DENSE_FROM + 100)]
    fleet = fleet_of(*views)
    demand = Demand(group="service:web")
    for view in views:
        fleet.assign(view.id, view.id, demand)
    fleet.assign(0, 5, demand)
    fleet.upsert_instance(instance(5000))
    counts = fleet.group("service:web")
    assert counts.dense(fleet.size).tolist() == [2 if n == 5 else 1 for n in range(1, len(views) + 1)] + [0]
    for view in views:
        fleet.release(view.id)
    assert fleet.groups_on(5) == {"service:web"}
    fleet.release(0)
    assert fleet.group("service:web") is None


def test_the_table_of_tasks_does_not_grow_with_churn() -> None:
    fleet = fleet_of(instance(1))
    for task_id in range(5_000):
        fleet.assign(task_id, 1, Demand(cpu=1, group=f"family:job-{task_id}"))
        fleet.release(task_id)
    assert len(fleet._tasks.id) == 64
    assert len(fleet._tasks._kinds) == 1
    assert fleet.groups() == ()
