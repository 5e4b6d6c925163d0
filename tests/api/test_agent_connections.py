"""Agents' sockets at the front door: who is let in, who is connected, what ends a socket.

Source: reference, sections 4 and 5; ECS API Reference, ContainerInstance.agentConnected.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from homeport.agentproto.messages import FRAME_TYPES
from homeport.agentproto.server import AcsServer, TcsServer, split_tcs
from homeport.agentproto.telemetry import upgrade_headers
from homeport.core.ids import SystemIds
from homeport.core.sigv4 import Credentials
from homeport.node.agent import InstanceGoneError, NodeAgent
from homeport.services.ecs.repo.instances import InstanceRepo
from tests.kit.agent_model import faults
from tests.kit.agent_replay import AgentCalls, AgentEnd, RefusedUpgradeError
from tests.kit.iam import trusts
from tests.kit.server import ACCOUNT, REGION, Live, credentials

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
]


@pytest.fixture(scope="module")
def calls(live: Live) -> AgentCalls:
    return AgentCalls(live)


@pytest.fixture
def instance(calls: AgentCalls) -> str:
    """A fresh instance's ARN."""
    status, answer = calls.call("RegisterContainerInstance", {"totalResources": RESOURCES})
    assert status == 200
    return str(answer["containerInstance"]["containerInstanceArn"])


def acs(instance: str, cluster: str = "default", **members: str) -> str:
    query = {"clusterArn": cluster, "containerInstanceArn": instance, "protocolVersion": "2", **members}
    return f"/acs/ws?{urlencode(query)}"


def tcs(instance: str, cluster: str = "default") -> str:
    return f"/tcs/ws?{urlencode({'cluster': cluster, 'containerInstance': instance})}"


def is_connected(ecs: Any, instance: str) -> bool:
    (found,) = ecs.describe_container_instances(containerInstances=[instance])["containerInstances"]
    return bool(found["agentConnected"])


def wait_connected(live: Live, ecs: Any, instance: str, *, wanted: bool) -> None:
    async def check() -> bool:
        return await asyncio.to_thread(is_connected, ecs, instance) is wanted

    live.wait_until(check)


def refusal(open_: Callable[[], AgentEnd]) -> tuple[int, str]:
    """Status and the agent's word."""
    with pytest.raises(RefusedUpgradeError) as refused:
        open_()
    (word,) = refused.value.body
    return refused.value.status, word


