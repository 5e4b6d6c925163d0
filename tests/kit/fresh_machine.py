"""A machine without Docker running, for first steps: this one, in namespaces of its own.

It has its own processes, network, `/run` and `/var/lib`, and the programs of this machine. When its first
process ends, the kernel ends everything in it: no daemon and no container can be left.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kit.docker import cgroups

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
_INIT = """
set -eu
mount -t tmpfs tmpfs /run
mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$1/upper,workdir=$1/work" /var/lib
mkdir -p /var/lib/docker /var/lib/homeport
mount --bind "$1/docker" /var/lib/docker
mount -t tmpfs tmpfs /var/lib/homeport
ip link set lo up
echo made
exec sleep infinity
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshMachine:
    """`pid` is its first process."""

    pid: int

    def cgroups(self) -> list[Path]:
        """Control groups of the Homeport that ran there; they are the whole machine's."""
        installation = Path(f"/proc/{self.pid}/root/var/lib/homeport/installation")
        return cgroups(f"homeport-{installation.read_text()[:12]}*") if installation.exists() else []

    def command(self, script: str) -> list[str]:
        """What runs `script` there, in the checkout."""
        enter = ("nsenter", "--mount", "--net", "--pid", f"--target={self.pid}", f"--wd={ROOT}")
        return [*enter, "bash", "-c", script]

    def run(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        done = subprocess.run(
            self.command(script),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done

    @contextlib.contextmanager
    def running(self, script: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run a script beside the test, its stderr in `log`; killed at the end should it still run."""
        with (
            log.open("w") as errors,
            subprocess.Popen(
                self.command(f"exec {script}"),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,  # what was read ahead would not be seen by `select`
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()


def environment() -> dict[str, str]:
    """This process's environment without what steers Homeport, Docker or AWS clients; with our `aws`."""
    steering = ("HOMEPORT_", "AWS_", "DOCKER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "AWS_PAGER": "", "AWS_CONFIG_FILE": os.devnull}


def line_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """The next line it prints."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(PATIENCE_SECONDS) else b""
    assert line, f"it said nothing on stdout, and on stderr:\n{log.read_text()[-4000:]}"
    return line.decode().rstrip("\n")


@contextlib.contextmanager
def fresh_machine(folder: Path) -> Iterator[FreshMachine]:
    """A machine that ends with the block. `folder` holds its disk."""
    for name in ("upper", "work", "docker"):
        (folder / name).mkdir(parents=True)
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen(
        [*command, "--propagation", "private", "bash", "-c", _INIT, "init", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as outer:
        try:
            assert outer.stdout is not None
            assert outer.stdout.readline() == "made\n"
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            machine = FreshMachine(pid=int(children[0]))
            try:
                yield machine
            finally:
                groups = machine.cgroups()
        finally:
            outer.kill()
    for group in groups:
        for path in sorted(group.rglob("*/"), reverse=True):
            path.rmdir()
        group.rmdir()
    shutil.rmtree(folder)
