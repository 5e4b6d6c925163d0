"""A task as Docker's create bodies, as the real agent makes them. Source: amazon-ecs-agent 1.105.1."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.agentproto.messages import (
    Association,
    Container,
    DockerConfig,
    DockerVolume,
    HostVolume,
    MountPoint,
    PayloadMessage,
    RoleCredentials,
    Task,
    Volume,
    VolumeFrom,
    decode_frame,
)
from homeport.node.names import PAUSE_CONTAINER, container_name, endpoint_id, task_id, volume_name
from homeport.node.ports import ContainerSpec, DriverError, VolumeSpec
from homeport.node.render import RenderContext, mac_address, needs_pause, render_container, render_pause
from homeport.node.render_json import laid_over
from homeport.node.render_volumes import mismatch, render_volumes

RECORDINGS = Path(__file__).parents[2] / "data" / "agent-wire"
ARN = "arn:aws:ecs:us-east-1:123456789012:task/default/0000000000000000000000000000001e"
CONTEXT = RenderContext(
    cluster="default", region="us-east-1", host_ip="172.31.0.4", host_metadata="http://127.0.0.1:51679"
)
LABELS = {
    "com.amazonaws.ecs.cluster": "default",
    "com.amazonaws.ecs.container-name": "app",
    "com.amazonaws.ecs.task-arn": ARN,
    "com.amazonaws.ecs.task-definition-family": "fam",
    "com.amazonaws.ecs.task-definition-version": "1",
}


def a_task(*containers: Container, **members: Any) -> Task:
    return Task(**{"arn": ARN, "family": "fam", "version": "1", "containers": containers, **members})


def an_app(**members: Any) -> Container:
    config, host = members.pop("config", {}), members.pop("host", {})
    texts = DockerConfig(config=json.dumps(config), host_config=json.dumps(host))
    return Container(**{"name": "app", "image": "bb:1", "docker_config": texts, **members})


def render(
    container: Container, *, context: RenderContext = CONTEXT, task: dict[str, Any] | None = None, **how: Any
) -> ContainerSpec:
    return render_container(a_task(container, **(task or {})), container, context, **how)


def env_of(spec: ContainerSpec) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in spec.config["Env"])


def recorded_tasks() -> list[Task]:
    """Every payload's task that the real agent was sent and that had containers."""
    found: dict[str, Task] = {}
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if row.get("kind") != "ws-out" or '"PayloadMessage"' not in line:
                continue
            try:
                frame = decode_frame(json.dumps(row["frame"]))
            except ValueError:
                continue
            assert isinstance(frame, PayloadMessage)
            found |= {
                f"{path.stem[:2]}-{task_id(task.arn)[-4:]}": task for task in frame.tasks if task.containers
            }
    return list(found.values())


class TestNames:
    def test_a_container_is_named_after_its_revision(self) -> None:
        name = container_name(a_task(), "my_app.1")
        assert name.startswith("ecs-fam-1-myapp1-")
        assert len(name.rpartition("-")[2]) == 20
        assert int(name.rpartition("-")[2], 16) >= 0

    @given(st.sampled_from(["app", "a.b", "a_b", "ab"]), st.sampled_from(["app", "a.b", "a_b", "ab"]))
    def test_different_containers_never_share_a_name(self, one: str, other: str) -> None:
        task = a_task()
        assert (container_name(task, one) == container_name(task, other)) == (one == other)
        assert (endpoint_id(ARN, one) == endpoint_id(ARN, other)) == (one == other)

    def test_names_are_the_same_in_every_process(self) -> None:
        """Adopting containers after an upgrade depends on these exact names."""
        task = a_task()
        assert container_name(task, "app") == "ecs-fam-1-app-3bb4d974069a996fd048"
        assert volume_name(task, "app") == "ecs-fam-1-app-5dcac322273a82a53d61"
        assert endpoint_id(ARN, "app") == "92753d8e-c40c-0928-254c-3225efb4b542"
        assert container_name(replace_arn(task), "app") != container_name(task, "app")


def replace_arn(task: Task) -> Task:
    return Task(arn=task.arn[:-1] + "f", family=task.family, version=task.version)


