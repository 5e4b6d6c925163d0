"""Every request leaves a line that says who did what and why it was allowed or denied, and no secret."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from homeport.app.audit.files import path_of
from homeport.app.connection import write_connection
from homeport.app.identity.keyring import StoredKeys
from homeport.cli.audit import audit as show_audit
from homeport.cli.audit import followed, instant, line
from homeport.cli.client import ApiError, AwsClient
from homeport.cli.explain import explain
from homeport.cli.output import CliError
from homeport.core.call import Call
from homeport.core.sigv4 import sign_headers
from homeport.gateway.ports import OwnPage
from homeport.wire.http import MAX_BODY_BYTES
from homeport.wire.model import service_api
from tests.api.test_explain import client
from tests.kit.attacker import SERVED, Attacker
from tests.kit.iam import allows, fresh
from tests.kit.server import ACCOUNT, REGION, Live, credentials, live_server
from tests.wire.oracle import sent

Entry = dict[str, Any]
HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def live(folder: Path) -> Iterator[Live]:
    with live_server(audit=folder) as live:
        yield live


@pytest.fixture
def api(live: Live) -> Iterator[AwsClient]:
    with client(live) as api:
        yield api


def lines(folder: Path) -> list[Entry]:
    return [json.loads(one) for one in path_of(folder, 1).read_text().splitlines()]


def user_with(live: Live, document: str | None, **more: Any) -> tuple[str, dict[str, str]]:
    iam, name = live.client("iam"), fresh("user")
    iam.create_user(UserName=name, **more)
    if document is not None:
        iam.put_user_policy(UserName=name, PolicyName="mine", PolicyDocument=document)
    return name, iam.create_access_key(UserName=name)["AccessKey"]


def keys(key: dict[str, str]) -> dict[str, Any]:
    return {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
        "aws_session_token": key.get("SessionToken"),
    }


def denied(work: Any) -> str:
    """The request's id."""
    with pytest.raises(ClientError) as caught:
        work()
    assert "AccessDenied" in caught.value.response["Error"]["Code"]
    return str(caught.value.response["ResponseMetadata"]["RequestId"])


def test_an_answered_request_is_on_the_disk(live: Live, folder: Path) -> None:
    answer = live.client("ecs").create_cluster(clusterName="mine")
    entry = lines(folder)[-1]
    assert entry["requestID"] == answer["ResponseMetadata"]["RequestId"]
    told = {name: entry[name] for name in ("eventSource", "eventName", "outcome", "status", "resources")}
    assert told == {
        "eventSource": "ecs.amazonaws.com",
        "eventName": "CreateCluster",
        "outcome": "allowed",
        "status": 200,
        "resources": [f"{HEAD}:cluster/mine"],
    }
    assert entry["sourceIPAddress"] == "127.0.0.1"
    assert entry["userAgent"].startswith("Boto3/")
    assert entry["userIdentity"] == {
        "type": "Root",
        "arn": f"arn:aws:iam::{ACCOUNT}:root",
        "principalId": ACCOUNT,
        "accountId": ACCOUNT,
        "accessKeyId": live.keys.root.access_key_id,
    }
    assert (entry["awsRegion"], entry["recipientAccountId"]) == (REGION, ACCOUNT)


