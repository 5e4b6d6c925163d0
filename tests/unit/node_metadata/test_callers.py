"""Who asks, as Docker and /proc tell: made-up ones, told apart by what decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeport.node.drivers.engine_client import EngineClient, EngineError
from homeport.node.metadata.callers import TASK_LABEL, Caller, DockerCallers, UnknowableCallerError
from homeport.node.ports import DriverUnavailableError
from homeport.node.sandbox.holder import SANDBOX_LABEL
from homeport.node.steps.cleanup import INSTANCE_LABEL

BRIDGED, HOSTED = "b" * 64, "c" * 64
LABELS = {INSTANCE_LABEL: "instance-1", TASK_LABEL: "task-1"}


class TellingClient(EngineClient):
    """Docker with these containers, some of which are only being started."""

    def __init__(self, containers: list[dict[str, Any]] | Exception) -> None:
        super().__init__()
        self.containers = containers
        self.asked: list[Any] = []

    async def get(self, path: str, *, params: Any = None, seconds: float | None = 60.0) -> Any:
        self.asked.append((path, params))
        if isinstance(self.containers, Exception):
            raise self.containers
        if path == "/containers/json":
            # What is being started has no address in the list yet.
            return [
                one if one["State"] == "running" else {**one, "NetworkSettings": {}}
                for one in self.containers
            ]
        for one in self.containers:
            if path == f"/containers/{one['Id']}/json":
                return {**one, "Config": {"Labels": one["Labels"]}}
        raise EngineError(404, "no such container")


def container(
    name: str, ip: str = "", labels: dict[str, str] | None = None, state: str = "running"
) -> dict[str, Any]:
    networks = {"bridge": {"IPAddress": ip}}
    return {
        "Id": name,
        "Labels": LABELS if labels is None else labels,
        "State": state,
        "NetworkSettings": {"Networks": networks},
    }


def processes(root: Path, *, cgroup: str = HOSTED, inode: str = "77") -> Path:
    """A /proc with one connection from 127.0.0.1:4660 and the process that holds it."""
    (root / "self/net").mkdir(parents=True)
    head = "  sl  local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode\n"
    row = "   0: 0100007F:1234 0100007F:C9DF 01 00000000:00000000 00:00000000 00000000 0 0 77 1\n"
    (root / "self/net/tcp").write_text(head + row)
    (root / "41/fd").mkdir(parents=True)
    (root / "41/fd/3").symlink_to(f"socket:[{inode}]")
    (root / "41/cgroup").write_text(f"4:memory:/docker/{cgroup}\n")
    return root


async def test_an_address_on_the_bridge_is_its_containers(tmp_path: Path) -> None:
    client = TellingClient([container(HOSTED), container(BRIDGED, "172.17.0.5")])
    callers = DockerCallers(client, {"homeport.installation": "x"}, proc=processes(tmp_path))
    assert await callers.of("172.17.0.5", 1) == Caller(instance="instance-1", task="task-1")
    assert await callers.of("172.17.0.6", 1) is None
    path, params = client.asked[0]
    assert path == "/containers/json"
    assert params == {"all": "1", "filters": '{"label": ["homeport.installation=x"]}'}


@pytest.mark.parametrize("state", ["created", "exited", "restarting"])
async def test_a_container_that_has_only_just_begun_is_known(tmp_path: Path, state: str) -> None:
    """Its program runs before Docker says so, and may ask first of all."""
    client = TellingClient([container(HOSTED), container(BRIDGED, "172.17.0.5", state=state)])
    callers = DockerCallers(client, {}, proc=processes(tmp_path))
    assert await callers.of("172.17.0.5", 1) == Caller(instance="instance-1", task="task-1")


async def test_a_connection_of_the_host_is_the_containers_whose_process_holds_it(tmp_path: Path) -> None:
    ours = {**LABELS, "homeport.installation": "x"}
    client = TellingClient([container(HOSTED, labels=ours)])
    callers = DockerCallers(client, {"homeport.installation": "x"}, proc=processes(tmp_path))
    assert await callers.of("127.0.0.1", 0x1234) == Caller(instance="instance-1", task="task-1")
    assert await callers.of("127.0.0.1", 0x1235) is None, "another connection is somebody else's"
    assert await callers.of("127.0.0.2", 0x1234) is None
    assert await callers.of("::1", 0x1234) is None


@pytest.mark.parametrize("fault", ["no container's", "gone", "another installation's", "nobody's"])
async def test_a_process_of_the_host_is_nobody(tmp_path: Path, fault: str) -> None:
    cgroup = "" if fault == "no container's" else "d" * 64 if fault == "gone" else HOSTED
    proc = processes(tmp_path, cgroup=cgroup, inode="78" if fault == "nobody's" else "77")
    whose = "y" if fault == "another installation's" else "x"
    client = TellingClient([container(HOSTED, labels={**LABELS, "homeport.installation": whose})])
    callers = DockerCallers(client, {"homeport.installation": "x"}, proc=proc)
    assert await callers.of("127.0.0.1", 0x1234) is None


async def test_without_labels_a_container_is_nobody(tmp_path: Path) -> None:
    bare = container(BRIDGED, "172.17.0.5", labels={TASK_LABEL: "task-1"})
    assert (
        await DockerCallers(TellingClient([bare]), {}, proc=processes(tmp_path)).of("172.17.0.5", 1) is None
    )


async def test_when_docker_is_away_nobody_is_known(tmp_path: Path) -> None:
    client = TellingClient(DriverUnavailableError("away"))
    assert await DockerCallers(client, {}, proc=processes(tmp_path)).of("172.17.0.5", 1) is None


async def test_hidden_processes_are_told_from_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(process: Path, inode: str) -> bool:
        raise PermissionError(process)

    monkeypatch.setattr("homeport.node.metadata.callers._holds", hidden)
    callers = DockerCallers(TellingClient([container(HOSTED)]), {}, proc=processes(tmp_path))
    with pytest.raises(UnknowableCallerError):
        await callers.of("127.0.0.1", 0x1234)


async def test_in_a_sandbox_the_newest_container_asks(tmp_path: Path) -> None:
    """Its holder may have held another task's before, whose containers are still there, ended."""
    holder, joined = "e" * 64, {"NetworkMode": f"container:{'e' * 64}"}
    listed: list[dict[str, Any]] = [
        {"Id": holder, "State": "running", "Labels": {SANDBOX_LABEL: "habc"}},
        {
            "Id": "1" * 64,
            "State": "exited",
            "Created": 5,
            "HostConfig": joined,
            "Labels": {**LABELS, TASK_LABEL: "old"},
        },
        {"Id": "2" * 64, "State": "created", "Created": 9, "HostConfig": joined, "Labels": LABELS},
        {
            "Id": "3" * 64,
            "State": "running",
            "Created": 11,
            "HostConfig": {},
            "Labels": {**LABELS, TASK_LABEL: "b"},
        },
    ]
    callers = DockerCallers(TellingClient(listed), {}, proc=processes(tmp_path))

    async def at(address: str) -> str | None:
        return {"10.0.0.9": "habc", "10.0.0.8": "hnobody"}.get(address)

    callers.sandbox_at = at
    assert await callers.of("10.0.0.9", 1) == Caller(instance="instance-1", task="task-1")
    assert await callers.of("10.0.0.8", 1) is None