class TestBase:
    def test_an_empty_container_gets_only_what_every_container_gets(self) -> None:
        spec = render(an_app())
        own = endpoint_id(ARN, "app")
        assert spec.image == "bb:1"
        assert spec.name == container_name(a_task(), "app")
        assert spec.config == {
            "Env": [
                f"ECS_CONTAINER_METADATA_URI=http://169.254.170.2/v3/{own}",
                f"ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/{own}",
                f"ECS_AGENT_URI=http://169.254.170.2/api/{own}",
                "AWS_DEFAULT_REGION=us-east-1",
                "AWS_REGION=us-east-1",
            ],
            "Labels": LABELS,
        }
        assert spec.host_config == {"CpuShares": 2, "NetworkMode": "bridge"}
        assert spec.networking_config == {}

    @pytest.mark.parametrize(
        ("cpu", "shares", "memory", "limit"),
        [(0, 2, 0, None), (1, 2, 1, 4 << 20), (10, 10, 4, 4 << 20), (262145, 262144, 64, 64 << 20)],
    )
    def test_cpu_and_memory_have_the_agents_bounds(
        self, cpu: int, shares: int, memory: int, limit: int | None
    ) -> None:
        host = render(an_app(cpu=cpu, memory=memory)).host_config
        assert host["CpuShares"] == shares
        assert host.get("Memory") == limit

    def test_command_and_entry_point_are_kept_apart_from_nothing(self) -> None:
        spec = render(an_app(command=("a", "b"), entry_point=()))
        assert (spec.config["Cmd"], spec.config["Entrypoint"]) == (["a", "b"], [])
        assert "Cmd" not in render(an_app()).config

    def test_runtasks_command_is_the_agents_to_apply(self) -> None:
        spec = render(an_app(command=("a",), overrides='{"command":["b"]}'))
        assert spec.config["Cmd"] == ["b"]
        assert render(an_app(command=("a",), overrides="{}")).config["Cmd"] == ["a"]
        with pytest.raises(DriverError):
            render(an_app(overrides='{"environment":{}}'))

    def test_links_and_volumes_from_use_docker_names(self) -> None:
        app = an_app(
            links=("db", "db:store"),
            volumes_from=(
                VolumeFrom(source_container="db"),
                VolumeFrom(source_container="x", read_only=True),
            ),
        )
        host = render(app).host_config
        db = container_name(a_task(), "db")
        assert host["Links"] == [f"{db}:db", f"{db}:store"]
        assert host["VolumesFrom"] == [db, container_name(a_task(), "x") + ":ro"]

    def test_mounts_become_binds(self) -> None:
        volumes = (
            Volume(name="path", host=HostVolume(source_path="/srv")),
            Volume(name="empty", host=HostVolume()),
            Volume(name="own", type="docker", docker_volume_configuration=DockerVolume()),
            Volume(name="all", type="docker", docker_volume_configuration=DockerVolume(scope="shared")),
        )
        mounts = tuple(
            MountPoint(source_volume=each.name, container_path=f"/{each.name}", read_only=each.name == "path")
            for each in volumes
        )
        host = render(an_app(mount_points=mounts), task={"volumes": volumes}).host_config
        task = a_task()
        assert host["Binds"] == [
            "/srv:/path:ro",
            f"{volume_name(task, 'empty')}:/empty",
            f"{volume_name(task, 'own')}:/own",
            "all:/all",
        ]

    def test_a_volume_that_the_task_lacks_is_refused(self) -> None:
        """Source: recording 07 (HostConfigError: Invalid volume referenced: zz)."""
        with pytest.raises(DriverError) as refused:
            render(an_app(mount_points=(MountPoint(source_volume="zz", container_path="/z"),)))
        assert str(refused.value) == "HostConfigError: Invalid volume referenced: zz"


class TestPorts:
    PORTS = ((80, "tcp", 49153), (80, "udp", 49153), (81, "tcp", 8081), (81, "tcp", 8082))

    def test_ports_are_bound_to_the_instances_address(self) -> None:
        spec = render(an_app(), host_ports=self.PORTS)
        assert spec.config["ExposedPorts"] == {"80/tcp": {}, "80/udp": {}, "81/tcp": {}}
        assert spec.host_config["PortBindings"] == {
            "80/tcp": [{"HostIp": "172.31.0.4", "HostPort": "49153"}],
            "80/udp": [{"HostIp": "172.31.0.4", "HostPort": "49153"}],
            "81/tcp": [
                {"HostIp": "172.31.0.4", "HostPort": "8081"},
                {"HostIp": "172.31.0.4", "HostPort": "8082"},
            ],
        }

    @pytest.mark.parametrize("mode", ["host", "none"])
    def test_only_a_bridge_publishes(self, mode: str) -> None:
        spec = render(an_app(), host_ports=self.PORTS, task={"network_mode": mode})
        assert "PortBindings" not in spec.host_config
        assert spec.host_config["NetworkMode"] == mode