def test_what_was_allowed_names_the_statement(live: Live, folder: Path) -> None:
    name, key = user_with(live, allows("ecs:*", Sid="Ecs"))
    live.client("ecs", **keys(key)).list_clusters()
    entry = lines(folder)[-1]
    assert entry["userIdentity"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert entry["decisions"] == [
        {
            "action": "ecs:ListClusters",
            "resource": "*",
            "verdict": "allowed",
            "statements": [{"policy": "mine", "statement": "Ecs", "kind": "identity"}],
        }
    ]


def test_who_is_nobody_is_told_with_what_they_claimed(live: Live, folder: Path) -> None:
    with pytest.raises(ClientError):
        live.client("ecs", aws_access_key_id="AKIAUNKNOWNUNKNOWNUN").list_clusters()
    entry = lines(folder)[-1]
    assert (entry["outcome"], entry["errorCode"]) == ("unproven", "UnrecognizedClientException")
    assert entry["userIdentity"] == {"type": "Unknown", "accessKeyId": "AKIAUNKNOWNUNKNOWNUN"}


def test_a_secret_in_the_place_of_a_keys_id_is_not_written(live: Live, folder: Path) -> None:
    with pytest.raises(ClientError):
        live.client("ecs", aws_access_key_id="SecretSecretSecretSecretSecretSecret0123").list_clusters()
    assert lines(folder)[-1]["userIdentity"]["accessKeyId"] == "Secr... (no access key's id)"


def test_what_a_service_itself_denies_is_denied(live: Live, folder: Path) -> None:
    role = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none", "RoleSessionName": "me"}
    denied(lambda: live.client("sts").assume_role(**role))
    entry = lines(folder)[-1]
    assert (entry["outcome"], entry["resources"]) == ("denied", [role["RoleArn"]])


def test_own_pages_and_agents_sockets_leave_lines(live: Live, api: AwsClient, folder: Path) -> None:
    api.own("events", limit="1")
    entry = lines(folder)[-1]
    assert (entry["eventSource"], entry["eventName"], entry["outcome"]) == (
        "homeport",
        "ReadEvents",
        "allowed",
    )
    _, key = user_with(live, allows("ecs:ListClusters"))
    with client(live, key) as other, pytest.raises(ApiError) as caught:
        other.own("events")
    entry = lines(folder)[-1]
    assert (entry["outcome"], entry["status"], caught.value.code) == ("denied", 400, "AccessDeniedException")

    async def connect() -> int:
        path, query = "/_homeport/acs/ws", [("cluster", "default")]
        host = live.endpoint.removeprefix("http://")
        headers = sign_headers(
            credentials(key), method="GET", path=path, query=query, headers={"host": host}, body=b"",
            region=REGION, service="ecs", now=live.clock.now(),
        )  # fmt: skip
        try:
            await live.session.ws_connect(f"{live.endpoint}{path}?cluster=default", headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        return 101

    assert live.run(connect()) == 403
    entry = lines(folder)[-1]
    assert (entry["eventName"], entry["outcome"], entry["status"]) == ("Poll", "denied", 403)
    live.add_node()
    entry = next(one for one in lines(folder) if one["status"] == 101)
    assert (entry["eventName"], entry["outcome"]) == ("Poll", "allowed")


def test_a_body_that_nobody_read_leaves_a_line(live: Live, folder: Path) -> None:
    async def send() -> int:
        async with live.session.post(live.endpoint, data=io.BytesIO(bytes(MAX_BODY_BYTES + 1))) as answer:
            return answer.status

    assert live.run(send()) == 413
    entry = lines(folder)[-1]
    assert (entry["errorCode"], entry["outcome"]) == ("RequestEntityTooLargeException", "unproven")


@pytest.mark.parametrize("own", [False, True])
def test_a_request_that_is_cut_off_leaves_a_line(
    live: Live, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    attacker = Attacker(live)

    async def never(call: Call, query: Mapping[str, str]) -> bytes:
        del call, query
        await asyncio.Event().wait()
        return b""

    async def find(key_id: str) -> None:
        del key_id
        await asyncio.Event().wait()

    async def cut_off(work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    page = OwnPage(action="homeport:Explain", read=never)
    request = attacker.sign(sent("ecs", "ListClusters", "json", {}), service="ecs")
    if own:
        live.run(cut_off(attacker.chain.read_own(request, live.endpoint, page)))
    else:
        monkeypatch.setattr(StoredKeys, "find", lambda ring, key_id: find(key_id))
        live.run(cut_off(attacker.chain.handle(request, live.endpoint)))
    (entry,) = attacker.trail
    assert (entry["status"], entry["errorCode"]) == (0, "Cancelled")


CANARY = "canary-in-the-mine"
LONG = CANARY + "x" * 70_000
SENSITIVE = [
    (service, operation, member)
    for service, operation in SERVED
    for member, shape in service_api(service).operation(operation).input.members.items()
    if shape.sensitive
]


@pytest.mark.parametrize(("service", "operation", "member"), SENSITIVE)
def test_no_secret_of_a_request_is_written(live: Live, service: str, operation: str, member: str) -> None:
    attacker = Attacker(live)
    shape = service_api(service).operation(operation).input
    usual = {
        "SecretId": "none",
        "Name": "name",
        "Type": "String",
        "RoleSessionName": "me",
        "UserName": "none",
    }
    usual |= {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none", "PasswordLength": 9}
    for secret in (CANARY, LONG, CANARY.encode()):
        value = {name: held for name, held in usual.items() if name in shape.members} | {member: secret}
        kind = shape.members[member].kind
        if kind == ("blob" if isinstance(secret, bytes) else "string"):
            attacker.ask(service, operation, value)
            assert attacker.trail
            assert CANARY not in json.dumps(attacker.trail)
            attacker.trail.clear()


# The page and the command


def test_the_log_is_for_roots_and_administrators(live: Live) -> None:
    _, key = user_with(live, allows("ecs:*"))
    with client(live, key) as other:
        for page in ("audit", "denied"):
            with pytest.raises(ApiError) as caught:
                other.own(page)
            assert caught.value.code == "AccessDeniedException"
    _, key = user_with(live, allows("homeport:ReadAudit"))
    with client(live, key) as other:
        assert other.own("audit")["entries"]


@pytest.mark.parametrize(
    "query", [{"limit": "x"}, {"after": "x"}, {"wait": "nan x"}, {"since": "yesterday"}], ids=str
)
def test_what_cannot_be_asked_is_refused(api: AwsClient, query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as caught:
        api.own("audit", **query)
    assert caught.value.code == "InvalidParameterException"


def test_who_follows_hears_of_each_request_once_and_not_of_the_following(live: Live, api: AwsClient) -> None:
    position = str(api.own("audit", limit="1")["next"])
    name, key = user_with(live, allows("ecs:ListClusters"))
    ecs = live.client("ecs", **keys(key))
    for _ in range(3):
        ecs.list_clusters()
    heard = followed(api, position, {"user": name})
    assert [next(heard)["eventName"] for _ in range(3)] == ["ListClusters"] * 3
    everything = followed(api, position, {})
    names = [next(everything)["eventName"] for _ in range(6)]
    assert names == ["CreateUser", "PutUserPolicy", "CreateAccessKey", *["ListClusters"] * 3]


def test_who_follows_is_woken_by_the_next_request(live: Live) -> None:
    async def follow(api: AwsClient, position: str) -> Any:
        return await asyncio.to_thread(api.own, "audit", after=position, wait="4", event="ListServices")

    async def both() -> Any:
        position = await asyncio.to_thread(lambda: str(api.own("audit", limit="1")["next"]))
        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow(api, position))
            group.create_task(asyncio.to_thread(ecs.list_services))
        return following.result()

    with client(live) as api:
        ecs = live.client("ecs")
        ecs.create_cluster()
        page = asyncio.run(both())
    assert [one["eventName"] for one in page["entries"]] == ["ListServices"]


def shown(live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> list[str]:
    with client(live) as api:
        write_connection(tmp_path, api.connection, environ={})
    capsys.readouterr()
    assert show_audit(data_dir=tmp_path, **options) == 0
    return capsys.readouterr().out.splitlines()


def test_the_command_says_who_did_what_and_why(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, key = user_with(live, allows("ecs:ListClusters", Sid="Look"))
    ecs = live.client("ecs", **keys(key))
    ecs.list_clusters()
    request_id = denied(lambda: ecs.delete_cluster(cluster="mine"))
    told = shown(live, tmp_path, capsys, user=name)
    assert told[0].endswith(f"user/{name}  ecs:ListClusters  from 127.0.0.1  by mine#Look")
    assert told[1].endswith(
        f"DENIED    {request_id[:8]}  user/{name}  ecs:DeleteCluster on cluster/mine  from 127.0.0.1  "
        "ecs:DeleteCluster: no identity policy allows it"
    )
    assert shown(live, tmp_path, capsys, user=name, denied=True) == told[1:]
    assert shown(live, tmp_path, capsys, user=name, event="DeleteCluster", since="5m") == told[1:]
    assert shown(live, tmp_path, capsys, user=name, last=1) == told[1:]
    assert shown(live, tmp_path, capsys, user=name, last=0) == []
    assert (
        json.loads(shown(live, tmp_path, capsys, user=name, last=1, json=True)[0])["requestID"] == request_id
    )


def test_a_line_does_not_steer_a_terminal() -> None:
    entry = {
        "eventTime": "2030-01-01T00:00:00.000000Z", "requestID": "0" * 36, "eventSource": "ecs.amazonaws.com",
        "eventName": "ListClusters", "outcome": "refused", "sourceIPAddress": "", "userIdentity": {},
        "errorCode": "X", "errorMessage": "\x1b[2J\r\nall is well",
    }  # fmt: skip
    assert line(entry).endswith("X: ?[2J??all is well")


def test_a_span_and_an_instant_are_instants() -> None:
    now = datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert instant("90m", now) == "2030-01-01T10:30:00+00:00"
    assert instant("2030-01-01T00:00:00Z", now) == "2030-01-01T00:00:00+00:00"
    assert instant("2030-01-01T00:00:00", now) == "2030-01-01T00:00:00+00:00"
    with pytest.raises(CliError):
        instant("soon", now)


# explain denied


def why(api: AwsClient, request_id: str) -> Entry:
    return dict(api.own("denied", id=request_id))


def test_an_implicit_denial_says_what_there_was_and_the_smallest_statement(
    live: Live, api: AwsClient
) -> None:
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "ecs:Delete*",
                    "Resource": f"{HEAD}:cluster/other",
                    "Sid": "Other",
                },
                {
                    "Effect": "Allow",
                    "Action": "ecs:DeleteCluster",
                    "Resource": "*",
                    "Sid": "Blue",
                    "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}},
                },
                {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*", "Sid": "Else"},
            ],
        }
    )
    name, key = user_with(live, document, Tags=[{"Key": "team", "Value": "red"}])
    ecs = live.client("ecs", **keys(key))
    told = why(api, denied(lambda: ecs.delete_cluster(cluster="none")))
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert told["verdict"] == (
        f"{arn} may not ecs:DeleteCluster on {HEAD}:cluster/none: no identity-based policy allows it."
    )
    assert told["because"] == [
        "identity-based policy: mine.",
        "  Blue of mine allows ecs:DeleteCluster, but only if StringEquals aws:PrincipalTag/team blue: "
        "it is red.",
        f"  Other of mine allows ecs:DeleteCluster, but only on {HEAD}:cluster/other.",
    ]
    (remedy,) = told["remedies"]
    assert remedy["statement"] == {
        "Effect": "Allow",
        "Action": "ecs:DeleteCluster",
        "Resource": f"{HEAD}:cluster/none",
    }
    live.client("iam").put_user_policy(
        UserName=name,
        PolicyName="more",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [remedy["statement"]]}),
    )
    assert f"put-user-policy --user-name {name} --policy-name allow-ecs-DeleteCluster" in remedy["command"]
    with pytest.raises(ClientError, match="ClusterNotFound"):
        ecs.delete_cluster(cluster="none")


def test_an_explicit_denial_shows_the_statement_that_denies(live: Live, api: AwsClient) -> None:
    statement = {"Sid": "Never", "Effect": "Deny", "Action": ["ecs:DeleteCluster"], "Resource": ["*"]}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    _, key = user_with(live, json.dumps({"Version": "2012-10-17", "Statement": [statement, everything]}))
    told = why(api, denied(lambda: live.client("ecs", **keys(key)).delete_cluster(cluster="mine"))[:8])
    assert told["verdict"].endswith("an explicit deny.")
    assert told["because"] == [f"Never of mine (identity-based policy) denies it: {json.dumps(statement)}"]
    assert "narrow the denying one" in told["remedies"][0]["text"]


def test_each_kind_of_policy_that_is_missing_gets_its_remedy(live: Live, api: AwsClient) -> None:
    iam = live.client("iam")
    boundary = iam.create_policy(PolicyName=fresh("limit"), PolicyDocument=allows("ecs:ListServices"))
    arn = boundary["Policy"]["Arn"]
    name, key = user_with(live, None, PermissionsBoundary=arn)
    told = why(api, denied(live.client("ecs", **keys(key)).list_clusters))
    assert told["because"] == ["identity-based policy: none.", f"permissions boundary: {arn}."]
    statement = {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}
    assert [one["statement"] for one in told["remedies"]] == [statement, statement]
    assert arn in told["remedies"][1]["text"]
    fixed = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=fixed)
    denied(live.client("ecs", **keys(key)).list_clusters)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=fixed, SetAsDefault=True)
    live.client("ecs", **keys(key)).list_clusters()


