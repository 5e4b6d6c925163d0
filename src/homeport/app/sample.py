"""The sample of `homeport up --demo`: an image built on the spot, a task definition and a service.

Nothing is pulled: the image is busybox (Debian's `busybox-static`) and one
page. Everything else goes through the public API, as any user's would.
"""

from __future__ import annotations

import http.client
import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

from homeport.app.docker.client import DockerClient

Report = Callable[[str, Mapping[str, Any]], None]

FAMILY = SERVICE = "hello"
REPOSITORY = "localhost/homeport-sample"
"""`localhost` as the first part: no registry on the internet can be meant."""
CONTAINER_PORT = 8080
DESIRED_COUNT = 2
APPLETS = ("sh", "cat", "echo", "head", "hostname", "httpd", "nc", "printf", "sed", "sleep", "tr", "wget")
SERVE = (
    f"echo listening on port {CONTAINER_PORT}; "
    f"trap 'exit 0' TERM; httpd -f -p {CONTAINER_PORT} -h /www & wait"
)
"""The container's command. Its first process must end at SIGTERM, which httpd there would ignore."""
FAILURES_MAX = 2 * DESIRED_COUNT
"""A service tries for ever. Whoever waits for the sample may know the reason after the second round."""
ANSWER_SECONDS = 2.0
POLL_SECONDS = 0.1
"""The public API cannot be waited on, so ask. Ten times a second is idle for a server."""


class Api(Protocol):
    """The public ECS API, as a caller sees it."""

    def call(self, operation: str, **members: Any) -> Mapping[str, Any]: ...


class SampleError(Exception):
    """The sample does not run; `remedy` says what to look at."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the sample's service is."""

    desired: int
    running: int
    """Tasks of its present task definition."""
    addresses: tuple[str, ...]
    """`host:port` of each running task's web server."""
    trouble: str = ""
    """Why the youngest stopped task stopped."""
    failed: int = 0
    """Tasks of the service that stopped, while none runs."""

    @property
    def reachable(self) -> tuple[str, ...]:
        """The addresses of which we know the machine."""
        return tuple(address for address in self.addresses if not address.startswith("*"))

    @property
    def is_up(self) -> bool:
        """Whether every task runs and has an address."""
        return self.running >= self.desired > 0 and len(self.addresses) >= self.desired


def ensure_image(docker: DockerClient, data_dir: Path, report: Report) -> str:
    """Build the sample image unless this machine has it; its name."""
    busybox = find_busybox(data_dir, report)
    archive = root_file_system(busybox.read_bytes(), _page())
    tag = sha256(archive + SERVE.encode()).hexdigest()[:12]
    name = f"{REPOSITORY}:{tag}"
    if not docker.has_image(name):
        report("image.building", {"image": name})
        docker.import_image(
            archive,
            repository=REPOSITORY,
            tag=tag,
            changes=[
                f"CMD {json.dumps(['/bin/sh', '-c', SERVE])}",
                f"EXPOSE {CONTAINER_PORT}",
                "ENV PATH=/bin",
            ],
        )
    report("image.ready", {"image": name})
    return name


