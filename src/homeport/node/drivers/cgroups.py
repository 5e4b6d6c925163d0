"""Limits of whole tasks and of whole local instances: one cgroup each, above Docker's own.

Layout: `/<instance group>/<task id>/<container>`. On cgroup v1 the group
exists in every controller, and the limits are in `cpu` and `memory`; on v2
they are files of one group, or, where Docker leaves cgroups to systemd,
properties of a slice. Source: amazon-ecs-agent's task limits (cfs quota =
cpu x period, memory = task memory, shares at least 2).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from homeport.node.commands import CommandError, Run
from homeport.node.ports import DriverError, EngineInfo

PERIOD_US = 100_000
SHARES_MIN, SHARES_MAX = 2, 262_144
CGROUP_ROOT = Path("/sys/fs/cgroup")
_V1_CONTROLLERS = (
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
    "net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc", "unified", "systemd",
)  # fmt: skip
_REMOVE_ATTEMPTS = 40
_REMOVE_AGAIN_SECONDS = 0.05


class CgroupError(DriverError):
    """Limits cannot be set on this machine; the text says which file and why."""

    def __init__(self, text: str) -> None:
        super().__init__("CgroupError", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`cpus` and `memory_bytes`: `None` means no limit. `shares` in cgroup v1's scale."""

    cpus: float | None = None
    shares: int = 1024
    memory_bytes: int | None = None


def weight_of(shares: int) -> int:
    """cgroup v2's `cpu.weight` for v1 shares. Source: runc's ConvertCPUSharesToCgroupV2Value."""
    bounded = min(max(shares, SHARES_MIN), SHARES_MAX)
    return 1 + ((bounded - 2) * 9999) // 262142


def v1_files(limits: Limits) -> Mapping[tuple[str, str], str]:
    """(controller, file) and what to write into it."""
    quota = -1 if limits.cpus is None else max(round(limits.cpus * PERIOD_US), 1000)
    memory = -1 if limits.memory_bytes is None else limits.memory_bytes
    shares = min(max(limits.shares, SHARES_MIN), SHARES_MAX)
    return {
        ("cpu", "cpu.cfs_period_us"): str(PERIOD_US),
        ("cpu", "cpu.cfs_quota_us"): str(quota),
        ("cpu", "cpu.shares"): str(shares),
        ("memory", "memory.limit_in_bytes"): str(memory),
    }


def v2_files(limits: Limits) -> Mapping[str, str]:
    """File and what to write into it."""
    quota = "max" if limits.cpus is None else str(max(round(limits.cpus * PERIOD_US), 1000))
    return {
        "cpu.max": f"{quota} {PERIOD_US}",
        "cpu.weight": str(weight_of(limits.shares)),
        "memory.max": "max" if limits.memory_bytes is None else str(limits.memory_bytes),
    }


def slice_properties(limits: Limits) -> tuple[str, ...]:
    """Properties for `systemctl set-property`. Source: systemd.resource-control(5)."""
    quota = "" if limits.cpus is None else f"{max(round(limits.cpus * 100), 1)}%"
    memory = "infinity" if limits.memory_bytes is None else str(limits.memory_bytes)
    return (f"CPUQuota={quota}", f"CPUWeight={weight_of(limits.shares)}", f"MemoryMax={memory}")


class CgroupfsV1:
    """Groups as directories in every controller's hierarchy."""

    def __init__(self, root: Path = CGROUP_ROOT) -> None:
        self._root = root
        self._controllers = tuple(name for name in _V1_CONTROLLERS if (root / name).is_dir())

    def apply(self, group: str, limits: Limits) -> None:
        """Make the group, and set its limits."""
        for (controller, file), value in v1_files(limits).items():
            if controller not in self._controllers:
                raise CgroupError(f"the {controller} controller is not mounted under {self._root}")
            directory = self._root / controller / group
            _make(directory)
            _write(directory / file, value)

    def remove(self, group: str) -> bool:
        """Remove the empty group and everything below; `False`: something still runs in it."""
        gone = [_remove(self._root / controller / group) for controller in self._controllers]
        return all(gone)

    def remove_empty(self, group: str) -> None:
        """Remove the group where nothing is below it."""
        for controller in self._controllers:
            with contextlib.suppress(OSError):
                (self._root / controller / group).rmdir()


class CgroupfsV2:
    """Groups as directories of the one hierarchy."""

    def __init__(self, root: Path = CGROUP_ROOT) -> None:
        self._root = root

    def apply(self, group: str, limits: Limits) -> None:
        """Make the group with its controllers on, and set its limits."""
        parent = self._root
        for part in group.split("/"):
            _write(parent / "cgroup.subtree_control", "+cpu +memory +pids")
            parent = parent / part
            _make(parent)
        for file, value in v2_files(limits).items():
            _write(parent / file, value)

    def remove(self, group: str) -> bool:
        """As on v1."""
        return _remove(self._root / group)

    def remove_empty(self, group: str) -> None:
        """As on v1."""
        with contextlib.suppress(OSError):
            (self._root / group).rmdir()


