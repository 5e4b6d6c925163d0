"""Stock SDKs in containers find their credentials by themselves, and nobody else's.

boto3 and the AWS SDK for JavaScript are used as they are: their default credential chains, in containers on
the bridge and in the host's network namespace, calling this Homeport's API. The image is the tests' own; the
machine's interpreters and libraries are mounted into it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.kit.docker import IMAGE
from tests.kit.iam import allows, fresh, trusts
from tests.kit.up import TASK_LABEL, Up, homeport_up

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.1
"""Neither the public API nor a container's log can be waited on, so ask."""

TOOLS = """
import boto3, botocore, json, sys, urllib.request
from botocore.config import Config
config = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=10)
def tried(call):
    try:
        return call()
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    except Exception as error:
        return type(error).__name__
def http(method, url, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except Exception as error:
        return [0, type(error).__name__]
"""
GO = (
    TOOLS
    + """
session = boto3.Session()
found = session.get_credentials()
said = {
    "method": found.method if found else None,
    "who": tried(lambda: session.client("sts", config=config).get_caller_identity()["Arn"]),
    "clusters": tried(lambda: len(session.client("ecs", config=config).list_clusters()["clusterArns"])),
    "users": tried(lambda: len(session.client("iam", config=config).list_users()["Users"])),
}
"""
)
"""What every program in a container begins with: who am I, what may I."""

JS_SDK = os.environ.get("JS_SDK", "")
"""The `node_modules` that `npm install @aws-sdk/client-sts @aws-sdk/client-ecs @aws-sdk/client-iam` made."""
JS_GO = """
const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");
const { ECSClient, ListClustersCommand } = require("@aws-sdk/client-ecs");
const { IAMClient, ListUsersCommand } = require("@aws-sdk/client-iam");
const tried = async (call) => { try { return await call(); } catch (error) { return error.name; } };
(async () => {
  const said = {
    who: await tried(async () => (await new STSClient().send(new GetCallerIdentityCommand({}))).Arn),
    clusters: await tried(
      async () => (await new ECSClient().send(new ListClustersCommand({}))).clusterArns.length),
    users: await tried(async () => (await new IAMClient().send(new ListUsersCommand({}))).Users.length),
  };
  console.log("SAID " + JSON.stringify(said));
  setTimeout(() => {}, 600000);
})();
"""


def python(more: str = "") -> list[str]:
    return [
        sys.executable,
        "-c",
        f"{GO}{more}\nprint('SAID', json.dumps(said), flush=True)\nimport time; time.sleep(600)",
    ]