class TestEnvironment:
    @pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
    @pytest.mark.parametrize("where", ["task", "image"])
    def test_a_region_of_ones_own_is_left_alone(self, name: str, where: str) -> None:
        given = {name: "elsewhere"}
        spec = (
            render(an_app(environment=given))
            if where == "task"
            else render(an_app(), image_env=[f"{name}=elsewhere"])
        )
        assert {key: value for key, value in env_of(spec).items() if "REGION" in key} == (
            given if where == "task" else {}
        )

    def test_credentials_are_found_by_a_relative_uri_on_the_bridge(self) -> None:
        env = env_of(render(an_app(), task={"role_credentials": RoleCredentials(credentials_id="c1")}))
        assert env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] == "/v2/credentials/c1"
        assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" not in env

    def test_credentials_are_found_by_a_full_uri_in_the_hosts_namespace(self) -> None:
        role = RoleCredentials(credentials_id="c1")
        env = env_of(render(an_app(), task={"role_credentials": role, "network_mode": "host"}))
        assert env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://127.0.0.1:51679/v2/credentials/c1"
        assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in env
        assert env["ECS_CONTAINER_METADATA_URI_V4"].startswith("http://127.0.0.1:51679/v4/")

    def test_without_a_network_there_is_nothing_to_ask(self) -> None:
        role = RoleCredentials(credentials_id="c1")
        env = env_of(render(an_app(), task={"role_credentials": role, "network_mode": "none"}))
        assert env.keys() == {"AWS_REGION", "AWS_DEFAULT_REGION"}

    def test_the_agents_variables_win(self) -> None:
        env = env_of(render(an_app(environment={"ECS_AGENT_URI": "mine", "A": "b=c"})))
        assert env["ECS_AGENT_URI"].startswith("http://169.254.170.2/api/")
        assert env["A"] == "b=c"


class TestDockerConfig:
    def test_the_control_planes_texts_are_laid_over_and_the_agents_word_is_last(self) -> None:
        spec = render(
            an_app(
                memory=64,
                config={"Labels": {"user": "lbl", "com.amazonaws.ecs.cluster": "forged"}, "User": "nobody"},
                host={"NetworkMode": "host", "Memory": 99, "Dns": ["8.8.8.8"], "CgroupParent": "/escape"},
            ),
            cgroup_parent="/ecs/t",
        )
        assert spec.config["Labels"] == {"user": "lbl", **LABELS}
        assert spec.config["User"] == "nobody"
        assert spec.host_config == {
            "CpuShares": 2,
            "Memory": 99,
            "Dns": ["8.8.8.8"],
            "NetworkMode": "bridge",
            "CgroupParent": "/ecs/t",
        }

    def test_labels_of_the_node_do_not_hide_the_agents(self) -> None:
        context = replace(CONTEXT, labels={"homeport": "x", "com.amazonaws.ecs.task-arn": "forged"})
        assert render(an_app(), context=context).config["Labels"] == {"homeport": "x", **LABELS}

    def test_a_health_check_that_is_missing_is_said(self) -> None:
        with pytest.raises(DriverError) as refused:
            render(an_app(health_check_type="docker"))
        assert refused.value.name == "DockerClientConfigError"
        check = {"Test": ["CMD-SHELL", "true"]}
        assert (
            render(an_app(health_check_type="docker", config={"Healthcheck": check})).config["Healthcheck"]
            == check
        )

    @pytest.mark.parametrize("text", ["{", "[]", "1", "null"])
    def test_a_text_that_is_no_object_is_said(self, text: str) -> None:
        container = Container(name="app", image="bb:1", docker_config=DockerConfig(host_config=text))
        with pytest.raises(DriverError):
            render(container)

    @pytest.mark.parametrize("task", recorded_tasks(), ids=lambda task: task_id(task.arn)[-6:])
    def test_recorded_payloads_are_rendered(self, task: Task) -> None:
        """What the real agent took, we take."""
        for container in task.containers:
            network = "holder" if task.network_mode == "awsvpc" else ""
            known = {volume.name for volume in task.volumes}
            if unknown := [m for m in container.mount_points if m.source_volume not in known]:
                with pytest.raises(DriverError, match=unknown[0].source_volume):
                    render_container(task, container, CONTEXT)
                continue
            if json.loads(container.overrides or "{}").keys() - {"command"}:
                with pytest.raises(DriverError, match="overrides"):
                    render_container(task, container, CONTEXT)
                continue
            spec = render_container(task, container, CONTEXT, network=network)
            host = json.loads(container.docker_config.host_config)
            assert {name: spec.host_config[name] for name in host} | {"LogConfig": 0} == host | {
                "LogConfig": 0
            }
            config = json.loads(container.docker_config.config)
            for name in config.keys() - {"Labels"}:
                assert spec.config[name] == config[name]
            assert spec.config["Labels"].items() >= config.get("Labels", {}).items()