class InstanceCgroups:
    """One local instance's group and its tasks' groups. Implements `ports.CgroupDriver`.

    `instance` is the group's path without slashes at the ends (`homeport/i-0`),
    unique on the machine.
    """

    def __init__(self, files: CgroupfsV1 | CgroupfsV2, instance: str, limits: Limits) -> None:
        self._files = files
        self._instance = instance
        self._limits = limits

    async def setup(self) -> None:
        """Make the instance's group. Raise `CgroupError`, also when cgroups are read-only here."""
        await asyncio.to_thread(self._files.apply, self._instance, self._limits)

    async def teardown(self) -> None:
        """Remove the instance's group and whatever is left below, and the group above if it is empty."""
        await self._remove(self._instance)
        above = self._instance.rpartition("/")[0]
        if above:
            await asyncio.to_thread(self._files.remove_empty, above)

    def parent_of(self, task_id: str) -> str:
        """The `CgroupParent` that a task's containers get."""
        return f"/{self._instance}/{task_id}"

    async def create(
        self, task_id: str, *, cpus: float | None, shares: int, memory_bytes: int | None
    ) -> None:
        """Make the task's group, or set its limits again. Raise `CgroupError`."""
        limits = Limits(cpus=cpus, shares=shares, memory_bytes=memory_bytes)
        await asyncio.to_thread(self._files.apply, f"{self._instance}/{task_id}", limits)

    async def remove(self, task_id: str) -> None:
        """Remove the task's group. Raise `CgroupError` while something still runs in it."""
        await self._remove(f"{self._instance}/{task_id}")

    async def _remove(self, group: str) -> None:
        # A dead container's own group goes a moment after Docker says that it is removed.
        for _ in range(_REMOVE_ATTEMPTS):
            if await asyncio.to_thread(self._files.remove, group):
                return
            await asyncio.sleep(_REMOVE_AGAIN_SECONDS)
        raise CgroupError(f"the cgroup {group} still has processes")


class InstanceSlices:
    """The same with systemd's slices, for a Docker with the systemd cgroup driver.

    `instance` is one word without dashes: systemd reads `a-b.slice` as b inside a.
    """

    def __init__(self, run: Run, instance: str, limits: Limits) -> None:
        if "-" in instance or "/" in instance:
            raise ValueError(f"{instance}: a slice's name has no dashes or slashes")
        self._run = run
        self._instance = instance
        self._limits = limits

    async def setup(self) -> None:
        """Make the instance's slice."""
        await self._apply(f"{self._instance}.slice", self._limits)

    async def teardown(self) -> None:
        """Stop and forget the instance's slice."""
        await self._forget(f"{self._instance}.slice")

    def parent_of(self, task_id: str) -> str:
        """The `CgroupParent` that a task's containers get."""
        return f"{self._instance}-{task_id}.slice"

    async def create(
        self, task_id: str, *, cpus: float | None, shares: int, memory_bytes: int | None
    ) -> None:
        """Make the task's slice, or set its limits again."""
        limits = Limits(cpus=cpus, shares=shares, memory_bytes=memory_bytes)
        await self._apply(self.parent_of(task_id), limits)

    async def remove(self, task_id: str) -> None:
        """Stop and forget the task's slice."""
        await self._forget(self.parent_of(task_id))

    async def _apply(self, unit: str, limits: Limits) -> None:
        await self._systemctl("set-property", "--runtime", unit, *slice_properties(limits))
        await self._systemctl("start", unit)

    async def _forget(self, unit: str) -> None:
        await self._systemctl("stop", unit)
        await self._systemctl("revert", unit)

    async def _systemctl(self, *words: str) -> None:
        try:
            await self._run("systemctl", *words)
        except CommandError as error:
            raise CgroupError(str(error)) from error


def instance_cgroups(
    info: EngineInfo, *, homeport: str, instance: str, limits: Limits, run: Run
) -> InstanceCgroups | InstanceSlices:
    """The driver that fits the engine. `homeport` and `instance` are words of letters and digits."""
    if info.cgroup_driver == "systemd":
        return InstanceSlices(run, f"homeport{homeport}{instance}", limits)
    files = CgroupfsV1() if info.cgroup_version == "1" else CgroupfsV2()
    return InstanceCgroups(files, f"homeport-{homeport}/{instance}", limits)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CgroupError(_why(directory, error)) from error


def _write(file: Path, value: str) -> None:
    try:
        with file.open("w") as opened:
            opened.write(value)
    except OSError as error:
        raise CgroupError(f"{_why(file, error)} (value {value})") from error


def _remove(directory: Path) -> bool:
    """Remove a group and its groups, deepest first. Control files are no obstacle to rmdir."""
    if not directory.is_dir():
        return True
    below = [_remove(child) for child in directory.iterdir() if child.is_dir()]
    if not all(below):
        return False
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in {errno.EBUSY, errno.ENOTEMPTY}:
            return False
        raise CgroupError(_why(directory, error)) from error
    return True


def _why(path: Path, error: OSError) -> str:
    hint = {
        errno.EROFS: ": cgroups are read-only here; run outside a container, or without task limits",
        errno.EACCES: ": not permitted; task limits need root",
        errno.EPERM: ": not permitted; task limits need root",
        errno.EINVAL: ": refused by the kernel; a task may not have more than its instance",
        errno.EBUSY: ": processes live in a group that would have to pass its controllers on",
    }.get(error.errno or 0, "")
    return f"{path}: {error.strerror}{hint}"
