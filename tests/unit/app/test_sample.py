"""The sample: its image's archive, and how it is deployed."""

from __future__ import annotations

import io
import socket
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest

from homeport.app import sample

ARN = "arn:aws:ecs:us-east-1:000000000000"


class World:
    """Just enough of ECS for one service; tasks start one at each look."""

    def __init__(self, *, starts: bool = True) -> None:
        self.starts = starts
        self.definitions: list[Mapping[str, Any]] = []
        self.services: dict[str, dict[str, Any]] = {}
        self.running = 0
        self.stopped = 2
        self.hosts = ["172.31.0.4", "172.31.0.5"]
        self.eldest = f"{ARN}:task-definition/hello:1"
        """The first task's definition."""
        self.calls: list[str] = []

    def call(self, operation: str, **members: Any) -> Mapping[str, Any]:
        self.calls.append(operation)
        answer: Mapping[str, Any] = getattr(self, operation)(**members)
        return answer

    def RegisterTaskDefinition(self, **members: Any) -> Mapping[str, Any]:
        definition = {**members, "revision": len(self.definitions) + 1}
        self.definitions.append(definition)
        return {"taskDefinition": definition}

    def ListTaskDefinitions(self, **_: Any) -> Mapping[str, Any]:
        arns = [f"{ARN}:task-definition/hello:{d['revision']}" for d in reversed(self.definitions)]
        return {"taskDefinitionArns": arns[:1]}

    def DescribeTaskDefinition(self, taskDefinition: str) -> Mapping[str, Any]:
        return {"taskDefinition": self.definitions[int(taskDefinition.rpartition(":")[2]) - 1]}

    def CreateService(self, **members: Any) -> Mapping[str, Any]:
        self.services[members["serviceName"]] = {
            **members,
            "status": "ACTIVE",
            "taskDefinition": f"{ARN}:task-definition/{members['taskDefinition']}",
        }
        return {}

    def UpdateService(self, service: str, taskDefinition: str, **_: Any) -> Mapping[str, Any]:
        self.services[service]["taskDefinition"] = f"{ARN}:task-definition/{taskDefinition}"
        return {}

    def DescribeServices(self, services: list[str], **_: Any) -> Mapping[str, Any]:
        found = [s for name, s in self.services.items() if name in services]
        for service in found:
            if self.starts and self.running < service["desiredCount"]:
                self.running += 1
        return {"services": [{**s, "runningCount": self.running, "pendingCount": 0} for s in found]}

    def ListTasks(self, desiredStatus: str, **_: Any) -> Mapping[str, Any]:
        if desiredStatus == "STOPPED":
            return {"taskArns": [] if self.starts else [f"s{n}" for n in range(self.stopped)]}
        return {"taskArns": [f"t{n}" for n in range(self.running)]}

    def DescribeTasks(self, tasks: list[str], **_: Any) -> Mapping[str, Any]:
        if tasks[0].startswith("s"):
            return {
                "tasks": [
                    {"lastStatus": "STOPPED", "stoppedAt": 2.0, "stoppedReason": "the younger's"},
                    {"lastStatus": "STOPPED", "stoppedAt": 1.0, "stoppedReason": "the elder's"},
                ][: len(tasks)]
                + [{"lastStatus": "STOPPED", "stoppedAt": 0.5}] * (len(tasks) - 2)
            }
        return {
            "tasks": [
                {
                    "lastStatus": "RUNNING",
                    "taskDefinitionArn": self.services["hello"]["taskDefinition"] if n else self.eldest,
                    "containers": [
                        {
                            "networkBindings": [
                                {"bindIP": self.hosts[n], "hostPort": 49153 + n, "protocol": "tcp"},
                                {"bindIP": "::", "hostPort": 49153 + n, "protocol": "tcp"},
                            ]
                        }
                    ],
                }
                for n in range(len(tasks))
            ]
        }


def deployed(world: World, image: str = "i:1") -> None:
    sample.deploy(world, image, cluster="default")


def test_a_first_deployment_registers_and_creates() -> None:
    world = World()
    deployed(world)
    assert len(world.definitions) == 1
    assert world.services["hello"]["desiredCount"] == 2
    assert world.services["hello"]["taskDefinition"].endswith("/hello:1")


def test_a_second_one_changes_nothing() -> None:
    world = World()
    deployed(world)
    world.calls.clear()
    deployed(world)
    assert not {"RegisterTaskDefinition", "CreateService", "UpdateService"} & set(world.calls)


def test_another_image_rolls_out() -> None:
    world = World()
    deployed(world)
    deployed(world, "i:2")
    assert world.services["hello"]["taskDefinition"].endswith("/hello:2")