MOUNTS = sorted({"/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix})


def register(up: Up, command: list[str], *, mounts: list[str] | None = None, **members: Any) -> str:
    sources = [path for path in (mounts or MOUNTS) if Path(path).exists()]
    family = fresh("sdk")
    up.client().register_task_definition(
        family=family,
        containerDefinitions=[
            {
                "name": "app",
                "image": IMAGE,
                "memory": 256,
                "entryPoint": command[:1],
                "command": command[1:],
                "environment": [
                    {"name": "AWS_ENDPOINT_URL", "value": f"http://{gateway()}:{up.port}"},
                    {"name": "HOME", "value": "/"},
                ],
                "mountPoints": [
                    {"sourceVolume": f"v{i}", "containerPath": path, "readOnly": True}
                    for i, path in enumerate(sources)
                ],
            }
        ],
        volumes=[{"name": f"v{i}", "host": {"sourcePath": path}} for i, path in enumerate(sources)],
        **members,
    )
    return family


def gateway() -> str:
    """This machine as containers on Docker's bridge see it."""
    shown = subprocess.run(
        ["docker", "network", "inspect", "bridge"], capture_output=True, text=True, check=True
    )
    (network,) = json.loads(shown.stdout)
    return str(network["IPAM"]["Config"][0]["Gateway"])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "2", "--host", "0.0.0.0") as running:
        until(lambda: len(running.client().list_container_instances()["containerInstanceArns"]) == 2)
        yield running


def until(check: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := check()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(POLL_SECONDS)
    return found


def role(up: Up, *actions: str) -> tuple[str, str]:
    name = fresh("sdk-role")
    iam = up.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts())["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allows(*actions))
    return name, str(arn)


def start(up: Up, family: str, instance: int = 0) -> str:
    """A task on the first or second instance."""
    instances = sorted(up.client().list_container_instances()["containerInstanceArns"])
    answer = up.client().start_task(taskDefinition=family, containerInstances=[instances[instance]])
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


def container_of(up: Up, task: str) -> str:
    found = [c for c in up.containers() if c["Labels"].get(TASK_LABEL) == task]
    return str(found[0]["Id"]) if found else ""


def said(up: Up, task: str) -> dict[str, Any]:
    """The last word of a task's container."""

    def look() -> Any:
        name = container_of(up, task)
        if not name:
            return None
        logs = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True)
        lines = [line for line in logs.stdout.splitlines() if line.startswith("SAID ")]
        if not lines:
            state = subprocess.run(
                ["docker", "inspect", "-f", "{{.State.Status}}", name],
                capture_output=True,
                text=True,
                check=True,
            )
            assert state.stdout.strip() != "exited", logs.stderr
        return json.loads(lines[-1].removeprefix("SAID ")) if lines else None

    found: dict[str, Any] = until(look)
    return found


def again(up: Up, task: str, more: str) -> Any:
    """Run another program in a task's container, which begins by asking who it is."""
    return asks(up, task, more, before=GO)


def asks(up: Up, task: str, more: str, *, before: str = TOOLS) -> Any:
    """Run a program in a task's container."""
    command = [sys.executable, "-c", f"{before}{more}\nprint('SAID', json.dumps(said))"]
    done = subprocess.run(
        ["docker", "exec", container_of(up, task), *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1].removeprefix("SAID "))


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_boto3_in_a_container_is_its_task_role(up: Up, mode: str) -> None:
    name, arn = role(up, "ecs:ListClusters")
    task = start(up, register(up, python(), taskRoleArn=arn, networkMode=mode))
    told = said(up, task)
    assert told["who"].endswith(f":assumed-role/{name}/{task.rpartition('/')[2]}")
    assert (told["method"], told["clusters"], told["users"]) == ("container-role", 1, "AccessDenied")


@pytest.mark.parametrize("mode", ["bridge", "host"])
@pytest.mark.parametrize("instance", [0, 1])
def test_boto3_without_a_task_role_is_its_instance(up: Up, mode: str, instance: int) -> None:
    task = start(up, register(up, python(), networkMode=mode), instance)
    told = said(up, task)
    (host,) = up.client().describe_container_instances(
        containerInstances=up.client()
        .describe_tasks(tasks=[task])["tasks"][0]["containerInstanceArn"]
        .split()
    )["containerInstances"]
    assert told["method"] == "iam-role"
    assert told["who"].endswith(f":assumed-role/homeport-instance/{host['ec2InstanceId']}")
    assert told["users"] == "AccessDenied"


@pytest.mark.skipif(not (JS_SDK and shutil.which("node")), reason="needs node, and JS_SDK with the SDK")
@pytest.mark.parametrize("mode", ["bridge", "host"])
@pytest.mark.parametrize("kind", ["task role", "instance profile"])
def test_the_javascript_sdk_in_a_container_finds_the_same(up: Up, mode: str, kind: str) -> None:
    node = str(shutil.which("node"))
    members: dict[str, Any] = {"networkMode": mode}
    name = "homeport-instance"
    if kind == "task role":
        name, members["taskRoleArn"] = role(up, "ecs:ListClusters")
    command = ["/bin/sh", "-c", f"NODE_PATH={JS_SDK} exec {node} -e '{JS_GO}'"]
    family = register(up, command, mounts=[*MOUNTS, JS_SDK], **members)
    told = said(up, start(up, family))
    assert f":assumed-role/{name}/" in told["who"]
    if kind == "task role":
        assert told["clusters"] == 1
    assert told["users"] in ("AccessDenied", "AccessDeniedException")


def environment_of(up: Up, task: str) -> dict[str, str]:
    shown = subprocess.run(
        ["docker", "inspect", container_of(up, task)], capture_output=True, text=True, check=True
    )
    (container,) = json.loads(shown.stdout)
    return dict(entry.split("=", 1) for entry in container["Config"]["Env"])


@pytest.fixture(scope="module")
def two(up: Up) -> tuple[str, str, str, str]:
    """Two tasks of one role on the bridge and two in the host's network namespace."""
    _, arn = role(up, "ecs:ListClusters")
    tasks = []
    for mode in ("bridge", "host"):
        family = register(up, python(), taskRoleArn=arn, networkMode=mode)
        tasks += [start(up, family), start(up, family, 1)]
    for task in tasks:
        said(up, task)
    return tasks[0], tasks[1], tasks[2], tasks[3]


def credentials_url(up: Up, task: str) -> str:
    env = environment_of(up, task)
    return env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or (
        "http://169.254.170.2" + env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    )


@pytest.mark.parametrize(("thief", "victim"), [(1, 0), (2, 3), (0, 2), (2, 0)])
def test_a_credential_id_is_good_in_its_own_task_only(
    up: Up, two: tuple[str, ...], thief: int, victim: int
) -> None:
    """Whatever way the thief goes: the victim's own address, or its own with the victim's id."""
    own, theirs = credentials_url(up, two[thief]), credentials_url(up, two[victim])
    secret_id = theirs.rpartition("/")[2]
    ways = {
        theirs,
        own.rpartition("/")[0] + f"/{secret_id}",
        own.partition("/v2/")[0] + f"/v1/credentials?id={secret_id}",
        own.partition("/v2/")[0] + f"//v2/../v2/credentials/{secret_id}",
        own + f"/../{secret_id}",
        own.rpartition("/")[0] + f"/%2e%2e/credentials/{secret_id}",
    }
    # In the host's network namespace 169.254.170.2 is not ours: nothing of us is asked there.
    asked = sorted(way for way in ways if not (thief > 1 and way.startswith("http://169.254.")))
    told = asks(up, two[thief], f"said = [http('GET', url) for url in {asked!r}]")
    assert all(status in (0, 400, 404) for status, _ in told), told
    assert "SecretAccessKey" not in json.dumps(told)
    (mine,) = asks(up, two[thief], f"said = [http('GET', {own!r})]")
    assert mine[0] == 200, "the thief has what is its own"


def test_a_process_of_the_machine_is_given_nothing(up: Up, two: tuple[str, ...]) -> None:
    url = credentials_url(up, two[2])
    done = subprocess.run(["curl", "-s", "-m", "5", url], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["code"] == "InvalidIdInRequest"


IMDS = """
import os
base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254") + "/latest"
ttl = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}
status, token = http("PUT", base + "/api/token", **ttl)
with_token = {"X_aws_ec2_metadata_token": token}
roles = base + "/meta-data/iam/security-credentials/"
mine = roles + "homeport-instance"
said = {
    "token": status,
    "id": http("GET", base + "/meta-data/instance-id", **with_token)[1],
    "role": http("GET", roles, **with_token)[1],
    "bare": [http("GET", url)[0] for url in (base + "/meta-data/instance-id", roles, mine)],
    "wrong": http("GET", mine, X_aws_ec2_metadata_token="x" * 56)[0],
    "proxied": http("PUT", base + "/api/token", X_Forwarded_For="1.2.3.4", **ttl)[0],
    "no ttl": http("PUT", base + "/api/token")[0],
    "long": http("PUT", base + "/api/token", X_aws_ec2_metadata_token_ttl_seconds="21601")[0],
    "tricks": [http("GET", base + path)[0] for path in TRICKS],
    "others": [http("GET", mine, X_aws_ec2_metadata_token=other)[0] for other in OTHERS],
    "mine": token,
}
"""
TRICKS = [
    "/api/token/../../meta-data/iam/security-credentials/homeport-instance",
    "//meta-data//iam/security-credentials/homeport-instance",
    "/meta-data/iam/security-credentials/%2e%2e/security-credentials/homeport-instance",
    "/meta-data;x/iam/security-credentials/homeport-instance",
    "/meta-data/iam/security-credentials/homeport-instance?X-aws-ec2-metadata-token=x",
    "/../latest/meta-data/iam/security-credentials/homeport-instance",
]


def test_the_metadata_service_wants_a_token_of_the_callers_own_instance(up: Up, two: tuple[str, ...]) -> None:
    others: list[str] = []
    for index in (0, 1, 2, 3):
        told = asks(up, two[index], f"TRICKS, OTHERS = {TRICKS!r}, {others!r}{IMDS}")
        (found,) = up.client().describe_tasks(tasks=[two[index]])["tasks"]
        (host,) = up.client().describe_container_instances(
            containerInstances=[found["containerInstanceArn"]]
        )["containerInstances"]
        assert (told["token"], told["id"]) == (200, host["ec2InstanceId"])
        assert told["role"] == "homeport-instance"
        assert told["bare"] == [401, 401, 401]
        assert (told["wrong"], told["proxied"], told["no ttl"], told["long"]) == (401, 403, 400, 400)
        assert set(told["tricks"]) <= {401, 404}
        if others and index == 1:
            assert told["others"] == [401]
        others = [told["mine"]]


def test_after_a_kill_running_tasks_have_their_credentials_again(up: Up, two: tuple[str, ...]) -> None:
    """The agent keeps none on disk: the control plane sends the same ones again, and the ids stay."""
    ask = "said['key'] = found.get_frozen_credentials().access_key if found else None"
    before = [again(up, task, ask) for task in two]
    up.kill()
    away = asks(up, two[0], "said = {'status': http('GET', 'http://169.254.170.2/v2/credentials/x')[0]}")
    assert away["status"] == 0
    up.start()

    def back() -> bool:
        urls = [credentials_url(up, task) for task in two]
        return all(
            asks(up, task, f"said = {{'status': http('GET', {url!r})[0]}}")["status"] == 200
            for task, url in zip(two, urls, strict=True)
        )

    until(back)
    after = [again(up, task, ask) for task in two]
    assert after == before
    assert all(one["clusters"] == 1 for one in after)


def test_credentials_of_a_stopped_task_are_refused(up: Up) -> None:
    _, arn = role(up, "ecs:ListClusters")
    task = start(up, register(up, python(), taskRoleArn=arn))
    said(up, task)
    keys = "c = found.get_frozen_credentials(); said = [c.access_key, c.secret_key, c.token]"
    key, secret, token = again(up, task, keys)
    stolen = boto3.client(
        "ecs",
        endpoint_url=up.client().meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )
    assert stolen.list_clusters()["clusterArns"]
    up.client().stop_task(task=task)
    until(lambda: up.client().describe_tasks(tasks=[task])["tasks"][0]["lastStatus"] == "STOPPED")
    with pytest.raises(ClientError) as refused:
        stolen.list_clusters()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_what_is_blocked_is_blocked(tmp_path: Path) -> None:
    """Also the machine's own metadata service, where it has one."""
    with homeport_up(tmp_path, "--no-instance-metadata", "--host", "0.0.0.0") as up:
        until(lambda: up.client().list_container_instances()["containerInstanceArns"])
        task = start(up, register(up, python("said['imds'] = http('PUT', 'http://169.254.169.254/')[0]")))
        told = said(up, task)
        assert (told["method"], told["imds"]) == (None, 0)
        assert up.client("iam").list_instance_profiles()["InstanceProfiles"] == []


def test_a_program_that_asks_first_of_all_is_answered(up: Up) -> None:
    """It runs before Docker says so."""
    _, arn = role(up)
    ask = (
        "wget -q -O - http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI >/told || exit 9; sleep 600"
    )
    container = {"name": "app", "image": IMAGE, "memory": 16, "command": ["sh", "-c", ask]}
    family = fresh("first")
    up.client().register_task_definition(family=family, taskRoleArn=arn, containerDefinitions=[container])
    tasks = [task["taskArn"] for task in up.client().run_task(taskDefinition=family, count=8)["tasks"]]

    def asked(task: str) -> bool:
        name = container_of(up, task)
        looked = ["docker", "exec", name, "grep", "-c", arn, "/told"]
        return bool(name) and subprocess.run(looked, capture_output=True, check=False).returncode == 0

    until(lambda: all(map(asked, tasks)))
