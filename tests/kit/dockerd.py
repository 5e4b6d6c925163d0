"""A private Docker daemon that a test may stop and start: own data, own socket, own network namespace.

The namespace is no luxury: a daemon that starts without a bridge deletes the link `docker0`, and in
the machine's own namespace that one belongs to the machine's own Docker.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from homeport.app.docker.runtime_wrapper import write_runtime_wrapper
from tests.kit.docker import bridges, machine

START_SECONDS = 60.0


class PrivateDaemon:
    """Its containers outlive it, unless it is told otherwise (live-restore)."""

    def __init__(self, folder: Path, *, live_restore: bool = True, bridge: bool = False) -> None:
        self.socket = str(folder / "docker.sock")
        self._folder = folder
        self._options = ["--live-restore"] if live_restore else []
        if not bridge:
            self._options += ["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        self._process: subprocess.Popen[bytes] | None = None
        self._wrapper = write_runtime_wrapper(folder)
        self.namespace = f"hpd-{folder.name}"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        folder = self._folder
        command = [
            *("nsenter", f"--net=/run/netns/{self.namespace}", "dockerd", *self._options),
            *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
            *("--pidfile", str(folder / "pid"), "--host", f"unix://{self.socket}"),
        ]
        if self._wrapper is not None:
            command += ["--add-runtime", f"hp={self._wrapper}", "--default-runtime", "hp"]
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.to_thread(subprocess.Popen, command, stdout=log, stderr=log)
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                if self._process.poll() is not None:
                    raise AssertionError((self._folder / "log").read_text()[-2000:])
                await asyncio.sleep(0.05)  # a daemon says nowhere that it is ready

    def __enter__(self) -> Self:
        machine("ip", "netns", "add", self.namespace)
        return self

    def __exit__(self, *_: object) -> None:
        machine("ip", "netns", "delete", self.namespace)

    async def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is not None:
            process, self._process = self._process, None
            process.terminate()
            await asyncio.to_thread(process.wait, START_SECONDS)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        writer.write(b"GET /_ping HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return b" 200 " in answer


@asynccontextmanager
async def private_daemon(folder: Path, **options: bool) -> AsyncIterator[PrivateDaemon]:
    """A daemon that is started; stopped and removed at the end."""
    before = bridges()
    with PrivateDaemon(folder, **options) as daemon:
        try:
            await daemon.start()
            assert before <= bridges(), "a private daemon removed a bridge of the machine"
            yield daemon
        finally:
            await daemon.stop()
            # The daemon mounts its data onto itself, and leaves that behind.
            unmount = ["umount", str(folder / "data")]
            await asyncio.to_thread(subprocess.run, unmount, stderr=subprocess.DEVNULL)
            shutil.rmtree(folder / "exec", ignore_errors=True)
            shutil.rmtree(folder / "data", ignore_errors=True)
