"""Docker's JSON to the node's own values. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from homeport.node.ports import (
    ContainerStatus,
    EngineInfo,
    Health,
    ImageInfo,
    PortBinding,
    RunState,
    Sample,
)

_RUN_STATES = {
    "created": RunState.CREATED,
    "running": RunState.RUNNING,
    "paused": RunState.RUNNING,
    "restarting": RunState.RUNNING,
    "exited": RunState.EXITED,
    "dead": RunState.EXITED,
    "removing": RunState.EXITED,
}
_NEVER = "0001-01-01T00:00:00Z"


def instant(text: str | None) -> datetime | None:
    """An RFC 3339 time with up to nine decimals, to the microsecond; Docker's zero time is `None`."""
    if not text or text == _NEVER:
        return None
    head, _, rest = text.partition(".")
    if rest:
        decimals = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[:decimals][:6].ljust(6, '0')}{rest[decimals:]}"
    return datetime.fromisoformat(text).astimezone(UTC)


def container_status(body: Mapping[str, Any]) -> ContainerStatus:
    """`GET /containers/{id}/json`."""
    state, config, host = body["State"], body["Config"], body["HostConfig"]
    network = body.get("NetworkSettings") or {}
    log = host.get("LogConfig") or {}
    run_state = _RUN_STATES.get(state["Status"], RunState.EXITED)
    started_at, finished_at = instant(state.get("StartedAt")), instant(state.get("FinishedAt"))
    if run_state is not RunState.EXITED:
        finished_at = None  # of the run before
    elif started_at and finished_at and finished_at < started_at:
        finished_at = started_at  # the daemon notes the start of a very short run after its end
    return ContainerStatus(
        name=body["Name"].removeprefix("/"),
        docker_id=body["Id"],
        state=run_state,
        exit_code=state.get("ExitCode") if run_state is RunState.EXITED else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error", ""),
        created_at=instant(body.get("Created")),
        started_at=started_at,
        finished_at=finished_at,
        health=_health(state.get("Health")),
        ports=_ports(network.get("Ports") or {}),
        ip_addresses=tuple(
            address
            for endpoint in (network.get("Networks") or {}).values()
            if (address := (endpoint or {}).get("IPAddress"))
        ),
        network_mode=host.get("NetworkMode", ""),
        image=config.get("Image", ""),
        image_id=body.get("Image", ""),
        labels=config.get("Labels") or {},
        mounts=tuple(_mount(mount) for mount in body.get("Mounts") or ()),
        log_driver=log.get("Type", ""),
        log_options=log.get("Config") or {},
    )


def _health(health: Mapping[str, Any] | None) -> Health | None:
    """ "starting" is UNKNOWN, as the agent reports it; `since` is the end of the last probe."""
    if not health or health.get("Status") in {None, "", "none"}:
        return None
    status = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}.get(health["Status"], "UNKNOWN")
    last = (health.get("Log") or [{}])[-1] or {}
    return Health(
        status=status,
        since=instant(last.get("End")),
        exit_code=last.get("ExitCode"),
        output=last.get("Output", ""),
    )


def _ports(ports: Mapping[str, Any]) -> tuple[PortBinding, ...]:
    """Published ports without the `::` twins that Docker adds to `0.0.0.0`."""
    found: list[PortBinding] = []
    for key, bindings in ports.items():
        number, _, protocol = key.partition("/")
        for binding in bindings or ():
            if ":" in binding.get("HostIp", "") or not binding.get("HostPort"):
                continue
            found.append(
                PortBinding(
                    bind_ip=binding.get("HostIp") or "0.0.0.0",  # noqa: S104 - Docker's way to say "all"
                    container_port=int(number),
                    host_port=int(binding["HostPort"]),
                    protocol=protocol or "tcp",
                )
            )
    return tuple(sorted(found, key=lambda each: (each.container_port, each.protocol, each.host_port)))


def _mount(mount: Mapping[str, Any]) -> Mapping[str, str]:
    """`name` only for volumes."""
    plain = {"source": mount.get("Source", ""), "destination": mount.get("Destination", "")}
    return {"name": mount["Name"], **plain} if mount.get("Name") else plain


