"""Limits above Docker's own: files on a pretended machine, and a real kernel that kills."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.node.drivers.cgroups import (
    CgroupError,
    CgroupfsV1,
    CgroupfsV2,
    InstanceCgroups,
    InstanceSlices,
    Limits,
    instance_cgroups,
    v1_files,
    v2_files,
    weight_of,
)
from homeport.node.ports import EngineInfo
from tests.kit.docker import Engine, cgroups, exited, lines, until

MIB = 1 << 20


def a_v1_machine(root: Path) -> Path:
    for controller in ("cpu", "memory", "freezer"):
        (root / controller).mkdir(parents=True)
    return root


class TestNumbers:
    def test_cpus_become_a_quota_of_a_tenth_of_a_second(self) -> None:
        files = v1_files(Limits(cpus=0.25, shares=256, memory_bytes=64 * MIB))
        assert files["cpu", "cpu.cfs_period_us"] == "100000"
        assert files["cpu", "cpu.cfs_quota_us"] == "25000"
        assert files["cpu", "cpu.shares"] == "256"
        assert files["memory", "memory.limit_in_bytes"] == str(64 * MIB)

    def test_no_limit_is_said_in_each_versions_words(self) -> None:
        assert v1_files(Limits())["cpu", "cpu.cfs_quota_us"] == "-1"
        assert v1_files(Limits())["memory", "memory.limit_in_bytes"] == "-1"
        assert v2_files(Limits()) == {"cpu.max": "max 100000", "cpu.weight": "39", "memory.max": "max"}

    @pytest.mark.parametrize(
        ("shares", "weight"), [(2, 1), (0, 1), (1024, 39), (262144, 10000), (10**6, 10000)]
    )
    def test_shares_become_weights_as_runc_does_it(self, shares: int, weight: int) -> None:
        """Source: opencontainers/runc, ConvertCPUSharesToCgroupV2Value."""
        assert weight_of(shares) == weight

    @given(st.floats(0.001, 512), st.integers(0, 10**6), st.one_of(st.none(), st.integers(1, 1 << 40)))
    def test_the_kernel_is_never_given_less_than_it_takes(
        self, cpus: float, shares: int, memory: int | None
    ) -> None:
        files = v1_files(Limits(cpus=cpus, shares=shares, memory_bytes=memory))
        assert int(files["cpu", "cpu.cfs_quota_us"]) >= 1000
        assert 2 <= int(files["cpu", "cpu.shares"]) <= 262144


class TestFiles:
    async def test_a_task_lies_below_its_instance(self, tmp_path: Path) -> None:
        groups = InstanceCgroups(
            CgroupfsV1(a_v1_machine(tmp_path)), "hp/i0", Limits(cpus=1, memory_bytes=MIB)
        )
        await groups.setup()
        await groups.create("t1", cpus=0.5, shares=2, memory_bytes=None)
        assert groups.parent_of("t1") == "/hp/i0/t1"
        assert (tmp_path / "memory/hp/i0/memory.limit_in_bytes").read_text() == str(MIB)
        assert (tmp_path / "cpu/hp/i0/t1/cpu.cfs_quota_us").read_text() == "50000"
        await groups.create("t1", cpus=0.25, shares=2, memory_bytes=None)
        assert (tmp_path / "cpu/hp/i0/t1/cpu.cfs_quota_us").read_text() == "25000"

    async def test_v2_passes_its_controllers_down(self, tmp_path: Path) -> None:
        groups = InstanceCgroups(CgroupfsV2(tmp_path), "hp/i0", Limits(cpus=2))
        await groups.setup()
        await groups.create("t1", cpus=1.5, shares=1024, memory_bytes=5 * MIB)
        for above in ("", "hp", "hp/i0"):
            assert (tmp_path / above / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
        assert (tmp_path / "hp/i0/t1/cpu.max").read_text() == "150000 100000"
        assert (tmp_path / "hp/i0/t1/memory.max").read_text() == str(5 * MIB)
        assert not (tmp_path / "hp/i0/t1/cgroup.subtree_control").exists()

    async def test_a_missing_controller_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "memory").mkdir()
        groups = InstanceCgroups(CgroupfsV1(tmp_path), "hp/i0", Limits())
        with pytest.raises(CgroupError, match="cpu controller is not mounted"):
            await groups.setup()

    async def test_a_group_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        machine = a_v1_machine(tmp_path)
        (machine / "cpu/hp").write_text("in the way")
        with pytest.raises(CgroupError, match=r"cpu/hp"):
            await InstanceCgroups(CgroupfsV1(machine), "hp/i0", Limits()).setup()


class TestSlices:
    async def test_systemd_is_told_the_limits_and_forgets_them(self) -> None:
        said: list[tuple[str, ...]] = []

        async def run(*command: str, stdin: str = "") -> str:
            said.append(command)
            return ""

        slices = InstanceSlices(run, "homeportx", Limits(cpus=1.5, memory_bytes=MIB))
        await slices.setup()
        assert slices.parent_of("t1") == "homeportx-t1.slice"
        assert said[0] == (
            "systemctl", "set-property", "--runtime", "homeportx.slice",
            "CPUQuota=150%", "CPUWeight=39", f"MemoryMax={MIB}",
        )  # fmt: skip
        said.clear()
        await slices.remove("t1")
        assert [command[1] for command in said] == ["stop", "revert"]
        assert {command[2] for command in said} == {"homeportx-t1.slice"}

    def test_a_dash_would_be_another_slice(self) -> None:
        async def run(*command: str, stdin: str = "") -> str:
            return ""

        with pytest.raises(ValueError, match="dashes"):
            InstanceSlices(run, "a-b", Limits())

    @pytest.mark.parametrize(
        ("driver", "version", "kind"),
        [
            ("systemd", "2", InstanceSlices),
            ("cgroupfs", "1", InstanceCgroups),
            ("cgroupfs", "2", InstanceCgroups),
        ],
    )
    def test_the_engines_own_driver_decides(self, driver: str, version: str, kind: type) -> None:
        async def run(*command: str, stdin: str = "") -> str:
            return ""

        info = EngineInfo(
            version="", api_version="", cpus=1, memory_bytes=1, log_drivers=(), volume_plugins=(),
            cgroup_version=version, cgroup_driver=driver, architecture="", operating_system="",
        )  # fmt: skip
        made = instance_cgroups(info, homeport="x", instance="i0", limits=Limits(), run=run)
        assert isinstance(made, kind)


@pytest.mark.docker
@pytest.mark.root
class TestTheKernel:
    async def test_a_task_that_exceeds_its_limit_is_killed_and_leaves_no_group(self, docker: Engine) -> None:
        groups = await self._groups(docker, Limits(cpus=1, memory_bytes=512 * MIB))
        await groups.create("t1", cpus=0.5, shares=512, memory_bytes=24 * MIB)
        parent = {"CgroupParent": groups.parent_of("t1"), "NetworkMode": "none"}
        eat = docker.spec("eat", *lines("x=aaaaaaaaaaaaaaaa", "while :; do x=$x$x; done"), host=parent)
        await docker.run(eat)
        status = await until(docker.containers, eat.name, exited)
        assert status is not None
        assert status.exit_code == 137
        await self._gone(docker, groups)

    async def test_an_instances_limit_holds_for_all_its_tasks(self, docker: Engine) -> None:
        groups = await self._groups(docker, Limits(memory_bytes=24 * MIB))
        await groups.create("t1", cpus=None, shares=2, memory_bytes=None)
        parent = {"CgroupParent": groups.parent_of("t1"), "NetworkMode": "none"}
        eat = docker.spec("eat", *lines("x=aaaaaaaaaaaaaaaa", "while :; do x=$x$x; done"), host=parent)
        await docker.run(eat)
        status = await until(docker.containers, eat.name, exited)
        assert status is not None
        assert status.exit_code == 137
        await self._gone(docker, groups)

    async def test_more_cpu_than_the_instance_has_is_refused_clearly(self, docker: Engine) -> None:
        groups = await self._groups(docker, Limits(cpus=0.5))
        with pytest.raises(CgroupError, match="may not have more than its instance"):
            await groups.create("t1", cpus=1.0, shares=2, memory_bytes=None)
        await self._gone(docker, groups)

    async def _groups(self, docker: Engine, limits: Limits) -> InstanceCgroups:
        info = await docker.containers.info()

        async def run(*command: str, stdin: str = "") -> str:
            raise AssertionError(f"this machine's Docker leaves cgroups to systemd: {command}")

        groups = instance_cgroups(info, homeport=docker.run_id, instance="i0", limits=limits, run=run)
        assert isinstance(groups, InstanceCgroups)
        await groups.setup()
        return groups

    async def _gone(self, docker: Engine, groups: InstanceCgroups) -> None:
        for name in docker.made:
            await docker.containers.remove(name)
        await groups.remove("t1")
        await groups.remove("t1")
        await groups.teardown()
        assert cgroups(f"homeport-{docker.run_id}") == []
