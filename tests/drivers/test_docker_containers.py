"""What only real containers show: exits, memory, health, links, mounts, ports, a daemon that goes away."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from homeport.agentproto.messages import (
    Container,
    DockerConfig,
    DockerVolume,
    HostVolume,
    MountPoint,
    Task,
    Volume,
    VolumeFrom,
)
from homeport.core.clock import SystemClock
from homeport.node.drivers.docker_containers import DockerContainers
from homeport.node.drivers.engine_client import EngineClient
from homeport.node.drivers.pause_image import ensure_pause_image
from homeport.node.names import container_name
from homeport.node.ports import ContainerSpec, DriverError, DriverUnavailableError, RunState
from homeport.node.render import RenderContext, render_container, render_pause
from homeport.node.render_volumes import render_volumes
from tests.kit.docker import IMAGE, Engine, exited, lines, running, until

pytestmark = pytest.mark.docker

CONTEXT = RenderContext(cluster="default", region="us-east-1", host_ip="127.0.0.1")


def a_task(docker: Engine, *containers: Container, **members: object) -> Task:
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/default/{docker.run_id}"
    return Task(arn=arn, family=f"hpt-{docker.run_id}", version="1", containers=containers, **members)


def a_container(
    name: str, *command: str, host: dict[str, object] | None = None, **members: object
) -> Container:
    config = members.pop("config", {})
    texts = DockerConfig(config=json.dumps(config), host_config=json.dumps(host or {}))
    return Container(name=name, image=IMAGE, command=command, docker_config=texts, **members)


def rendered(docker: Engine, task: Task, name: str, **how: object) -> ContainerSpec:
    container = next(each for each in task.containers if each.name == name)
    return docker.labelled(render_container(task, container, CONTEXT, **how))


async def test_memory_beyond_the_limit_is_an_out_of_memory_kill(docker: Engine) -> None:
    eat = lines("x=aaaaaaaaaaaaaaaa", "while :; do x=$x$x; done")
    task = a_task(docker, a_container("eat", *eat, memory=8))
    spec = rendered(docker, task, "eat")
    await docker.run(spec)
    status = await until(docker.containers, spec.name, exited)
    assert status is not None
    assert (status.oom_killed, status.exit_code) == (True, 137)


async def test_links_resolve_by_name_and_by_alias(docker: Engine) -> None:
    task = a_task(
        docker,
        a_container("db", "httpd", "-f", "-p", "80", "-h", "/etc"),
        a_container(
            "web",
            *lines("for h in db store; do nc $h 80 </dev/null && echo reached $h; done"),
            links=("db", "db:store"),
        ),
    )
    await docker.run(rendered(docker, task, "db"))
    assert await docker.finish(rendered(docker, task, "web")) == ("reached db", "reached store")
    names = await docker.containers.names(label="com.amazonaws.ecs.task-arn", value=task.arn)
    assert set(names) == {container_name(task, "db"), container_name(task, "web")}


async def test_volumes_are_shared_and_volumes_from_brings_all_of_them(docker: Engine, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the host")
    mounts = (
        MountPoint(source_volume="scratch", container_path="/s"),
        MountPoint(source_volume="made", container_path="/m"),
        MountPoint(source_volume="host", container_path="/h", read_only=True),
    )
    task = a_task(
        docker,
        a_container(
            "writer",
            *lines("echo one >/s/a", "echo two >/m/b", "touch /h/x || echo refused"),
            mount_points=mounts,
        ),
        a_container(
            "reader", *lines("cat /s/a /m/b /h/given"), volumes_from=(VolumeFrom(source_container="writer"),)
        ),
        a_container(
            "onlooker",
            *lines("touch /s/x || echo refused"),
            volumes_from=(VolumeFrom(source_container="writer", read_only=True),),
        ),
        volumes=(
            Volume(name="scratch", host=HostVolume()),
            Volume(name="made", type="docker", docker_volume_configuration=DockerVolume()),
            Volume(name="host", host=HostVolume(source_path=str(tmp_path))),
        ),
    )
    for planned in render_volumes(task, region="us-east-1"):
        docker.made_volumes.append(planned.spec.name)
        await docker.volumes.create(planned.spec)
    said = await docker.finish(rendered(docker, task, "writer"))
    assert set(said) == {"touch: /h/x: Read-only file system", "refused"}
    assert await docker.finish(rendered(docker, task, "reader")) == ("one", "two", "from the host")
    assert "refused" in await docker.finish(rendered(docker, task, "onlooker"))
    status = await docker.containers.status(container_name(task, "writer"))
    assert status is not None
    assert {(m.get("name"), m["destination"]) for m in status.mounts} == {
        (docker.made_volumes[0], "/s"),
        (docker.made_volumes[1], "/m"),
        (None, "/h"),
    }


async def test_what_the_control_plane_rendered_reaches_the_container(docker: Engine) -> None:
    script = lines(
        "id -u; pwd; ulimit -n; hostname",
        "grep ' /scratch ' /proc/mounts | cut -d' ' -f3",
        "echo $GREETING $AWS_REGION",
    )
    container = a_container(
        "all",
        "sh",
        "-c",
        script[2].replace("cut -d' ' -f3", "awk '{print $3}'"),
        config={"User": "nobody", "WorkingDir": "/work", "Hostname": "given"},
        host={"Ulimits": [{"Name": "nofile", "Soft": 300, "Hard": 400}], "Tmpfs": {"/scratch": "size=1m"}},
        environment={"GREETING": "hello"},
    )
    said = await docker.finish(rendered(docker, a_task(docker, container), "all"))
    assert said == ("65534", "/work", "300", "given", "tmpfs", "hello us-east-1")


async def test_a_health_check_turns_from_unknown_to_healthy_to_unhealthy(docker: Engine) -> None:
    check = {"Test": ["CMD-SHELL", "echo probing; test -e /tmp/ok"], "Interval": 200_000_000, "Retries": 1}
    steps = lines("touch /tmp/ok", "while [ ! -e /tmp/go ]; do sleep 0.1; done", "rm /tmp/ok", "sleep 3600")
    container = a_container("app", *steps, config={"Healthcheck": check}, health_check_type="docker")
    spec = rendered(docker, a_task(docker, container), "app")
    await docker.containers.create(spec)
    await docker.containers.start(spec.name)
    first = await docker.containers.status(spec.name)
    assert first is not None
    assert first.health is not None
    assert first.health.status in {"UNKNOWN", "HEALTHY"}
    healthy = await until(
        docker.containers, spec.name, lambda s: bool(s and s.health and s.health.status == "HEALTHY")
    )
    assert healthy is not None
    assert healthy.health is not None
    assert (healthy.health.exit_code, healthy.health.output) == (0, "probing\n")
    assert healthy.health.since is not None
    await _exec(docker, spec.name, "touch", "/tmp/go")
    ill = await until(
        docker.containers, spec.name, lambda s: bool(s and s.health and s.health.status == "UNHEALTHY")
    )
    assert ill is not None
    assert ill.health is not None
    assert ill.health.exit_code == 1


async def _exec(docker: Engine, name: str, *command: str) -> None:
    made = await docker.client.post(f"/containers/{name}/exec", {"Cmd": command})
    await docker.client.raw("POST", f"/exec/{made['Id']}/start", body={"Detach": True})


async def test_ports_are_published_on_the_instances_own_address(docker: Engine) -> None:
    serve = ("httpd", "-f", "-p", "80", "-h", "/etc")
    task = a_task(docker, a_container("one", *serve), a_container("two", *serve))
    port = _free_port()
    for name, address in (("one", "127.0.0.2"), ("two", "127.0.0.3")):
        context = replace(CONTEXT, host_ip=address)
        container = next(each for each in task.containers if each.name == name)
        spec = docker.labelled(render_container(task, container, context, host_ports=[(80, "tcp", port)]))
        await docker.run(spec)
        status = await docker.containers.status(spec.name)
        assert status is not None
        assert [(p.bind_ip, p.container_port, p.host_port, p.protocol) for p in status.ports] == [
            (address, 80, port, "tcp")
        ]
        _, writer = await asyncio.open_connection(address, port)
        writer.close()
        await writer.wait_closed()


async def test_an_address_for_all_has_no_twin(docker: Engine) -> None:
    task = a_task(docker, a_container("one", "sleep", "3600"))
    context = replace(CONTEXT, host_ip="0.0.0.0")
    port = _free_port()
    spec = docker.labelled(
        render_container(task, task.containers[0], context, host_ports=[(80, "tcp", port)])
    )
    await docker.run(spec)
    status = await docker.containers.status(spec.name)
    assert status is not None
    assert [p.bind_ip for p in status.ports] == ["0.0.0.0"]
    assert status.ip_addresses


async def test_a_port_that_is_taken_is_a_failed_start(docker: Engine) -> None:
    """Source: a recording of the real agent (CannotStartContainerError: ... address already in use)."""
    task = a_task(docker, a_container("one", "sleep", "3600"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        spec = rendered(docker, task, "one", host_ports=[(80, "tcp", port)])
        await docker.containers.create(spec)
        with pytest.raises(DriverError) as refused:
            await docker.containers.start(spec.name)
    assert refused.value.name == "CannotStartContainerError"
    assert refused.value.text.startswith("Error response from daemon: ")
    assert "address already in use" in refused.value.text


async def test_a_terminals_output_is_not_framed(docker: Engine) -> None:
    spec = docker.spec("tty", "sh", "-c", "echo one; echo two", Tty=True)
    assert await docker.finish(spec) == ("one", "two")


async def test_both_streams_are_read_in_order_and_only_the_tail(docker: Engine) -> None:
    spec = docker.spec("talk", *lines("echo one", "sleep 0.1", "echo two >&2", "sleep 0.1", "echo three"))
    assert await docker.finish(spec) == ("one", "two", "three")
    assert await docker.containers.logs(spec.name, tail=2) == ("two", "three")


async def test_a_slow_start_is_the_agents_timeout(docker: Engine) -> None:
    impatient = DockerContainers(docker.client, SystemClock(), start_seconds=0.001)
    spec = docker.spec("one", "sleep", "3600")
    await impatient.create(spec)
    with pytest.raises(DriverError) as refused:
        await impatient.start(spec.name)
    assert refused.value.name == "DockerTimeoutError"
    assert refused.value.text == "Could not transition to started; timed out after waiting 0s"
    # The daemon may still have the start in hand: it must be over before the container can go.
    await docker.containers.start(spec.name)


async def test_no_daemon_is_unavailable(tmp_path: Path) -> None:
    client = EngineClient(str(tmp_path / "nothing.sock"))
    with pytest.raises(DriverUnavailableError):
        await DockerContainers(client, SystemClock()).status("x")
    await client.close()


async def test_containers_share_a_pid_namespace_that_pause_holds(docker: Engine) -> None:
    image = await ensure_pause_image(docker.images, (await docker.containers.info()).architecture)
    context = replace(CONTEXT, pause_image=image)
    task = a_task(
        docker,
        a_container("one", "sleep", "3600"),
        a_container("two", *lines("ps", "echo shared >/dev/shm/x")),
        a_container("three", *lines("(sleep 0.01 &)", "cat /dev/shm/x")),
        pid_mode="task",
        ipc_mode="task",
    )
    pause = docker.labelled(render_pause(task, context))
    await docker.run(pause)
    await docker.run(docker.labelled(render_container(task, task.containers[0], context)))
    seen = await docker.finish(docker.labelled(render_container(task, task.containers[1], context)))
    assert any(line.split()[:1] == ["1"] and "/pause" in line for line in seen)
    assert any("sleep 3600" in line for line in seen)
    last = docker.labelled(render_container(task, task.containers[2], context))
    assert await docker.finish(last) == ("shared",)
    top = await docker.client.get(f"/containers/{pause.name}/top")
    assert not any("defunct" in " ".join(row) for row in top["Processes"])


async def test_the_machine_is_described(docker: Engine) -> None:
    info = await docker.containers.info()
    assert info.cpus >= 1
    assert info.memory_bytes > 1 << 28
    assert "json-file" in info.log_drivers
    assert "local" in info.volume_plugins
    assert info.cgroup_version in {"1", "2"}


async def test_a_container_that_ran_again_shows_no_old_end(docker: Engine) -> None:
    spec = docker.spec("one", "sleep", "3600")
    await docker.run(spec)
    await docker.containers.kill(spec.name)
    ended = await until(docker.containers, spec.name, exited)
    assert ended is not None
    assert ended.finished_at is not None
    await docker.containers.start(spec.name)
    again = await until(docker.containers, spec.name, running)
    assert again is not None
    assert (again.state, again.finished_at, again.exit_code) == (RunState.RUNNING, None, None)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