def image_info(body: Mapping[str, Any], wanted: str = "") -> ImageInfo:
    """`GET /images/{name}/json` or one of `GET /images/json`.

    The digest is that of `wanted`'s repository; of any repository when nothing is wanted.
    """
    created = body.get("Created")
    return ImageInfo(
        id=body["Id"],
        digest=_digest(body.get("RepoDigests") or (), wanted),
        env=tuple((body.get("Config") or {}).get("Env") or ()),
        exposed=tuple((body.get("Config") or {}).get("ExposedPorts") or ()),
        size_bytes=body.get("Size", 0),
        names=tuple(name for name in body.get("RepoTags") or () if name != "<none>:<none>"),
        created_at=(datetime.fromtimestamp(created, UTC) if isinstance(created, int) else instant(created)),
    )


def _digest(repo_digests: tuple[str, ...] | list[str], wanted: str) -> str | None:
    repository = normal_repository(wanted) if wanted else None
    for entry in repo_digests:
        name, _, digest = entry.partition("@")
        if digest and name != "<none>" and (repository is None or normal_repository(name) == repository):
            return digest
    return None


def split_reference(image: str) -> tuple[str, str]:
    """Repository and tag (or digest) of an image name; no tag means `latest`."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return split_reference(name)[0], digest
    head, slash, last = image.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{head}{slash}{name}", tag if colon else "latest"


def normal_repository(image: str) -> str:
    """The full name of an image's repository: Docker Hub's prefixes are written out."""
    repository = split_reference(image)[0]
    first, slash, rest = repository.partition("/")
    if not slash:
        return f"docker.io/library/{repository}"
    if first not in {"localhost", "docker.io", "index.docker.io"} and not {".", ":"} & set(first):
        return f"docker.io/{repository}"
    if first in {"docker.io", "index.docker.io"}:
        return f"docker.io/{rest if '/' in rest else f'library/{rest}'}"
    return repository


def sample(body: Mapping[str, Any]) -> Sample | None:
    """`GET /containers/{id}/stats`; `None` for a container that does not run.

    Memory is what `docker stats` shows: usage without reclaimable cache
    (cgroup v1 `cache`, v2 `inactive_file`). Source: Docker's stats documentation.
    """
    read_at = instant(body.get("read"))
    memory, cpu = body.get("memory_stats") or {}, body.get("cpu_stats") or {}
    if read_at is None or not cpu.get("system_cpu_usage"):
        return None
    details = memory.get("stats") or {}
    cache = details["cache"] if "cache" in details else details.get("inactive_file", 0)
    usage = cpu.get("cpu_usage") or {}
    networks = (body.get("networks") or {}).values()
    blocks = (body.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return Sample(
        read_at=read_at,
        cpu_total_ns=usage.get("total_usage", 0),
        online_cpus=cpu.get("online_cpus") or len(usage.get("percpu_usage") or ()) or 1,
        memory_bytes=max(memory.get("usage", 0) - cache, 0),
        rx_bytes=sum(network.get("rx_bytes", 0) for network in networks),
        tx_bytes=sum(network.get("tx_bytes", 0) for network in networks),
        read_bytes=sum(each["value"] for each in blocks if each.get("op", "").lower() == "read"),
        write_bytes=sum(each["value"] for each in blocks if each.get("op", "").lower() == "write"),
        raw=body,
    )


def engine_info(body: Mapping[str, Any], api_version: str) -> EngineInfo:
    """`GET /info`."""
    plugins = body.get("Plugins") or {}
    return EngineInfo(
        version=body.get("ServerVersion", ""),
        api_version=api_version,
        cpus=body.get("NCPU", 1),
        memory_bytes=body.get("MemTotal", 0),
        log_drivers=tuple(plugins.get("Log") or ()),
        volume_plugins=tuple(plugins.get("Volume") or ()),
        cgroup_version=str(body.get("CgroupVersion") or "1"),
        cgroup_driver=body.get("CgroupDriver") or "cgroupfs",
        architecture=body.get("Architecture", ""),
        operating_system=body.get("OperatingSystem", ""),
        security_options=tuple(body.get("SecurityOptions") or ()),
        gpu_runtime="nvidia" in (body.get("Runtimes") or {}),
    )


def log_lines(data: bytes, *, terminal: bool) -> tuple[str, ...]:
    """The lines of `GET /containers/{id}/logs`: frames of both streams, or a terminal's raw bytes."""
    text = data if terminal else _payloads(data)
    return tuple(text.decode(errors="replace").splitlines())


def _payloads(data: bytes) -> bytes:
    """Frame: stream number, three zeros, big-endian length, payload."""
    parts: list[bytes] = []
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(parts)


def filters(**wanted: list[str]) -> str:
    """The `filters` parameter of Docker's list calls."""
    return json.dumps(wanted)
