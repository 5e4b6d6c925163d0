"""An unmodified amazon-ecs-agent as the node: registered, ordered, drained, left alone, sent away.

No package index has it, so the test runs where its binary is named:
`OFFICIAL_ECS_AGENT=/path/to/amazon-ecs-agent bin/test tests/e2e/test_official_agent.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_node_join import cable, eventually
from tests.kit.docker import IMAGE, engine
from tests.kit.dockerd import PrivateDaemon, private_daemon
from tests.kit.iam import allows, trusts
from tests.kit.up import START_SECONDS, Up, clean_environment, homeport_up

AGENT = os.environ.get("OFFICIAL_ECS_AGENT", "")
pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not AGENT, reason="OFFICIAL_ECS_AGENT names no amazon-ecs-agent"),
]


@pytest.fixture
def daemon() -> Iterator[PrivateDaemon]:
    stack = AsyncExitStack()
    with tempfile.TemporaryDirectory(prefix="hpd") as name, asyncio.Runner() as runner:
        opened = private_daemon(Path(name), live_restore=False, bridge=True)
        found = runner.run(stack.enter_async_context(opened))
        try:

            async def image() -> None:
                async with engine(found.socket):
                    pass

            runner.run(image())
            yield found
        finally:
            runner.run(stack.aclose())


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with homeport_up(tmp_path, "--instances", "0", "--host", "0.0.0.0") as running:
        yield running


def key(up: Up, endpoint: str) -> dict[str, str]:
    words = ("node", "add", "official", "--endpoint", endpoint, "--json", "--data-dir", str(up.data_dir))
    done = subprocess.run(
        [sys.executable, "-m", "homeport", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=START_SECONDS,
    )
    made: dict[str, str] = json.loads(done.stdout)
    return made


@contextmanager
def official_agent(up: Up, daemon: PrivateDaemon, endpoint: str, folder: Path) -> Iterator[None]:
    """The agent in the daemon's network; what it says is in `folder`."""
    made = key(up, endpoint)
    settings = {
        "DOCKER_HOST": f"unix://{daemon.socket}",
        "ECS_BACKEND_HOST": endpoint,
        "AWS_DEFAULT_REGION": made["region"],
        "AWS_ACCESS_KEY_ID": made["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["secretAccessKey"],
        "ECS_CLUSTER": made["cluster"],
        "ECS_EXTERNAL": "true",
        "ECS_DATADIR": str(folder),
        "ECS_AUDIT_LOGFILE_DISABLED": "true",
        "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
        "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1s",
        "ECS_INSTANCE_ATTRIBUTES": json.dumps({"rack": "7"}),
        "AWS_ENDPOINT_URL_SSM": endpoint,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
    }
    command = ["nsenter", f"--net=/run/netns/{daemon.namespace}", AGENT]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=clean_environment(**settings), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def instances(ecs: Any) -> list[dict[str, Any]]:
    arns = ecs.list_container_instances()["containerInstanceArns"]
    if not arns:
        return []
    found: list[dict[str, Any]] = ecs.describe_container_instances(containerInstances=arns)[
        "containerInstances"
    ]
    return found


def connected(ecs: Any) -> dict[str, Any] | None:
    return next((found for found in instances(ecs) if found["agentConnected"]), None)


def test_the_official_agent_is_a_node_like_ours(up: Up, daemon: PrivateDaemon, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    with cable(daemon.namespace) as (here, _):
        ecs = up.client()
        ecs.create_cluster()
        with official_agent(up, daemon, f"http://{here}:{up.port}", folder):
            instance = eventually(lambda: connected(ecs))
            assert {"name": "rack", "value": "7"} in instance["attributes"]
            assert instance["versionInfo"]["agentVersion"]
            steady = runs(ecs)
            exits(ecs)
            outlives_the_control_plane(up, ecs, steady)
            is_drained(ecs, instance["containerInstanceArn"])
            stops(ecs, steady)
            ecs.deregister_container_instance(containerInstance=instance["containerInstanceArn"])
            eventually(lambda: "InactiveInstanceException" in (folder / "log").read_text())


def test_the_official_agent_fetches_secrets(up: Up, daemon: PrivateDaemon, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    ecs, sm, ssm, iam = (up.client(service) for service in ("ecs", "secretsmanager", "ssm", "iam"))
    db = sm.create_secret(Name="db", SecretString='{"user":"ann"}')["ARN"]
    ssm.put_parameter(Name="/shop/token", Value="battery-staple", Type="SecureString")
    role = iam.create_role(RoleName="fetches", AssumeRolePolicyDocument=trusts())["Role"]["Arn"]
    policy = allows("secretsmanager:GetSecretValue", "ssm:GetParameters")
    iam.put_role_policy(RoleName="fetches", PolicyName="p", PolicyDocument=policy)
    other = db.replace(":db-", ":other-")
    by_arn = "arn:aws:ssm:us-east-1:000000000000:parameter/shop/token"
    with cable(daemon.namespace) as (here, _):
        ecs.create_cluster()
        with official_agent(up, daemon, f"http://{here}:{up.port}", folder):
            eventually(lambda: connected(ecs))
            wanted = {"USER": f"{db}:user::", "TOKEN": "/shop/token", "SAME": by_arn}
            done = ended(ecs, role, wanted, "exit ${#USER}${#TOKEN}${#SAME}")
            assert done["containers"][0]["exitCode"] == 31414 % 256
            reasons = [
                ended(ecs, role, {"X": value_from})["stoppedReason"]
                for value_from in ("/no/such", f"{db}:pass::", other)
            ]
            iam.delete_role_policy(RoleName="fetches", PolicyName="p")
            reasons += [ended(ecs, role, {"X": each})["stoppedReason"] for each in ("/shop/token", db)]
    in_ssm = "Fetching secret data from SSM Parameter Store in us-east-1: "
    in_sm = "https response error StatusCode: 400, RequestID: "
    assert reasons[0] == f"{in_ssm}invalid parameters: /no/such"
    assert reasons[1] == "Retrieved secret from Secrets Manager did not contain json key pass"
    assert reasons[2].startswith(
        f"ResourceNotFoundException: The task can't retrieve the secret with ARN '{other}' from AWS Secrets "
        "Manager. Check whether the secret exists in the specified Region: operation error Secrets Manager: "
        f"GetSecretValue, {in_sm}"
    )
    assert reasons[3].startswith(f"{in_ssm}operation error SSM: GetParameters, {in_sm}")
    assert "api error AccessDeniedException: User: " in reasons[3]
    assert reasons[4].startswith(f"Secret {db}: operation error Secrets Manager: GetSecretValue, {in_sm}")


def ended(ecs: Any, role: str, secrets: dict[str, str], script: str = "exit 0") -> dict[str, Any]:
    """A task with these secrets, STOPPED."""
    wanted = [{"name": name, "valueFrom": value_from} for name, value_from in secrets.items()]
    container = {"name": "app", "image": IMAGE, "memory": 16, "command": ["sh", "-c", script]}
    ecs.register_task_definition(
        family="fetches", executionRoleArn=role, containerDefinitions=[{**container, "secrets": wanted}]
    )
    (task,) = ecs.run_task(taskDefinition="fetches")["tasks"]
    ecs.get_waiter("tasks_stopped").wait(tasks=[task["taskArn"]], WaiterConfig={"Delay": 1})
    return described(ecs, task["taskArn"])


def runs(ecs: Any) -> str:
    check = {"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 1}
    ecs.register_task_definition(
        family="steady",
        containerDefinitions=[
            {
                "name": "app",
                "image": IMAGE,
                "memory": 16,
                "command": ["sleep", "1000"],
                "stopTimeout": 2,
                "healthCheck": check,
                "portMappings": [{"containerPort": 80}],
            }
        ],
    )
    (task,) = ecs.run_task(taskDefinition="steady")["tasks"]
    arn: str = task["taskArn"]
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1})
    eventually(lambda: described(ecs, arn)["healthStatus"] == "HEALTHY")
    (container,) = described(ecs, arn)["containers"]
    (binding,) = container["networkBindings"]
    assert binding["containerPort"] == 80
    assert binding["hostPort"] > 0
    return arn


def described(ecs: Any, arn: str) -> dict[str, Any]:
    (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    return task  # type: ignore[no-any-return]


def exits(ecs: Any) -> None:
    ecs.register_task_definition(
        family="brief",
        containerDefinitions=[
            {"name": "app", "image": IMAGE, "memory": 16, "command": ["sh", "-c", "exit 3"]}
        ],
    )
    (task,) = ecs.run_task(taskDefinition="brief")["tasks"]
    ecs.get_waiter("tasks_stopped").wait(tasks=[task["taskArn"]], WaiterConfig={"Delay": 1})
    stopped = described(ecs, task["taskArn"])
    assert (stopped["stopCode"], stopped["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)


def outlives_the_control_plane(up: Up, ecs: Any, steady: str) -> None:
    before = described(ecs, steady)["containers"][0]["runtimeId"]
    ended = ecs.run_task(taskDefinition="brief")["tasks"][0]["taskArn"]
    up.kill()
    up.start()
    ecs.get_waiter("tasks_stopped").wait(tasks=[ended], WaiterConfig={"Delay": 1})
    after = described(ecs, steady)
    assert (after["lastStatus"], after["containers"][0]["runtimeId"]) == ("RUNNING", before)


def is_drained(ecs: Any, instance: str) -> None:
    ecs.update_container_instances_state(containerInstances=[instance], status="DRAINING")
    assert ecs.run_task(taskDefinition="steady")["tasks"] == []
    ecs.update_container_instances_state(containerInstances=[instance], status="ACTIVE")


def stops(ecs: Any, steady: str) -> None:
    eventually(lambda: connected(ecs))
    ecs.stop_task(task=steady, reason="enough")
    ecs.get_waiter("tasks_stopped").wait(tasks=[steady], WaiterConfig={"Delay": 1})
    assert described(ecs, steady)["stoppedReason"] == "enough"