def find_busybox(data_dir: Path, report: Report) -> Path:
    """A statically linked busybox: this machine's, or Debian's, unpacked beside our data."""
    kept = data_dir / "sample" / "bin" / "busybox"
    for path in (Path("/bin/busybox"), kept):
        if path.exists() and is_static(path.read_bytes()):
            return path
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise SampleError(
            "no statically linked busybox found for the sample image",
            "Install busybox-static (as your system calls it) and run again.",
        )
    report("package.fetching", {"package": "busybox-static"})
    home = kept.parent.parent
    home.mkdir(parents=True, exist_ok=True)
    for command in (("apt-get", "download", "busybox-static"), ("apt-get", "update")) * 2:
        done = subprocess.run(command, cwd=home, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        if packages := sorted(home.glob("busybox-static*.deb")):
            subprocess.run(("dpkg-deb", "-x", str(packages[-1]), str(home)), check=True)
            merged = home / "usr" / "bin" / "busybox"  # where Debian 13 and newer have it
            if merged.exists():
                kept.parent.mkdir(exist_ok=True)
                merged.replace(kept)
            return kept
    raise SampleError(
        f"could not fetch busybox-static: {done.stderr.decode(errors='replace').strip()[-300:]}",
        "Run: sudo apt-get install busybox-static",
    )


def is_static(program: bytes) -> bool:
    """Whether an ELF program runs without a dynamic loader (has no PT_INTERP header).

    Source: System V ABI, "Program Header".
    """
    if program[:4] != b"\x7fELF" or program[4] != 2:
        return False
    order: Literal["little", "big"] = "little" if program[5] == 1 else "big"
    offset = int.from_bytes(program[32:40], order)
    size, count = (int.from_bytes(program[at : at + 2], order) for at in (54, 56))
    kinds = (program[offset + i * size : offset + i * size + 4] for i in range(count))
    return all(int.from_bytes(kind, order) != 3 for kind in kinds)


def root_file_system(busybox: bytes, page: bytes) -> bytes:
    """A tar archive of the sample's root: the same bytes for the same input."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for directory in ("bin", "tmp", "etc", "www", "www/cgi-bin"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            archive.addfile(entry)
        files = {
            "bin/busybox": (busybox, 0o755),
            "www/cgi-bin/index.cgi": (page, 0o755),
            "etc/passwd": (b"root:x:0:0:root:/:/bin/sh\n", 0o644),
        }
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return buffer.getvalue()


def task_definition(image: str) -> dict[str, Any]:
    """RegisterTaskDefinition's input: a web server on a dynamic host port, with a health check."""
    return {
        "family": FAMILY,
        "networkMode": "bridge",
        "requiresCompatibilities": ["EC2"],
        "containerDefinitions": [
            {
                "name": "web",
                "image": image,
                "cpu": 64,
                "memoryReservation": 32,
                "memory": 128,
                "essential": True,
                "portMappings": [{"containerPort": CONTAINER_PORT, "hostPort": 0, "protocol": "tcp"}],
                "healthCheck": {
                    "command": ["CMD-SHELL", f"nc 127.0.0.1 {CONTAINER_PORT} </dev/null"],
                    "interval": 10,
                    "timeout": 3,
                    "retries": 3,
                },
            }
        ],
    }


def deploy(api: Api, image: str, *, cluster: str, desired_count: int = DESIRED_COUNT) -> None:
    """Register the task definition and have the service run it. Repeating it changes nothing."""
    wanted = task_definition(image)
    known = _latest(api)
    if known and known["containerDefinitions"][0]["image"] == image:
        definition = f"{FAMILY}:{known['revision']}"
    else:
        answer = api.call("RegisterTaskDefinition", **wanted)
        definition = f"{FAMILY}:{answer['taskDefinition']['revision']}"
    service = _service(api, cluster)
    if service is None or service["status"] != "ACTIVE":
        api.call(
            "CreateService",
            cluster=cluster,
            serviceName=SERVICE,
            taskDefinition=definition,
            desiredCount=desired_count,
            launchType="EC2",
            placementStrategy=[{"type": "spread", "field": "instanceId"}],
        )
    elif not service["taskDefinition"].endswith(f"/{definition}"):
        api.call("UpdateService", cluster=cluster, service=SERVICE, taskDefinition=definition)


def answers(address: str) -> bool:
    """Whether the sample's page can be had there. A task is RUNNING before its server listens."""
    connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_up(
    api: Api,
    report: Report,
    *,
    cluster: str,
    timeout_seconds: float = 120.0,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    answering: Callable[[str], bool] = answers,
) -> Standing:
    """Return once every task runs and answers. Raise `SampleError` with the reason when they do not."""
    deadline = monotonic() + timeout_seconds
    shown: Standing | None = None
    while True:
        standing = look(api, cluster=cluster)
        if standing != shown:
            report(
                "service.progress",
                {"service": SERVICE, "running": standing.running, "desired": standing.desired},
            )
            shown = standing
        if standing.is_up and all(map(answering, standing.reachable)):
            return standing
        if monotonic() > deadline or standing.failed > FAILURES_MAX:
            why = standing.trouble or f"{standing.running} of {standing.desired} tasks run"
            raise SampleError(f"the sample did not come up: {why}", "See: bin/homeport status")
        sleep(POLL_SECONDS)


def look(api: Api, *, cluster: str) -> Standing:
    """Where the sample's service stands."""
    service = _service(api, cluster) or {}
    running = [
        task
        for task in _tasks(api, cluster, "RUNNING")
        if task["lastStatus"] == "RUNNING" and task["taskDefinitionArn"] == service.get("taskDefinition")
    ]
    addresses = tuple(sorted(address for task in running for address in addresses_of(task)))
    trouble, failed = "", 0
    if not addresses:
        stopped = sorted(_tasks(api, cluster, "STOPPED"), key=lambda task: float(task.get("stoppedAt", 0)))
        failed = len(stopped)
        trouble = stopped[-1].get("stoppedReason", "") if stopped else ""
        trouble = trouble or next((e["message"] for e in service.get("events", ())), "")
    return Standing(
        desired=service.get("desiredCount", 0),
        running=len(running),
        addresses=addresses,
        trouble=trouble,
        failed=failed,
    )


def addresses_of(task: Mapping[str, Any]) -> Iterator[str]:
    """`host:port` of every TCP port that the task publishes.

    `*:port` is on every address of the machine it runs on, and ECS does not tell which machine that is. Our
    own instances publish on their own addresses.
    """
    for container in task.get("containers", ()):
        for binding in container.get("networkBindings", ()):
            if binding.get("protocol", "tcp") == "tcp" and ":" not in binding["bindIP"]:
                host = "*" if binding["bindIP"] == "0.0.0.0" else binding["bindIP"]  # noqa: S104 - read
                yield f"{host}:{binding['hostPort']}"


def _tasks(api: Api, cluster: str, desired_status: str) -> Sequence[Mapping[str, Any]]:
    arns = api.call("ListTasks", cluster=cluster, serviceName=SERVICE, desiredStatus=desired_status)[
        "taskArns"
    ]
    if not arns:
        return ()
    found: Sequence[Mapping[str, Any]] = api.call("DescribeTasks", cluster=cluster, tasks=arns)["tasks"]
    return found


def _service(api: Api, cluster: str) -> Mapping[str, Any] | None:
    found = api.call("DescribeServices", cluster=cluster, services=[SERVICE])["services"]
    return found[0] if found else None


def _latest(api: Api) -> Mapping[str, Any] | None:
    arns = api.call("ListTaskDefinitions", familyPrefix=FAMILY, sort="DESC", maxResults=1)[
        "taskDefinitionArns"
    ]
    if not arns:
        return None
    known: Mapping[str, Any] = api.call("DescribeTaskDefinition", taskDefinition=arns[0])["taskDefinition"]
    return known


def _page() -> bytes:
    return resources.files("homeport.app").joinpath("sample_image", "index.cgi").read_bytes()
