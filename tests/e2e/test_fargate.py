"""Fargate on this machine, for real: `homeport up`, tasks reached at their interfaces, limits that hold."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.docker import IMAGE
from tests.kit.up import Process, Up, clean_environment, homeport_up

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(400)]
PATIENCE_SECONDS = 120.0
TROUBLE = ("unavailable", "Traceback")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up")) as running:
        yield running


@pytest.fixture(scope="module")
def network(up: Up) -> dict[str, Any]:
    found = up.client("ec2").describe_subnets()["Subnets"]
    return {"awsvpcConfiguration": {"subnets": [one["SubnetId"] for one in found]}}


def until(check: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
    """What it says once it says anything true."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.2)


def register(up: Up, family: str, *command: str, **members: Any) -> None:
    container = {"name": "app", "image": IMAGE, "essential": True, "command": ["sh", "-c", *command]}
    up.client().register_task_definition(
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[container],
        **members,
    )


def stopped(up: Up, arn: str) -> dict[str, Any]:
    def check() -> Any:
        (task,) = up.client().describe_tasks(tasks=[arn])["tasks"]
        return task if task["lastStatus"] == "STOPPED" else None

    return dict(until(check))


def address_of(task: dict[str, Any]) -> str:
    details = {d["name"]: d["value"] for d in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def test_a_service_answers_at_its_interfaces_without_any_instance(up: Up, network: dict[str, Any]) -> None:
    ecs = up.client()
    register(up, "web", "hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    # The default group lets in who is in it; the machine itself counts as the outside.
    ec2 = up.client("ec2")
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])[
        "SecurityGroups"
    ]
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration=network,
    )

    def running() -> Any:
        arns = ecs.list_tasks(serviceName="web")["taskArns"]
        tasks = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return tasks if [t["lastStatus"] for t in tasks] == ["RUNNING"] * 2 else None

    tasks = until(running)
    for task in tasks:
        assert "containerInstanceArn" not in task
        assert (task["launchType"], task["platformVersion"]) == ("FARGATE", "1.4.0")

        def answers(at: str = address_of(task)) -> Any:
            try:
                with urllib.request.urlopen(f"http://{at}/", timeout=2) as answer:
                    return answer.read()
            except OSError:
                return None

        assert until(answers)
    (cluster,) = ecs.describe_clusters()["clusters"]
    assert cluster["registeredContainerInstancesCount"] == 1
    ecs.delete_service(service="web", force=True)
    for task in tasks:
        assert stopped(up, task["taskArn"])["stopCode"] == "ServiceSchedulerInitiated"


def run(up: Up, family: str, network: dict[str, Any], **members: Any) -> str:
    answer = up.client().run_task(
        taskDefinition=family, launchType="FARGATE", networkConfiguration=network, **members
    )
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


def test_who_takes_more_memory_than_the_task_has_is_killed(up: Up, network: dict[str, Any]) -> None:
    register(up, "hog", "tail /dev/zero")
    task = stopped(up, run(up, "hog", network))
    (container,) = task["containers"]
    assert container["exitCode"] == 137
    assert container["reason"].startswith("OutOfMemoryError")


def test_a_task_has_its_size_and_knows_where_it_is(up: Up, network: dict[str, Any]) -> None:
    """What the task itself sees: its metadata, no instance metadata service, files it may open."""
    register(
        up,
        "looks",
        'wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task | grep -q \'"LaunchType":"FARGATE"\' || exit 3; '
        'wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task | grep -q \'"Cluster":"arn:aws:ecs\' || exit 4; '
        "wget -q -T 2 -O - http://169.254.169.254/latest/meta-data/ && exit 5; "
        'test "$(ulimit -n)" = $FILES || exit 6; test $AWS_EXECUTION_ENV = AWS_ECS_FARGATE || exit 7; exit 0',
    )
    files = {"name": "FILES", "value": str(min(65535, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))}
    overrides = {"containerOverrides": [{"name": "app", "environment": [files]}]}
    task = stopped(up, run(up, "looks", network, overrides=overrides))
    (container,) = task["containers"]
    assert container["exitCode"] == 0, task


def test_nothing_is_left_of_it(up: Up) -> None:
    def gone() -> bool:
        found = up.client("ec2").describe_network_interfaces(
            Filters=[{"Name": "requester-id", "Values": ["amazon-ecs"]}]
        )
        return not found["NetworkInterfaces"]

    assert until(gone)
    assert not any(word in up.log.read_text() for word in TROUBLE)


def test_an_agent_of_its_own_runs_fargates_tasks(tmp_path: Path) -> None:
    """`up` leaves them to `homeport agent --fargate`, which nobody sees either."""
    (tmp_path / "up").mkdir()
    with homeport_up(tmp_path / "up", "--no-fargate") as up:
        subnets = [one["SubnetId"] for one in up.client("ec2").describe_subnets()["Subnets"]]
        asked = {"awsvpcConfiguration": {"subnets": subnets}}
        register(up, "short", "exit 7")
        with pytest.raises(ClientError, match="No machine runs Fargate tasks here"):
            run(up, "short", asked)
        agent = joining(up, tmp_path / "agent")
        agent.start(until=None)
        try:

            def started() -> Any:
                try:
                    return run(up, "short", asked)
                except ClientError:
                    return None

            task = stopped(up, until(started))
            assert task["containers"][0]["exitCode"] == 7
            instances = up.client().list_container_instances()["containerInstanceArns"]
            assert len(instances) == 1
        finally:
            agent.terminate()
            homeport("down", "--purge", "--grace-seconds", "0", "--data-dir", str(agent.folder / "data"))


def homeport(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "homeport", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return done.stdout


def joining(up: Up, folder: Path) -> Process:
    """An agent with the key that `node add` makes for one."""
    folder.mkdir()
    told = json.loads(
        homeport("node", "add", "runner", "--fargate", "--json", "--data-dir", str(up.data_dir))
    )
    environment = clean_environment(
        AWS_ACCESS_KEY_ID=told["accessKeyId"],
        AWS_SECRET_ACCESS_KEY=told["secretAccessKey"],
        AWS_REGION=told["region"],
    )
    return Process(folder, "agent", "--endpoint", told["endpoint"], "--fargate", environment=environment)