def test_a_deleted_service_is_created_again() -> None:
    world = World()
    deployed(world)
    world.services["hello"]["status"] = "INACTIVE"
    deployed(world)
    assert world.services["hello"]["status"] == "ACTIVE"
    assert len(world.definitions) == 1


def test_it_waits_for_every_task_to_answer_and_tells_each_step_once() -> None:
    world, told, deaf = World(), [], iter([False, True, False])
    deployed(world)
    world.running = 0
    standing = sample.wait_until_up(
        world,
        lambda event, fields: told.append(fields["running"]),
        cluster="default",
        sleep=lambda _: None,
        answering=lambda _: next(deaf, True),
    )
    assert next(deaf, None) is None, "asked until both answered"
    assert standing.addresses == ("172.31.0.4:49153", "172.31.0.5:49154")
    assert told == [1, 2]


def test_a_task_of_the_revision_before_is_not_what_it_waits_for() -> None:
    world, passed = World(), iter(range(1000))
    deployed(world)
    deployed(world, "i:2")
    with pytest.raises(sample.SampleError, match="1 of 2"):
        sample.wait_until_up(
            world, lambda *_: None, cluster="default", sleep=lambda _: None, monotonic=lambda: next(passed)
        )


def test_a_task_on_another_machine_counts_but_has_no_address_to_try() -> None:
    world, tried = World(), []
    deployed(world)
    world.hosts[1] = "0.0.0.0"
    standing = sample.wait_until_up(
        world,
        lambda *_: None,
        cluster="default",
        sleep=lambda _: None,
        answering=lambda address: not tried.append(address),
    )
    assert standing.addresses == ("*:49154", "172.31.0.4:49153")
    assert standing.reachable == tuple(tried) == ("172.31.0.4:49153",)


def test_nobody_answers_at_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert not sample.answers(address)


def test_it_gives_up_with_the_youngest_stopped_tasks_reason() -> None:
    world, passed = World(starts=False), iter(range(1000))
    deployed(world)
    with pytest.raises(sample.SampleError, match="the younger's"):
        sample.wait_until_up(
            world, lambda *_: None, cluster="default", sleep=lambda _: None, monotonic=lambda: next(passed)
        )


def test_it_does_not_wait_for_a_service_that_failed_twice_over() -> None:
    world, passed = World(starts=False), iter(range(1000))
    world.stopped = 5
    deployed(world)
    with pytest.raises(sample.SampleError, match="the younger's"):
        sample.wait_until_up(
            world, lambda *_: None, cluster="default", sleep=lambda _: None, monotonic=lambda: next(passed)
        )
    assert next(passed) < 5


def test_only_tcp_over_ipv4_is_an_address_to_curl() -> None:
    task = {
        "containers": [
            {"networkBindings": [{"bindIP": "10.1.2.3", "hostPort": 80, "protocol": "tcp"}]},
            {"networkBindings": [{"bindIP": "0.0.0.0", "hostPort": 53, "protocol": "udp"}]},
            {},
        ]
    }
    assert list(sample.addresses_of(task)) == ["10.1.2.3:80"]


def test_the_same_files_make_the_same_archive() -> None:
    first = sample.root_file_system(b"busybox", b"page")
    assert sample.root_file_system(b"busybox", b"page") == first
    assert sample.root_file_system(b"busybox", b"other") != first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.getmember("bin/httpd").linkname == "busybox"
        assert archive.getmember("www/cgi-bin/index.cgi").mode == 0o755
        assert archive.extractfile("bin/busybox").read() == b"busybox"  # type: ignore[union-attr]


def elf(*kinds: int, order: str = "little") -> bytes:
    """An ELF header with program headers of these kinds. Source: System V ABI."""
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02" + (b"\x01" if order == "little" else b"\x02")
    head[32:40] = (64).to_bytes(8, order)  # type: ignore[arg-type]
    head[54:56] = (56).to_bytes(2, order)  # type: ignore[arg-type]
    head[56:58] = len(kinds).to_bytes(2, order)  # type: ignore[arg-type]
    return bytes(head) + b"".join(kind.to_bytes(4, order) + bytes(52) for kind in kinds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("program", "static"),
    [
        (elf(1, 1, 4), True),
        (elf(6, 3, 1), False),
        (elf(1, 1, order="big"), True),
        (elf(3, order="big"), False),
        (b"#!/bin/sh\n", False),
        (b"", False),
    ],
)
def test_a_static_program_names_no_interpreter(program: bytes, static: bool) -> None:
    assert sample.is_static(program) is static