class TestWhoIsLetIn:
    @pytest.mark.parametrize("path", [acs, tcs])
    def test_an_agent_is(self, calls: AgentCalls, instance: str, path: Callable[[str], str]) -> None:
        calls.open(path(instance)).leave()

    @pytest.mark.parametrize("path", [acs, tcs])
    def test_clusters_are_named_by_name_or_arn(
        self, calls: AgentCalls, instance: str, path: Callable[[str, str], str]
    ) -> None:
        calls.open(path(instance, f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default")).leave()

    @pytest.mark.parametrize("path", [acs, tcs])
    def test_a_wrong_signature_is_not(self, live: Live, instance: str, path: Callable[[str], str]) -> None:
        key = live.keys.nodes
        forged = AgentCalls(live, Credentials(access_key_id=key.access_key_id, secret_access_key="x" * 40))
        assert refusal(lambda: forged.open(path(instance))) == (403, "AccessDeniedException")

    def test_temporary_credentials_are_good_with_their_token_only(self, live: Live, instance: str) -> None:
        nodes = live.keys.nodes
        sts = live.client(
            "sts", aws_access_key_id=nodes.access_key_id, aws_secret_access_key=nodes.secret_access_key
        )
        given = credentials(sts.get_session_token()["Credentials"])
        for path in (acs(instance), tcs(instance)):
            AgentCalls(live, given).open(path).leave()
        bare = replace(given, session_token=None)
        assert refusal(lambda: AgentCalls(live, bare).open(acs(instance))) == (403, "AccessDeniedException")

    def test_an_unknown_key_is_not(self, live: Live, instance: str) -> None:
        nobody = AgentCalls(live, Credentials(access_key_id="AKIA" + "A" * 16, secret_access_key="x" * 40))
        assert refusal(lambda: nobody.open(acs(instance))) == (403, "AccessDeniedException")

    def test_an_unsigned_upgrade_is_not(self, calls: AgentCalls, instance: str) -> None:
        assert refusal(lambda: calls.open(acs(instance), headers={"x-nothing": "1"})) == (
            403,
            "AccessDeniedException",
        )

    def test_a_key_without_the_agents_permissions_is_not(self, live: Live, instance: str) -> None:
        iam = live.client("iam")
        iam.create_user(UserName="no-agent")
        key = iam.create_access_key(UserName="no-agent")["AccessKey"]
        calls = AgentCalls(
            live,
            Credentials(access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]),
        )
        for path in (acs(instance), tcs(instance)):
            assert refusal(lambda path=path: calls.open(path)) == (403, "AccessDeniedException")

    @pytest.mark.parametrize(("minutes", "allowed"), [(-14, True), (14, True), (-16, False), (16, False)])
    def test_clocks_may_differ_by_a_quarter_of_an_hour(
        self, live: Live, calls: AgentCalls, instance: str, minutes: int, allowed: bool
    ) -> None:
        path = acs(instance)
        headers = upgrade_headers(
            f"{live.endpoint}/_homeport{path}",
            credentials=live.keys.nodes,
            region=REGION,
            now=live.clock.now() + timedelta(minutes=minutes),
        )
        if allowed:
            calls.open(path, headers=headers).leave()
        else:
            assert refusal(lambda: calls.open(path, headers=headers)) == (403, "AccessDeniedException")

    @pytest.mark.parametrize(
        ("path", "word"),
        [
            (acs("0" * 32), "InvalidInstanceException"),
            (tcs("0" * 32), "InvalidInstanceException"),
            (acs("x", "no-such-cluster"), "InvalidClusterException"),
            (acs("x", "arn:aws:ecs:eu-west-1:111111111111:cluster/default"), "InvalidClusterException"),
            (acs("x", "not a name"), "InvalidClusterException"),
            ("/acs/ws?clusterArn=default", "BadRequestException"),
            ("/tcs/ws", "InvalidParameterException"),
            (acs("x", protocolVersion="two"), "BadRequestException"),
        ],
    )
    def test_what_does_not_exist_is_refused_in_the_agents_words(
        self, calls: AgentCalls, instance: str, path: str, word: str
    ) -> None:
        assert refusal(lambda: calls.open(path)) == (400, word)


class TestConnected:
    def test_the_work_socket_makes_an_instance_connected(
        self, live: Live, ecs: Any, calls: AgentCalls, instance: str
    ) -> None:
        assert not is_connected(ecs, instance)
        telemetry = calls.open(tcs(instance))
        assert not is_connected(ecs, instance)
        work = calls.open(acs(instance))
        assert is_connected(ecs, instance)
        work.leave()
        wait_connected(live, ecs, instance, wanted=False)
        telemetry.leave()

    def test_a_second_socket_takes_the_place_of_the_first(
        self, live: Live, ecs: Any, calls: AgentCalls, instance: str
    ) -> None:
        sockets = [calls.open(acs(instance)) for _ in range(3)]
        for older in sockets[:-1]:
            assert older.end_code() == 1008
        assert is_connected(ecs, instance)
        ecs.register_task_definition(
            family="order", containerDefinitions=[{"name": "c", "image": "i", "memory": 4}]
        )
        answer = ecs.start_task(taskDefinition="order", containerInstances=[instance])
        assert [t["arn"] for t in sockets[-1].hear("PayloadMessage")["tasks"]] == [
            answer["tasks"][0]["taskArn"]
        ]
        sockets[-1].leave()
        wait_connected(live, ecs, instance, wanted=False)

    def test_a_deregistered_instance_loses_its_socket_and_gets_no_other(
        self, ecs: Any, calls: AgentCalls, instance: str
    ) -> None:
        work = calls.open(acs(instance))
        ecs.deregister_container_instance(containerInstance=instance)
        assert work.end_code() == 1000
        for path in (acs(instance), tcs(instance)):
            assert refusal(lambda path=path: calls.open(path)) == (400, "InactiveInstanceException")

    def test_after_a_restart_an_agent_that_does_not_come_back_is_not_connected(
        self, live: Live, ecs: Any, calls: AgentCalls, instance: str
    ) -> None:
        here = calls.call("RegisterContainerInstance", {"totalResources": RESOURCES})[1]["containerInstance"]
        work = calls.open(acs(here["containerInstanceArn"]))

        def claim(tx: Any) -> None:  # what a process leaves behind that was killed
            repo = InstanceRepo(tx)
            cluster_id = repo.get(repo.connected_ids()[0]).cluster_id  # type: ignore[union-attr]
            found = repo.find(cluster_id, instance.rpartition("/")[2])
            assert found is not None
            repo.save(msgspec.structs.replace(found, agent_connected=True))

        live.run(live.plane.store.write(claim))
        assert is_connected(ecs, instance)
        live.run(live.plane.hub.call_the_roll(after_seconds=0))
        assert not is_connected(ecs, instance)
        assert is_connected(ecs, here["containerInstanceArn"])
        work.leave()

    def test_draining_and_back(self, ecs: Any, calls: AgentCalls, instance: str) -> None:
        work = calls.open(acs(instance))
        ecs.register_task_definition(
            family="drained", containerDefinitions=[{"name": "c", "image": "i", "memory": 4}]
        )
        for status, placed in (("DRAINING", False), ("ACTIVE", True)):
            changed = ecs.update_container_instances_state(containerInstances=[instance], status=status)
            assert [i["status"] for i in changed["containerInstances"]] == [status]
            assert is_connected(ecs, instance)
            answer = ecs.run_task(taskDefinition="drained", placementConstraints=only(instance, ecs))
            assert bool(answer["tasks"]) is placed
        work.leave()

    def test_an_agent_is_not_updated_from_here_and_the_caller_is_told(self, ecs: Any, instance: str) -> None:
        with pytest.raises(ecs.exceptions.NoUpdateAvailableException):
            ecs.update_container_agent(containerInstance=instance)


def only(instance: str, ecs: Any) -> list[dict[str, str]]:
    (found,) = ecs.describe_container_instances(containerInstances=[instance])["containerInstances"]
    return [{"type": "memberOf", "expression": f"ec2InstanceId == {found['ec2InstanceId']}"}]


class TestWhatIsSaid:
    HOSTILE = (
        "",
        "null",
        "[]",
        "{",
        '"text"',
        "\x00",
        '{"type": 1, "message": {}}',
        '{"type": "AckRequest"}',
        '{"type": "AckRequest", "message": null}',
        '{"type": "AckRequest", "message": {"messageId": 5}}',
        '{"type": "BogusMessage", "message": {}}',
        '{"type": "TaskStopVerificationMessage", "message": {"messageId": "m", "stopCandidates": [1]}}',
        '{"type": "PublishHealthRequest", "message": {"tasks": [{"taskArn": "x"}]}}',
        "[" * 50_000,
        '{"type":"AckRequest","message":' + '{"a":' * 20_000,
        "\r\n\r\n{}",
        "Authorization: x\r\n\r\n",
        "x" * 1_000_000,
    )

    @pytest.mark.parametrize("path", [acs, tcs])
    def test_nonsense_ends_nothing(
        self, ecs: Any, calls: AgentCalls, instance: str, path: Callable[[str], str]
    ) -> None:
        socket = calls.open(path(instance))
        for text in self.HOSTILE:
            socket.say(text)
        for kind in FRAME_TYPES:  # frames of the other direction, and of the other socket
            socket.say(json.dumps({"type": kind, "message": {}}))
        question = {"messageId": "m", "stopCandidates": [{"taskArn": "t"}]}
        publication = {"metadata": {"messageId": "m"}, "statuses": [{"type": "x", "status": "OK"}]}
        if path is acs:
            socket.say(json.dumps({"type": "TaskStopVerificationMessage", "message": question}))
            answer = socket.hear("TaskStopVerificationAck", lambda m: m["messageId"] == "m")
            assert [task["taskArn"] for task in answer["stopTasks"]] == ["t"]
        else:
            socket.say(json.dumps({"type": "PublishInstanceStatusRequest", "message": publication}))
            assert socket.hear("AckPublishInstanceStatus")
        socket.leave()

    def test_telemetry_about_foreign_tasks_changes_nothing(self, calls: AgentCalls, instance: str) -> None:
        socket = calls.open(tcs(instance))
        for arn in ("", "x", "arn:", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{'0' * 32}"):
            tasks = [{"taskArn": arn, "containers": [{"containerName": "c", "healthStatus": "HEALTHY"}]}]
            message = {"metadata": {"messageId": "m", "fin": True}, "tasks": tasks}
            socket.say(json.dumps({"type": "PublishHealthRequest", "message": message}))
            assert socket.hear("AckPublishHealth")
        calls.open(tcs(instance)).leave()
        socket.say(json.dumps({"type": "PublishMetricsRequest", "message": {}}))
        assert socket.hear("AckPublishMetric")  # it is still open
        socket.leave()

    def test_a_frame_that_is_far_too_long_ends_the_socket(
        self, live: Live, ecs: Any, calls: AgentCalls, instance: str
    ) -> None:
        socket = calls.open(acs(instance))
        with contextlib.suppress(ConnectionError):  # the server need not read to the end
            socket.say("x" * (5 << 20))
            assert socket.end_code() in (1006, 1009)
        socket.leave()
        wait_connected(live, ecs, instance, wanted=False)

    def test_a_candidate_that_should_run_is_not_stopped(
        self, ecs: Any, calls: AgentCalls, instance: str
    ) -> None:
        work = calls.open(acs(instance))
        ecs.register_task_definition(
            family="wanted", containerDefinitions=[{"name": "c", "image": "i", "memory": 4}]
        )
        arn = ecs.start_task(taskDefinition="wanted", containerInstances=[instance])["tasks"][0]["taskArn"]
        candidates = [{"taskArn": arn, "desiredStatus": "STOPPED"}, {"taskArn": arn[:-1] + "x"}]
        message = {"messageId": "q", "stopCandidates": candidates}
        work.say(json.dumps({"type": "TaskStopVerificationMessage", "message": message}))
        answer = work.hear("TaskStopVerificationAck")
        assert [task["taskArn"] for task in answer["stopTasks"]] == [arn[:-1] + "x"]
        work.leave()


class TestRegistration:
    def test_a_task_role_is_placed_only_on_an_agent_that_can_hand_out_its_credentials(
        self, live: Live, ecs: Any, calls: AgentCalls
    ) -> None:
        """Another would run the task without its role, and nobody would know."""
        role = live.client("iam").create_role(RoleName="handed", AssumeRolePolicyDocument=trusts())["Role"]
        container = {"name": "c", "image": "i", "memory": 4}
        ecs.register_task_definition(family="role", taskRoleArn=role["Arn"], containerDefinitions=[container])
        needed = [{"name": f"com.amazonaws.ecs.capability.{name}"} for name in ("task-iam-role",)]
        for able in ([], needed):
            body = {"totalResources": RESOURCES, "attributes": able}
            registered = calls.call("RegisterContainerInstance", body)[1]["containerInstance"]
            work = calls.open(acs(registered["containerInstanceArn"]))
            answer = ecs.start_task(
                taskDefinition="role", containerInstances=[registered["containerInstanceArn"]]
            )
            if able:
                (task,) = work.hear("PayloadMessage")["tasks"]
                given = task["roleCredentials"]
                assert given["roleArn"] == role["Arn"]
                assert given["accessKeyId"].startswith("ASIA")
                assert set(given) >= {"credentialsId", "secretAccessKey", "sessionToken", "expiration"}
            else:
                (failure,) = answer["failures"]
                assert failure["reason"] == "ATTRIBUTE"
                assert "task-iam-role" in failure["detail"]
            work.leave()

    def test_the_same_token_is_the_same_instance(self, calls: AgentCalls) -> None:
        body = {"totalResources": RESOURCES, "clientToken": "token-1"}
        answers = [calls.call("RegisterContainerInstance", body) for _ in range(3)]
        assert {status for status, _ in answers} == {200}
        assert len({a["containerInstance"]["containerInstanceArn"] for _, a in answers}) == 1

    def test_an_agent_that_lost_its_state_is_a_new_instance_and_the_old_one_stays_away(
        self, live: Live, ecs: Any, calls: AgentCalls
    ) -> None:
        """Source: ECS developer guide: without its data directory an agent registers anew."""
        document = json.dumps({"instanceId": "i-0123456789abcdef0", "availabilityZone": f"{REGION}b"})
        body = {"totalResources": RESOURCES, "instanceIdentityDocument": document}
        first, second = (
            calls.call("RegisterContainerInstance", body)[1]["containerInstance"] for _ in range(2)
        )
        assert first["ec2InstanceId"] == second["ec2InstanceId"] == "i-0123456789abcdef0"
        assert first["containerInstanceArn"] != second["containerInstanceArn"]
        work = calls.open(acs(second["containerInstanceArn"]))
        assert not is_connected(ecs, first["containerInstanceArn"])
        work.leave()

    def test_a_registration_is_renewed_by_its_arn_and_keeps_what_others_gave_it(
        self, ecs: Any, calls: AgentCalls, instance: str
    ) -> None:
        ecs.put_attributes(attributes=[{"name": "rack", "value": "7", "targetId": instance}])
        body = {
            "containerInstanceArn": instance,
            "totalResources": [{**RESOURCES[0], "integerValue": 4096}, RESOURCES[1]],
            "attributes": [{"name": "ecs.capability.new"}],
        }
        status, answer = calls.call("RegisterContainerInstance", body)
        assert status == 200
        renewed = answer["containerInstance"]
        assert renewed["containerInstanceArn"] == instance
        attributes = {a["name"]: a.get("value") for a in renewed["attributes"]}
        assert attributes["rack"] == "7"
        assert "ecs.capability.new" in attributes
        assert renewed["registeredResources"][0]["integerValue"] == 4096


def test_our_own_agent_ends_with_a_remedy_once_its_instance_was_deregistered(live: Live, ecs: Any) -> None:
    node = live.add_node()
    live.stop_agent(node)
    ecs.deregister_container_instance(containerInstance=node.agent.instance_arn)
    agent = NodeAgent(
        node.settings,
        node.machine.drivers,
        clock=live.clock,
        ids=SystemIds(),
        dice=lambda: 0.5,
        starts=asyncio.Semaphore(8),
        session=live.session,
        disk=node.disk,
        is_free=lambda port, protocol: True,
    )
    with pytest.raises(InstanceGoneError) as gone:
        live.run(agent.run())
    assert node.agent.instance_arn in gone.value.message
    assert "homeport down" in gone.value.remedy


def test_our_own_agent_says_nothing_that_the_real_one_would_not(
    live: Live, ecs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of a node's life: acknowledgements, metrics, health."""
    said: list[dict[str, Any]] = []
    missing = {"AckRequest", "PublishMetricsRequest", "PublishHealthRequest"}
    complete = threading.Event()

    def listening(received: Callable[..., Any]) -> Callable[..., Any]:
        def heard(self: Any, text: str, now: float) -> Any:
            frame = json.loads(split_tcs(text)[1])
            said.append(frame)
            if frame["type"] != "PublishMetricsRequest" or frame["message"].get("taskMetrics"):
                missing.discard(frame["type"])
            if not missing:
                complete.set()
            return received(self, text, now)

        return heard

    for machine in (AcsServer, TcsServer):
        monkeypatch.setattr(machine, "received", listening(machine.received))
    node = live.add_node()
    check = {"command": ["CMD", "true"], "interval": 5, "retries": 1}
    ecs.register_task_definition(
        family="life",
        containerDefinitions=[
            {"name": "c", "image": "app:1", "memory": 4, "command": ["stay"], "healthCheck": check}
        ],
    )
    started = ecs.start_task(taskDefinition="life", containerInstances=[node.agent.instance_arn])
    assert complete.wait(20), missing
    assert [fault for frame in said for fault in faults(frame)] == []
    ecs.stop_task(task=started["tasks"][0]["taskArn"])