def test_a_role_that_does_not_trust_says_whom_to_name(live: Live, api: AwsClient) -> None:
    iam, role = live.client("iam"), fresh("role")
    nobody = {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [nobody]}
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    name, key = user_with(live, allows("sts:AssumeRole"))
    sts = live.client("sts", **keys(key))
    told = why(api, denied(lambda: sts.assume_role(RoleArn=arn, RoleSessionName="me")))
    assert "but not to this caller" in told["because"][1]
    (remedy,) = told["remedies"]
    assert remedy["statement"]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{name}"}
    document["Statement"] = [nobody, remedy["statement"]]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))
    sts.assume_role(RoleArn=arn, RoleSessionName="me")


def test_a_role_that_may_not_be_passed_is_told_with_its_service(live: Live, api: AwsClient) -> None:
    role = live.client("iam").create_role(
        RoleName=fresh("task"),
        AssumeRolePolicyDocument=allows(
            "sts:AssumeRole", Principal={"Service": "ecs-tasks.amazonaws.com"}
        ).replace(', "Resource": "*"', ""),
    )["Role"]["Arn"]
    _, key = user_with(live, allows("ecs:*"))
    ecs = live.client("ecs", **keys(key))
    definition = {
        "family": "passes",
        "taskRoleArn": role,
        "containerDefinitions": [{"name": "app", "image": "app:1", "memory": 8}],
    }
    told = why(api, denied(lambda: ecs.register_task_definition(**definition)))
    assert told["remedies"][0]["statement"] == {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": role,
        "Condition": {"StringEquals": {"iam:PassedToService": ["ecs-tasks.amazonaws.com"]}},
    }


