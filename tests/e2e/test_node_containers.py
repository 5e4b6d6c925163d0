"""What a task definition says takes effect in a real container: from RegisterTaskDefinition to what its
process sees.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from homeport.agentproto.messages import Container, RestartPolicy
from homeport.agentproto.messages import Task as PayloadTask
from homeport.node.drivers.docker_views import instant
from tests.kit.docker import IMAGE, cgroups, lines
from tests.kit.real_node import RealNode, real_node
from tests.kit.server import live_server

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]

STAY = ["sleep", "600"]
ASK = """
ask() { (printf "GET $1 HTTP/1.0\\r\\n\\r\\n"; sleep 1) | nc -w 5 169.254.170.2 80 | tail -n 1; echo; }
"""
"""The test image has no HTTP client."""


@pytest.fixture(scope="module")
def shared() -> Iterator[RealNode]:
    with live_server() as live, real_node(live, cleanup_wait_seconds=8.0) as node:
        yield node


def container_of(task: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in task["containers"] if each["name"] == name)


def at(docker: Any, moment: str) -> datetime:
    found = instant(docker["State"][moment])
    assert found is not None
    return found


def said_by(node: RealNode, *script: str, task: dict[str, Any] | None = None, **container: Any) -> list[str]:
    """What a container of one task writes to its end."""
    definition = node.register({"command": [*lines(*script)], **container}, **(task or {}))
    ended = node.stopped(node.run(definition))
    assert container_of(ended, "app").get("exitCode") == 0, ended
    return node.logs(ended)


# ---- order and fate -----------------------------------------------------------------------------


def test_each_container_starts_once_its_conditions_hold(shared: RealNode) -> None:
    health = {"command": ["CMD-SHELL", "test -e /work/up"], "interval": 5, "timeout": 2, "retries": 3}
    definition = shared.register(
        {"name": "base", "command": STAY},
        {"name": "once", "command": ["sh", "-c", "sleep 1; exit 3"], "essential": False},
        {"name": "init", "command": ["sleep", "1"], "essential": False},
        {
            "name": "probe",
            "command": [*lines("sleep 2", "touch /work/up", "exec sleep 600")],
            "healthCheck": health,
        },
        {
            "name": "app",
            "command": STAY,
            "dependsOn": [
                {"containerName": "base", "condition": "START"},
                {"containerName": "once", "condition": "COMPLETE"},
                {"containerName": "init", "condition": "SUCCESS"},
                {"containerName": "probe", "condition": "HEALTHY"},
            ],
        },
    )
    task = shared.running(shared.run(definition))
    docker = {name: shared.container(task, name) for name in ("base", "once", "init", "probe", "app")}
    started = at(docker["app"], "StartedAt")
    assert at(docker["base"], "StartedAt") < started
    assert at(docker["once"], "FinishedAt") < started
    assert at(docker["init"], "FinishedAt") < started
    passed = [each for each in docker["probe"]["State"]["Health"]["Log"] if each["ExitCode"] == 0]
    first = instant(passed[0]["End"])
    assert first is not None
    assert first < started
    assert container_of(task, "once")["exitCode"] == 3
    shared.stop(task["taskArn"])


def test_a_condition_that_can_never_hold_stops_the_task_with_143(shared: RealNode) -> None:
    definition = shared.register(
        {"name": "init", "command": ["sh", "-c", "exit 1"], "essential": False},
        {"name": "app", "command": STAY, "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]},
    )
    task = shared.stopped(shared.run(definition))
    assert task["stopCode"] == "TaskFailedToStart"
    assert container_of(task, "init")["exitCode"] == 1
    assert container_of(task, "app")["exitCode"] == 143
    assert "runtimeId" not in container_of(task, "app")


def test_on_the_way_down_a_container_stops_after_those_that_depend_on_it(shared: RealNode) -> None:
    polite = [*lines("trap 'exit 0' TERM", "while :; do sleep 600 & wait; done")]
    definition = shared.register(
        {"name": "base", "command": polite},
        {"name": "app", "command": polite, "dependsOn": [{"containerName": "base", "condition": "START"}]},
    )
    task = shared.running(shared.run(definition))
    task = shared.stop(task["taskArn"])
    base, app = shared.container(task, "base"), shared.container(task, "app")
    assert at(app, "FinishedAt") < at(base, "FinishedAt")


def test_a_restart_policy_brings_a_container_back_until_its_exit_code_is_to_be_ignored(
    shared: RealNode,
) -> None:
    """Sent to the agent itself: the API takes no period under a minute."""
    arn = f"{shared.instance.replace(':container-instance/', ':task/')[:-8]}deadbeef"
    script = lines(
        "n=$(cat /work/n || echo 0)", "echo $((n + 1)) >/work/n", "sleep 1.2", "[ $n = 2 ] && exit 9; exit 1"
    )
    policy = RestartPolicy(enabled=True, ignored_exit_codes=(9,), restart_attempt_period=1)
    payload = PayloadTask(
        arn=arn,
        family="restarts",
        version="1",
        network_mode="none",
        containers=(Container(name="app", image=IMAGE, command=script, memory=16, restart_policy=policy),),
    )
    engine = shared.agent.engine
    assert engine is not None
    shared.live.run(engine.take([payload]))
    owner = engine.find(arn)
    assert owner is not None

    async def over() -> None:
        while owner.record.alive:  # noqa: ASYNC110 - reports go to the control plane, which knows nothing of it
            await asyncio.sleep(0.05)

    shared.live.run(over())
    known = owner.record.of("app")
    assert (known.restarts, known.exit_code) == (2, 9)
    docker = shared.docker("GET", f"/containers/{known.docker_id}/json")
    assert docker["State"]["ExitCode"] == 9


# ---- what the process sees ----------------------------------------------------------------------


def test_the_process_runs_as_it_was_described(shared: RealNode) -> None:
    said = said_by(
        shared,
        "id -u; pwd; hostname; echo $GREETING; ulimit -n",
        "touch /etc/x 2>/dev/null || echo readonly",
        "grep -c ' /scratch tmpfs .*noexec' /proc/mounts",
        "cat /proc/1/comm",
        "grep CapBnd /proc/self/status | awk '{print $2}'",
        "stat -c %s /dev/null; ls /dev/mine",
        "awk '$2 == \"/dev/shm\" {print $4}' /proc/mounts | tr , '\\n' | grep size",
        user="65534",
        workingDirectory="/data",
        hostname="given",
        environment=[{"name": "GREETING", "value": "hello"}],
        ulimits=[{"name": "nofile", "softLimit": 300, "hardLimit": 400}],
        readonlyRootFilesystem=True,
        task={"networkMode": "bridge"},
        linuxParameters={
            "initProcessEnabled": True,
            "sharedMemorySize": 8,
            "tmpfs": [{"containerPath": "/scratch", "size": 4, "mountOptions": ["noexec"]}],
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/mine", "permissions": ["read"]}],
        },
    )
    assert said[:7] == ["65534", "/data", "given", "hello", "300", "readonly", "1"]
    assert "init" in said[7]
    assert int(said[8], 16) == 1 << 10, "CAP_NET_BIND_SERVICE alone"
    assert said[10] == "/dev/mine"
    assert said[11] == "size=8192k"


def test_names_and_kernel_settings_are_the_containers_own(shared: RealNode) -> None:
    said = said_by(
        shared,
        "cat /etc/resolv.conf | grep -v '^#'",
        "grep db.internal /etc/hosts",
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        dnsServers=["10.9.8.7"],
        dnsSearchDomains=["corp.internal"],
        extraHosts=[{"hostname": "db.internal", "ipAddress": "10.1.2.3"}],
        systemControls=[{"namespace": "net.ipv4.ip_unprivileged_port_start", "value": "80"}],
        task={"networkMode": "bridge"},
    )
    assert {"nameserver 10.9.8.7", "search corp.internal"} <= set(said)
    assert "10.1.2.3\tdb.internal" in said
    assert said[-1] == "80"


def test_what_docker_is_told_beside_that(shared: RealNode) -> None:
    task = shared.running(
        shared.run(
            shared.register(
                {
                    "command": STAY,
                    "cpu": 128,
                    "memory": 32,
                    "memoryReservation": 16,
                    "privileged": True,
                    "interactive": True,
                    "pseudoTerminal": True,
                    "disableNetworking": False,
                    "dockerLabels": {"who": "me"},
                    "dockerSecurityOptions": ["no-new-privileges"],
                    "entryPoint": ["/bin/sh", "-c", 'exec "$0" "$@"'],
                    "linuxParameters": {"maxSwap": 8, "swappiness": 30},
                    "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
                }
            )
        )
    )
    docker = shared.container(task)
    config, host = docker["Config"], docker["HostConfig"]
    assert (host["CpuShares"], host["Memory"], host["MemoryReservation"]) == (128, 32 << 20, 16 << 20)
    assert (host["Privileged"], config["OpenStdin"], config["Tty"]) == (True, True, True)
    assert (host["MemorySwap"], host["MemorySwappiness"]) == (40 << 20, 30)
    assert host["SecurityOpt"][0] == "no-new-privileges"
    assert host["LogConfig"]["Type"] == "json-file"
    options = host["LogConfig"]["Config"]
    assert options["max-size"] == "1m"
    assert options["mode"] == "non-blocking"  # Source: account setting defaultLogDriverMode, default
    assert config["Labels"]["who"] == "me"
    assert config["Labels"]["com.amazonaws.ecs.task-arn"] == task["taskArn"]
    assert (config["Entrypoint"][0], config["Cmd"]) == ("/bin/sh", STAY)
    shared.stop(task["taskArn"])


def test_an_override_of_one_run_goes_before_the_definition(shared: RealNode) -> None:
    definition = shared.register({"command": STAY, "environment": [{"name": "A", "value": "defined"}]})
    override = {
        "name": "app",
        "command": [*lines("echo $A $B")],
        "environment": [{"name": "A", "value": "given"}, {"name": "B", "value": "too"}],
        "memory": 24,
    }
    task = shared.stopped(shared.run(definition, overrides={"containerOverrides": [override]}))
    assert shared.logs(task) == ["given too"]
    assert shared.container(task)["HostConfig"]["Memory"] == 24 << 20


def test_links_lead_to_the_other_container(shared: RealNode) -> None:
    definition = shared.register(
        {"name": "db", "command": ["httpd", "-f", "-p", "80", "-h", "/etc"]},
        {
            "name": "app",
            "links": ["db:store"],
            "command": [*lines("sleep 1", "nc store 80 </dev/null && echo reached")],
        },
        networkMode="bridge",
    )
    task = shared.stopped(shared.run(definition))
    assert shared.logs(task) == ["reached"]


def test_volumes_are_shared_kept_and_removed_as_their_scope_says(shared: RealNode, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the host\n")
    kept = f"kept-{shared.installation[:10]}"
    volumes = [
        {"name": "host", "host": {"sourcePath": str(tmp_path)}},
        {"name": "scratch", "host": {}},
        {"name": "own", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}},
        {
            "name": kept,
            "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True, "driver": "local"},
        },
    ]
    mounts = [
        {"sourceVolume": "host", "containerPath": "/h", "readOnly": True},
        {"sourceVolume": "scratch", "containerPath": "/s"},
        {"sourceVolume": "own", "containerPath": "/o"},
        {"sourceVolume": kept, "containerPath": "/k"},
    ]
    writer = [
        *lines("echo one >/s/a; echo two >/o/b; echo three >>/k/c", "touch /h/x 2>/dev/null || echo refused")
    ]
    reader = [*lines("cat /h/given /s/a /o/b /k/c", "touch /s/x 2>/dev/null || echo refused")]
    definition = shared.register(
        {"name": "writer", "command": writer, "essential": False, "mountPoints": mounts},
        {
            "command": reader,
            "volumesFrom": [{"sourceContainer": "writer", "readOnly": True}],
            "dependsOn": [{"containerName": "writer", "condition": "SUCCESS"}],
        },
        volumes=volumes,
    )
    try:
        for times in (1, 2):
            task = shared.stopped(shared.run(definition))
            assert shared.logs(task, "writer") == ["refused"]
            expected = ["from the host", "one", "two", *["three"] * times, "refused"]
            assert shared.logs(task) == expected, "scratch is new for every task, the shared volume is not"
        shared.nothing_left()
        assert shared.docker("GET", f"/volumes/{kept}")["Name"] == kept
    finally:
        shared.docker("DELETE", f"/volumes/{kept}")


def test_a_shared_volume_of_another_kind_is_not_taken_for_this_one(shared: RealNode) -> None:
    kept = f"other-{shared.installation[:10]}"
    shared.docker("POST", "/volumes/create", body={"Name": kept, "Labels": {"of": "somebody"}})
    configuration = {"scope": "shared", "autoprovision": True, "driver": "local", "labels": {"of": "me"}}
    try:
        definition = shared.register(
            {"command": STAY, "mountPoints": [{"sourceVolume": kept, "containerPath": "/k"}]},
            volumes=[{"name": kept, "dockerVolumeConfiguration": configuration}],
        )
        task = shared.stopped(shared.run(definition))
        assert task["stopCode"] == "TaskFailedToStart"
        assert "labels" in task["stoppedReason"]
        assert kept in task["stoppedReason"]
    finally:
        shared.docker("DELETE", f"/volumes/{kept}")


def test_environment_files_are_refused_while_there_is_no_s3(shared: RealNode) -> None:
    files = [{"type": "s3", "value": "arn:aws:s3:::bucket/file.env"}]
    definition = shared.register({"environmentFiles": files})
    with pytest.raises(shared.ecs.exceptions.ClientException, match="S3"):
        shared.run(definition)


def test_the_host_ports_that_were_chosen_are_shown_and_lead_to_the_container(shared: RealNode) -> None:
    definition = shared.register(
        {
            "command": ["httpd", "-f", "-p", "8080", "-h", "/etc"],
            "portMappings": [
                {"containerPort": 8080},
                {"containerPort": 9000, "protocol": "udp"},
                {"containerPortRange": "7000-7002"},
            ],
        },
        networkMode="bridge",
    )
    task = shared.running(shared.run(definition))
    bindings = container_of(task, "app")["networkBindings"]
    ports = shared.container(task)["NetworkSettings"]["Ports"]
    (web,) = (each for each in bindings if each.get("containerPort") == 8080)
    (udp,) = (each for each in bindings if each.get("protocol") == "udp")
    (many,) = (each for each in bindings if each.get("containerPortRange") == "7000-7002")
    assert web["bindIP"] == "127.0.0.1"
    assert 49153 <= web["hostPort"] <= 65535
    assert ports["8080/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(web["hostPort"])}]
    assert ports["9000/udp"] == [{"HostIp": "127.0.0.1", "HostPort": str(udp["hostPort"])}]
    first, last = map(int, many["hostPortRange"].split("-"))
    assert last - first == 2
    assert ports["7001/tcp"][0]["HostPort"] == str(first + 1)
    shared.stop(task["taskArn"])


def test_a_task_may_share_one_pid_and_one_ipc_namespace(shared: RealNode) -> None:
    definition = shared.register(
        {"name": "other", "command": ["sleep", "4242"]},
        {
            "command": [*lines("ps | grep -c '[s]leep 4242'", "ls -l /proc/self/ns/ipc | awk '{print $NF}'")],
            "dependsOn": [{"containerName": "other", "condition": "START"}],
        },
        pidMode="task",
        ipcMode="task",
    )
    task = shared.stopped(shared.run(definition))
    said = shared.logs(task)
    assert said[0] == "1"
    other = shared.container(task, "other")
    assert other["HostConfig"]["IpcMode"] == shared.container(task)["HostConfig"]["IpcMode"]
    assert other["HostConfig"]["IpcMode"].startswith("container:")
    assert {each["name"] for each in task["containers"]} == {"other", "app"}, (
        "the holder is nobody's business"
    )


def test_a_tasks_own_limits_are_a_cgroup_above_its_containers(shared: RealNode) -> None:
    task = shared.running(shared.run(shared.register({"command": STAY}, cpu="512", memory="64")))
    name = task["taskArn"].rpartition("/")[2]
    groups = [path for path in cgroups(f"homeport-{shared.installation[:12]}/e2e/{name}") if path.is_dir()]
    assert groups

    def first(*files: str) -> str:
        return next(
            (group / file).read_text() for group in groups for file in files if (group / file).exists()
        )

    assert first("cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert first("memory.limit_in_bytes", "memory.max").strip() == str(64 << 20)
    runtime = container_of(task, "app")["runtimeId"]
    assert any((group / runtime).is_dir() for group in groups), "its container lies in it"
    shared.stop(task["taskArn"])


def test_from_inside_the_metadata_endpoint_tells_who_one_is_and_what_one_uses(shared: RealNode) -> None:
    script = [
        *lines(
            ASK,
            'path() { echo "/${1#http://*/}"; }',
            "sleep 3",
            "ask $(path $ECS_CONTAINER_METADATA_URI_V4)",
            "ask $(path $ECS_CONTAINER_METADATA_URI_V4)/task",
            "ask $(path $ECS_CONTAINER_METADATA_URI_V4)/stats",
            "ask $(path $ECS_CONTAINER_METADATA_URI)/stats",
        )
    ]
    task = shared.stopped(shared.run(shared.register({"command": script}, networkMode="bridge")), 60.0)
    container, whole, stats, older = (json.loads(line) for line in shared.logs(task))
    runtime = container_of(task, "app")["runtimeId"]
    assert container["DockerId"] == runtime
    assert container["KnownStatus"] == "RUNNING"
    assert whole["TaskARN"] == task["taskArn"]
    assert [each["DockerId"] for each in whole["Containers"]] == [runtime]
    assert stats["memory_stats"]["usage"] > 0
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert older["read"] >= stats["read"]
