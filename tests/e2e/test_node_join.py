"""A second machine joins with the line that `homeport node add` prints.

The machine is a network namespace of its own, linked to this one by a cable, with a Docker Engine of its
own; the line runs in it word for word.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from homeport.app.connection import known_installation_id
from tests.kit.docker import IMAGE, cgroups, engine, machine
from tests.kit.dockerd import PrivateDaemon, private_daemon
from tests.kit.up import START_SECONDS, Up, clean_environment, homeport_up

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90.0
POLL_SECONDS = 0.1
"""The public API cannot be waited on, so ask."""


def eventually(look: Any) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(POLL_SECONDS)
    return found


@dataclass
class Elsewhere:
    """The other machine: its addresses on the cable, and its folder."""

    daemon: PrivateDaemon
    folder: Path
    here: str
    there: str

    def command(self, line: str) -> list[str]:
        """`line`, run there: its own network, its own Docker socket, its own /var/lib."""
        own = self.folder / "var-lib"
        own.mkdir(exist_ok=True)
        bound = " && ".join(
            f"mount --bind {shlex.quote(str(source))} {target}"
            for source, target in ((own, "/var/lib"), (self.daemon.socket, "/var/run/docker.sock"))
        )
        inside = ["unshare", "--mount", "sh", "-c", f"{bound} && exec sh -c {shlex.quote(line)}"]
        return ["nsenter", f"--net=/run/netns/{self.daemon.namespace}", *inside]


@contextmanager
def cable(namespace: str) -> Iterator[tuple[str, str]]:
    """A link between this machine and another; the addresses of its ends."""
    number = os.getpid() % 16384
    network = f"10.{213 + number // 8192}.{number // 64 % 128}"
    here, there = f"{network}.{number % 64 * 4 + 1}", f"{network}.{number % 64 * 4 + 2}"
    link = f"hpj{number}"
    machine("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    try:
        machine("ip", "address", "add", f"{here}/30", "dev", link)
        machine("ip", "link", "set", link, "up")
        for words in (["address", "add", f"{there}/30", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            machine("ip", "-n", namespace, *words)
        machine("ip", "-n", namespace, "link", "set", "lo", "up")
        yield here, there
    finally:
        machine("ip", "link", "delete", link)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    stack = AsyncExitStack()
    with tempfile.TemporaryDirectory(prefix="hpd") as name, asyncio.Runner() as runner:
        folder = Path(name)
        opened = private_daemon(folder, live_restore=False, bridge=True)
        daemon = runner.run(stack.enter_async_context(opened))
        try:

            async def image() -> None:
                async with engine(daemon.socket):
                    pass

            runner.run(image())
            with cable(daemon.namespace) as (here, there):
                yield Elsewhere(daemon, folder, here, there)
        finally:
            runner.run(stack.aclose())


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with homeport_up(tmp_path, "--instances", "0", "--host", "0.0.0.0") as running:
        yield running


def line_for(up: Up, elsewhere: Elsewhere) -> str:
    """What `homeport node add` prints."""
    endpoint = f"http://{elsewhere.here}:{up.port}"
    words = ("node", "add", "far", "--endpoint", endpoint, "--data-dir", str(up.data_dir))
    done = subprocess.run(
        [sys.executable, "-m", "homeport", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=START_SECONDS,
    )
    (line,) = done.stdout.splitlines()
    return line


@contextmanager
def joined(elsewhere: Elsewhere, line: str) -> Iterator[subprocess.Popen[bytes]]:
    # The other machine has no way to the package index: its checkout has made its environment before.
    subprocess.run([ROOT / "bin" / "homeport", "--version"], check=True, capture_output=True)
    bin_dir = elsewhere.folder / "bin"
    bin_dir.mkdir()
    sudo = bin_dir / "sudo"  # the line is for people; here it is root already
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    environment = clean_environment(PATH=f"{bin_dir}{os.pathsep}{os.environ['PATH']}")
    environment.pop("PYTHONPATH")
    with (elsewhere.folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            elsewhere.command(line),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # the shells in front of it, and the agent
            process.wait(START_SECONDS)
            down = elsewhere.command("bin/homeport down --grace-seconds 0")
            done = subprocess.run(
                down, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            installation = known_installation_id(elsewhere.folder / "var-lib" / "homeport")
            assert installation is not None
            assert cgroups(f"homeport-{installation[:12]}") == []


def key_of(line: str) -> dict[str, str]:
    words = dict(word.split("=", 1) for word in shlex.split(line) if word.startswith("AWS_"))
    return {"access": words["AWS_ACCESS_KEY_ID"], "secret": words["AWS_SECRET_ACCESS_KEY"]}


def test_a_second_machine_joins_by_the_printed_line_and_runs_a_task(up: Up, elsewhere: Elsewhere) -> None:
    line = line_for(up, elsewhere)
    ecs = up.client()
    with joined(elsewhere, line):

        def instance() -> dict[str, Any] | None:
            try:
                arns = ecs.list_container_instances()["containerInstanceArns"]
            except ecs.exceptions.ClusterNotFoundException:
                return None
            if not arns:
                return None
            (found,) = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
            return dict(found) if found["agentConnected"] else None

        there = eventually(instance)
        ecs.register_task_definition(
            family="web",
            containerDefinitions=[
                {
                    "name": "web",
                    "image": IMAGE,
                    "memory": 32,
                    "stopTimeout": 2,
                    "command": ["sh", "-c", "cat /proc/net/dev >/work/index.html; exec httpd -f -h /work"],
                    "portMappings": [{"containerPort": 80}],
                }
            ],
        )
        answer = ecs.run_task(taskDefinition="web")
        assert answer["failures"] == []
        arn = answer["tasks"][0]["taskArn"]
        assert answer["tasks"][0]["containerInstanceArn"] == there["containerInstanceArn"]

        def running() -> dict[str, Any] | None:
            (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
            assert task["lastStatus"] != "STOPPED", task
            return dict(task) if task["lastStatus"] == "RUNNING" else None

        task = eventually(running)
        port = task["containers"][0]["networkBindings"][0]["hostPort"]
        assert 49153 <= port <= 65535
        with urllib.request.urlopen(f"http://{elsewhere.there}:{port}/", timeout=10) as page:
            assert b"eth0" in page.read()
        assert up.containers() == [], "nothing of it runs on this machine's engine"
        ecs.stop_task(task=arn)
        eventually(lambda: ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED")


def test_the_key_of_another_machine_can_do_what_an_agent_needs_and_no_more(
    up: Up, elsewhere: Elsewhere
) -> None:
    key = key_of(line_for(up, elsewhere))

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{up.port}",
            region_name="us-east-1",
            aws_access_key_id=key["access"],
            aws_secret_access_key=key["secret"],
            config=Config(retries={"max_attempts": 0}),
        )

    ecs, iam = client("ecs"), client("iam")
    up.client().create_cluster(clusterName="default")
    assert ecs.discover_poll_endpoint(cluster="default")["endpoint"]
    definition = {"family": "x", "containerDefinitions": [{"name": "a", "image": "b", "memory": 4}]}
    refused = [
        lambda: ecs.register_task_definition(**definition),
        lambda: ecs.run_task(taskDefinition="x"),
        lambda: ecs.list_tasks(cluster="default"),
        lambda: ecs.delete_cluster(cluster="default"),
        lambda: iam.create_user(UserName="mallory"),
        lambda: iam.create_access_key(UserName="far"),
    ]
    for call in refused:
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] in {"AccessDeniedException", "AccessDenied"}