def test_without_an_id_the_newest_denial_is_explained(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, key = user_with(live, None)
    request_id = denied(live.client("ecs", **keys(key)).list_clusters)
    with client(live) as api:
        write_connection(tmp_path, api.connection, environ={})
    assert explain("denied", data_dir=tmp_path) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"request {request_id}")
    assert told[1].startswith(f"arn:aws:iam::{ACCOUNT}:user/{name} may not ecs:ListClusters on *")
    assert any("aws iam put-user-policy" in one for one in told)
    assert explain("denied", request_id, data_dir=tmp_path, json=True) == 0
    assert json.loads(capsys.readouterr().out)["requestID"] == request_id


def test_what_was_not_denied_says_so(live: Live, api: AwsClient) -> None:
    answer = live.client("ecs").list_clusters()
    told = why(api, answer["ResponseMetadata"]["RequestId"])
    assert (told["verdict"], told["because"]) == (
        "It was allowed.",
        ["No policy limits the account's root."],
    )
    with pytest.raises(ClientError) as caught:
        live.client("ecs", aws_secret_access_key="wrong").list_clusters()
    told = why(api, caught.value.response["ResponseMetadata"]["RequestId"])
    assert told["verdict"].startswith("Nobody was proven")
    assert "clock" in told["remedies"][0]["text"]
    with pytest.raises(ClientError) as caught:
        live.client("ecs").delete_cluster(cluster="nowhere")
    told = why(api, caught.value.response["ResponseMetadata"]["RequestId"])
    assert told["outcome"] == "allowed"


@pytest.mark.parametrize("wrong", ["0", "x" * 8, "ffffffff", "../../et"])
def test_an_id_that_leads_nowhere_is_refused(api: AwsClient, wrong: str) -> None:
    with pytest.raises(ApiError) as caught:
        why(api, wrong)
    assert caught.value.code in ("InvalidParameterException", "ResourceNotFoundException")