class TestLogs:
    def test_non_blocking_logs_get_a_buffer(self) -> None:
        host = {"LogConfig": {"Type": "json-file", "Config": {"mode": "non-blocking"}}}
        assert render(an_app(host=host)).host_config["LogConfig"]["Config"] == {
            "mode": "non-blocking",
            "max-buffer-size": "10m",
        }
        host["LogConfig"]["Config"]["max-buffer-size"] = "1m"  # type: ignore[index]
        assert render(an_app(host=host)).host_config["LogConfig"]["Config"]["max-buffer-size"] == "1m"

    def test_the_execution_role_logs(self) -> None:
        """Source: reference, agent protocol 9 (logsAuthStrategy)."""
        host = {"LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "g"}}}
        role = RoleCredentials(credentials_id="e1")
        app = an_app(host=host, logs_auth_strategy="ExecutionRole")
        spec = render(app, task={"execution_role_credentials": role})
        assert spec.host_config["LogConfig"]["Config"]["awslogs-credentials-endpoint"] == "/v2/credentials/e1"
        with pytest.raises(DriverError, match="execution role"):
            render(app)

    def test_firelens_is_refused(self) -> None:
        with pytest.raises(DriverError, match="awsfirelens"):
            render(an_app(host={"LogConfig": {"Type": "awsfirelens", "Config": {}}}))


class TestNamespaces:
    @pytest.mark.parametrize(("pid", "ipc"), [("host", "none"), ("host", "host")])
    def test_the_hosts_namespaces_need_no_holder(self, pid: str, ipc: str) -> None:
        members = {"pid_mode": pid, "ipc_mode": ipc}
        host = render(an_app(), task=members).host_config
        assert (host["PidMode"], host["IpcMode"]) == (pid, ipc)
        assert not needs_pause(a_task(**members))

    def test_shared_namespaces_are_the_pause_containers(self) -> None:
        members = {"pid_mode": "task", "ipc_mode": "task"}
        task = a_task(an_app(), **members)
        assert needs_pause(task)
        pause = render_pause(task, replace(CONTEXT, pause_image="pause:1"), cgroup_parent="/ecs/t")
        host = render(an_app(), task=members).host_config
        assert host["PidMode"] == host["IpcMode"] == f"container:{pause.name}"
        assert pause.image == "pause:1"
        assert pause.host_config["IpcMode"] == "shareable"
        assert pause.host_config["CgroupParent"] == "/ecs/t"
        assert pause.config["Labels"]["com.amazonaws.ecs.container-name"] == PAUSE_CONTAINER

    def test_a_network_that_this_node_has_not_is_refused(self) -> None:
        with pytest.raises(DriverError, match="awsvpc"):
            render(an_app(), task={"network_mode": "awsvpc"})


class TestGpus:
    TASK: ClassVar = {"associations": (Association(name="g1", type="gpu", containers=("app",)),)}

    def test_a_container_gets_its_devices(self) -> None:
        spec = render(an_app(), context=replace(CONTEXT, gpu_support=True), task=self.TASK)
        (request,) = spec.host_config["DeviceRequests"]
        assert request["DeviceIDs"] == ["g1"]
        assert request["Capabilities"] == [["gpu"]]
        assert env_of(spec)["NVIDIA_VISIBLE_DEVICES"] == "g1"

    def test_a_machine_without_gpus_says_so(self) -> None:
        with pytest.raises(DriverError, match="GPU"):
            render(an_app(), task=self.TASK)
        other = an_app(name="other")
        assert "DeviceRequests" not in render(other, task=self.TASK).host_config


class TestMacAddresses:
    @given(st.integers(0, 255), st.text(), st.text())
    def test_they_are_local_single_and_carry_the_slot(self, slot: int, arn: str, name: str) -> None:
        mac = bytes.fromhex(mac_address(slot, arn, name).replace(":", ""))
        assert len(mac) == 6
        assert mac[0] & 0b11 == 0b10
        assert mac[1] == slot

    def test_ten_thousand_containers_have_ten_thousand_addresses(self) -> None:
        assert len({mac_address(7, ARN, str(number)) for number in range(10_000)}) == 10_000

    def test_only_containers_on_the_bridge_carry_one(self) -> None:
        context = replace(CONTEXT, mac_slot=7)
        spec = render(an_app(), context=context)
        mac = mac_address(7, ARN, "app")
        assert spec.config["MacAddress"] == mac
        assert spec.networking_config == {"EndpointsConfig": {"bridge": {"MacAddress": mac}}}
        for other in (
            render(an_app(), context=context, task={"network_mode": "host"}),
            render(an_app(config={"NetworkDisabled": True}), context=context),
        ):
            assert "MacAddress" not in other.config
            assert other.networking_config == {}


class TestLayingOver:
    """Source: Go's encoding/json, which the agent uses."""

    def test_present_members_win_and_objects_merge(self) -> None:
        base = {"A": 1, "Map": {"x": 1, "y": 2}, "List": [1, 2]}
        over = {"a": 2, "Map": {"y": 3}, "List": [9], "New": None, "Map2": {}}
        assert laid_over(base, over) == {"A": 2, "Map": {"x": 1, "y": 3}, "List": [9], "Map2": {}}
        assert laid_over(base, {"List": None}) == {"A": 1, "Map": {"x": 1, "y": 2}}

    @given(st.dictionaries(st.text(), st.integers()), st.dictionaries(st.text(), st.integers()))
    def test_nothing_else_changes(self, base: dict[str, int], over: dict[str, int]) -> None:
        before = dict(base)
        merged = laid_over(base, over)
        assert base == before
        assert laid_over(base, {}) == base
        lowered = {name.lower() for name in over}
        assert all(merged[name] == value for name, value in base.items() if name.lower() not in lowered)


class TestVolumes:
    def test_each_kind_is_planned(self) -> None:
        shared = DockerVolume(scope="shared", driver="d", driver_opts={"o": "1"}, labels={"l": "2"})
        found = DockerVolume(scope="shared", autoprovision=True)
        task = a_task(
            volumes=(
                Volume(name="path", host=HostVolume(source_path="/srv")),
                Volume(name="empty", host=HostVolume()),
                Volume(name="shared", type="docker", docker_volume_configuration=shared),
                Volume(name="found", type="docker", docker_volume_configuration=found),
                Volume(
                    name="nfs",
                    type="efs",
                    efs_volume_configuration={"fileSystemId": "fs-1", "rootDirectory": "/r"},
                ),
            )
        )
        empty, given, made, nfs = render_volumes(task, region="eu-west-1")
        assert (empty.spec.name, empty.task_scoped, empty.must_exist) == (
            volume_name(task, "empty"),
            True,
            False,
        )
        assert given.spec == VolumeSpec(name="shared", driver="d", driver_opts={"o": "1"}, labels={"l": "2"})
        assert (given.task_scoped, given.must_exist) == (False, True)
        assert (made.spec.name, made.task_scoped, made.must_exist) == ("found", False, False)
        assert nfs.spec.driver_opts["device"] == ":/r"
        assert nfs.spec.driver_opts["o"].startswith("addr=fs-1.efs.eu-west-1.amazonaws.com,nfsvers=4.1,")

    @pytest.mark.parametrize(
        "volume",
        [
            Volume(name="v", type="fsxWindowsFileServer"),
            Volume(
                name="v",
                type="efs",
                efs_volume_configuration={"fileSystemId": "f", "transitEncryption": "ENABLED"},
            ),
            Volume(
                name="v",
                type="efs",
                efs_volume_configuration={"fileSystemId": "f", "authorizationConfig": {"iam": "ENABLED"}},
            ),
        ],
        ids=["fsx", "tls", "iam"],
    )
    def test_what_cannot_be_mounted_is_refused(self, volume: Volume) -> None:
        with pytest.raises(DriverError, match="not supported"):
            render_volumes(a_task(volumes=(volume,)), region="us-east-1")

    def test_a_shared_volume_of_another_kind_is_another_volume(self) -> None:
        wanted = VolumeSpec(name="v", driver_opts={"o": "1"})
        assert mismatch(wanted, wanted) == ""
        assert "driverOpts" in mismatch(wanted, VolumeSpec(name="v"))
        assert "driver" in mismatch(wanted, VolumeSpec(name="v", driver="x", driver_opts={"o": "1"}))
