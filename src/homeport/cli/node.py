"""`homeport node`."""

from __future__ import annotations

import contextlib
import json as json_module
import re
import shlex
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import App, Parameter

from homeport.app.connection import Connection
from homeport.app.settings import DEFAULT_CLUSTER, is_loopback
from homeport.cli.client import ApiError, AwsClient
from homeport.cli.common import AsJson, Cluster, DataDir, connection_for
from homeport.cli.output import CliError, print_json

AGENT_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
"""AWS's own policy for what an ECS agent may do."""

app = App(name="node", help="Let other machines join.", help_format="plaintext")


FARGATE_POLICY = "fargate"
FARGATE_DOCUMENT = json_module.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "homeport:RunFargateTasks", "Resource": "*"}],
    }
)


def make_key(api: AwsClient, name: str, *, fargate: bool = False) -> tuple[str, str]:
    """A user that may do what an agent needs, and nothing else; its key id and secret."""
    api.query("iam", "CreateUser", UserName=name)
    try:
        api.query("iam", "AttachUserPolicy", UserName=name, PolicyArn=AGENT_POLICY)
        if fargate:
            api.query(
                "iam",
                "PutUserPolicy",
                UserName=name,
                PolicyName=FARGATE_POLICY,
                PolicyDocument=FARGATE_DOCUMENT,
            )
        answer = api.query("iam", "CreateAccessKey", UserName=name)
    except ApiError:
        # Half a user would stand in the way of the next try.
        if fargate:
            with contextlib.suppress(ApiError):
                api.query("iam", "DeleteUserPolicy", UserName=name, PolicyName=FARGATE_POLICY)
        with contextlib.suppress(ApiError):
            api.query("iam", "DetachUserPolicy", UserName=name, PolicyArn=AGENT_POLICY)
        with contextlib.suppress(ApiError):
            api.query("iam", "DeleteUser", UserName=name)
        raise
    return answer.findtext(".//AccessKeyId", ""), answer.findtext(".//SecretAccessKey", "")


def line_for(
    connection: Connection, key: tuple[str, str], *, endpoint: str, cluster: str, fargate: bool = False
) -> str:
    """The one line to run on the other machine, in its own checkout of Homeport."""
    values = {
        "AWS_ACCESS_KEY_ID": key[0],
        "AWS_SECRET_ACCESS_KEY": key[1],
        "AWS_REGION": connection.region,
    }
    words = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    # `env` in front: sudo drops the variables of the shell, not those on its own command line.
    return " ".join(
        ["sudo env", *words, "bin/homeport agent --endpoint", shlex.quote(endpoint)]
        + (["--cluster", shlex.quote(cluster)] if cluster != DEFAULT_CLUSTER else [])
        + (["--fargate", "--data-dir", "/var/lib/homeport-fargate"] if fargate else [])
    )


@app.command
def add(
    name: str,
    /,
    *,
    endpoint: Annotated[str, Parameter(help="How the other machine reaches this one.")] = "",
    cluster: Cluster = DEFAULT_CLUSTER,
    fargate: Annotated[
        bool, Parameter(negative="", help="It runs Fargate's tasks, on the machine where Homeport runs.")
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> int:
    """Make a key for a machine called NAME and print the one line to run there.

    Exit status: 0 printed, 1 refused, 3 nothing serves here.
    """
    if not re.fullmatch(r"[\w+=,.@-]{1,64}", name, re.ASCII):
        raise CliError(f"{name!r} cannot be a user's name", "Use letters, digits and +=,.@-_ (at most 64).")
    connection = connection_for(data_dir)
    where = endpoint or connection.endpoint
    if not endpoint and not fargate and is_loopback(urlsplit(where).hostname or ""):
        raise CliError(
            f"{where} reaches only this machine",
            "Start Homeport with --host 0.0.0.0 and say how others reach it: "
            f"homeport node add {name} --endpoint http://THIS-MACHINE:{urlsplit(where).port}",
        )
    try:
        with AwsClient(connection) as api:
            key = make_key(api, name, fargate=fargate)
    except ApiError as error:
        if error.code != "EntityAlreadyExists":
            raise
        raise CliError(
            f"there is a user {name} already",
            f"Choose another name, or make a further key: aws iam create-access-key --user-name {name}",
        ) from None
    if json:
        print_json(
            {
                "name": name, "endpoint": where, "cluster": cluster, "region": connection.region,
                "accessKeyId": key[0], "secretAccessKey": key[1],
            }
        )  # fmt: skip
    else:
        print(line_for(connection, key, endpoint=where, cluster=cluster, fargate=fargate))
    return 0
