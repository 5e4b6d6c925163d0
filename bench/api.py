"""API calls per second against moto_server and MiniStack, same raw keep-alive client, in turns.

Run as `python -m bench.api [--json] [--seconds 2] [--rounds 3]`. The peers are made on first use, in
environments of their own below `.homeport/peers`. Ours runs with SigV4 verified, SQLite on disk with
synchronous=FULL, and one hollow instance (the real agent on a machine in memory, a process of its own).
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.kit import (
    Figure,
    RawClient,
    arguments,
    client_of,
    control_plane,
    free_port,
    hollow_nodes,
    median,
    process,
    python,
    rate,
    tell,
)
from homeport.core.sigv4 import Credentials

PEERS = Path(__file__).parents[1] / ".homeport" / "peers"
DUMMY = Credentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="x" * 40)
TASKS = 20
DEFINITION = {
    "family": "bench",
    "containerDefinitions": [{"name": "app", "image": "app:1", "memory": 4, "command": ["stay"]}],
}


def peer_environment(name: str, requirement: str) -> Path:
    """The peer's own virtual environment."""
    home = PEERS / name
    if not (home / "bin" / "pip").exists():
        subprocess.run([python(), "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", requirement], check=True)
    return home / "bin"


@contextmanager
def ours() -> Iterator[RawClient]:
    port = free_port()
    with control_plane(port) as folder, hollow_nodes(folder, 1):
        yield client_of(folder)


@contextmanager
def moto() -> Iterator[RawClient]:
    port, folder = free_port(), peer_environment("moto", "moto[server]")
    with process(str(folder / "moto_server"), "-H", "127.0.0.1", "-p", str(port), port=port):
        yield RawClient(port, DUMMY)


@contextmanager
def ministack() -> Iterator[RawClient]:
    port, folder = free_port(), peer_environment("ministack", "ministack[full]")
    env = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR"}
    with process(str(folder / "ministack"), port=port, env=env):
        yield RawClient(port, DUMMY)


def prepare(client: RawClient, name: str) -> list[str]:
    """A cluster with instances and twenty tasks; the tasks' ARNs. MiniStack needs no instances."""
    client.call("CreateCluster", clusterName="default")
    client.call("RegisterTaskDefinition", **DEFINITION)
    if name == "ours":
        wait_for_agents(client)
    elif name == "moto_server":
        register_instances(client)
    arns: list[str] = []
    while len(arns) < TASKS:
        answer = client.call("RunTask", taskDefinition="bench", count=10)
        if not answer["tasks"]:
            raise RuntimeError(f"no task was started: {answer}")
        arns += [task["taskArn"] for task in answer["tasks"]]
    return arns[:TASKS]


def wait_for_agents(client: RawClient) -> None:
    """Our instance registers by itself, and is placed on once its agent is connected."""
    while True:
        arns = client.call("ListContainerInstances")["containerInstanceArns"]
        if arns:
            shown = client.call("DescribeContainerInstances", containerInstances=arns)
            if all(instance["agentConnected"] for instance in shown["containerInstances"]):
                return
        time.sleep(0.05)


def register_instances(client: RawClient) -> None:
    """moto registers only instances that its own EC2 has, each with room for some 1,800 tasks."""
    form = "Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount=40&MaxCount=40"
    _, answer = client.send(client.prepared_form("ec2", form))
    for instance in re.findall(rb"<instanceId>([^<]+)</instanceId>", answer):
        document = json.dumps({"instanceId": instance.decode(), "region": "us-east-1"})
        client.call("RegisterContainerInstance", cluster="default", instanceIdentityDocument=document)


def operations(arns: list[str]) -> dict[str, Callable[[int], tuple[str, dict[str, Any]]]]:
    return {
        "DescribeTasks of 20": lambda _: ("DescribeTasks", {"tasks": arns}),
        "ListTasks": lambda _: ("ListTasks", {"maxResults": 20}),
        "DescribeClusters": lambda _: ("DescribeClusters", {"clusters": ["default"]}),
        "RegisterTaskDefinition": lambda i: (
            "RegisterTaskDefinition",
            {**DEFINITION, "family": f"f{i % 50}"},
        ),
        "RunTask accepted": lambda _: ("RunTask", {"taskDefinition": "bench"}),
    }


def main() -> None:
    options = arguments(__doc__ or "", seconds=2.0, rounds=3)
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for name, open_ in (("ours", ours), ("moto_server", moto), ("MiniStack", ministack)):
            with open_() as client:
                arns = prepare(client, name)
                for operation, make in operations(arns).items():
                    try:
                        speed = rate(client, make, seconds=options.seconds)
                    except RuntimeError as error:
                        print(f"{name} {operation}: {error}")
                        continue
                    found.setdefault((operation, name), []).append(speed)
                client.close()
    figures = []
    for operation in operations([]):
        mine = median(found[operation, "ours"])
        for peer, target in (("moto_server", ">= 5"), ("MiniStack", ">= 2")):
            if (operation, peer) in found:
                theirs = median(found[operation, peer])
                figures.append(
                    Figure(name=operation, ours=mine, unit="/s", peer=peer, theirs=theirs, target=target)
                )
    tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
