"""The recorded agent, played to a live server: it says again what the real one said.

The recording's server is played by a user of the API: a payload that started a
task becomes StartTask, one that stopped it StopTask. Ids of instances, tasks
and messages are the live server's.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from yarl import URL

from homeport.agentproto.telemetry import upgrade_headers
from homeport.core.sigv4 import Credentials, sign_headers
from tests.kit.agent_model import faults
from tests.kit.server import ACCOUNT, REGION, Live

RECORDED_ACCOUNT = "123456789012"
TARGET = "AmazonEC2ContainerServiceV20141113"
HEAR_SECONDS = 20.0
ACKS = {
    "PublishMetricsRequest": "AckPublishMetric",
    "PublishHealthRequest": "AckPublishHealth",
    "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
}

Row = Mapping[str, Any]
Message = dict[str, Any]


class RefusedUpgradeError(Exception):
    """The server answered an upgrade with something else."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


class AgentEnd:
    """An agent's end of an open socket, for a test's thread."""

    def __init__(self, live: Live, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._live = live
        self._socket = socket
        self._unread: list[Message] = []

    def say(self, text: str) -> None:
        self._live.run(self._socket.send_str(text))

    def hear(self, kind: str, wanted: Callable[[Message], bool] = lambda message: True) -> Message:
        """The next message of that type, once it comes; others stay for later."""
        for frame in self._unread:
            if frame["type"] == kind and wanted(frame["message"]):
                self._unread.remove(frame)
                return frame["message"]  # type: ignore[no-any-return]
        while True:
            frame = self._live.run(self._next())
            if frame["type"] == kind and wanted(frame["message"]):
                return frame["message"]  # type: ignore[no-any-return]
            self._unread.append(frame)

    async def _next(self) -> Message:
        received = await self._socket.receive(timeout=HEAR_SECONDS)
        assert received.type is aiohttp.WSMsgType.TEXT, f"the socket ended: {received}"
        frame: Message = received.json()
        assert faults(frame) == []  # the real agent would not have understood it
        return frame

    def end_code(self) -> int | None:
        """The code that the server closed with, once it does."""

        async def wait() -> int | None:
            while (await self._socket.receive(timeout=HEAR_SECONDS)).type is aiohttp.WSMsgType.TEXT:
                pass
            return self._socket.close_code

        return self._live.run(wait())

    def leave(self) -> None:
        self._live.run(self._close())

    async def _close(self) -> None:
        await self._socket.close()


class AgentCalls:
    """Requests and upgrades as agents make them, signed with a key of their policy."""

    def __init__(self, live: Live, credentials: Credentials | None = None) -> None:
        self._live = live
        self.credentials = credentials or live.keys.nodes

    def call(self, operation: str, body: Any) -> tuple[int, Message]:
        """A signed request: its status and its answer."""
        return self._live.run(self._call(operation, json.dumps(body).encode()))

    async def _call(self, operation: str, body: bytes) -> tuple[int, Message]:
        headers = sign_headers(
            self.credentials,
            method="POST",
            path="/",
            query=(),
            headers={
                "host": URL(self._live.endpoint).authority,
                "content-type": "application/x-amz-json-1.1",
                "x-amz-target": f"{TARGET}.{operation}",
            },
            body=body,
            region=REGION,
            service="ecs",
            now=self._live.clock.now(),
        )
        async with self._live.session.post(self._live.endpoint, data=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    def open(self, path: str, *, headers: Mapping[str, str] | None = None) -> AgentEnd:
        """Open a socket. Raise `RefusedUpgradeError`."""
        return AgentEnd(self._live, self._live.run(self._open(path, headers)))

    async def _open(self, path: str, headers: Mapping[str, str] | None) -> aiohttp.ClientWebSocketResponse:
        url = f"{self._live.endpoint}/_homeport{path}"
        proof = headers or upgrade_headers(
            url, credentials=self.credentials, region=REGION, now=self._live.clock.now()
        )
        dialled = URL(url, encoded=True)
        try:
            return await self._live.session.ws_connect(dialled, headers=dict(proof), max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            async with self._live.session.get(dialled, headers={**proof, **_UPGRADE}) as answer:
                raise RefusedUpgradeError(error.status, await answer.json(content_type=None)) from None


_UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass(slots=True)
class Told:
    """What the agent told of one task, in the order in which it counts."""

    status: str = "PENDING"
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    def hear(self, report: Row) -> None:
        """Reports come twice, with one container twice; states only move forward."""
        rank = ["PENDING", "RUNNING", "STOPPED"].index
        if self.status == "STOPPED":
            return
        for entry in report.get("containers", ()):
            known = self.containers.setdefault(entry["containerName"], {"lastStatus": "PENDING"})
            known["lastStatus"] = max(known["lastStatus"], entry["status"], key=rank)
            if "exitCode" in entry and known["lastStatus"] == "STOPPED":
                known["exitCode"] = entry["exitCode"]
            for member in ("runtimeId", "imageDigest", "networkBindings"):
                if entry.get(member):
                    known[member] = entry[member]
            if entry.get("reason"):
                known.setdefault("reason", entry["reason"])
        for member in ("pullStartedAt", "pullStoppedAt", "executionStoppedAt"):
            if member in report:
                self.times.setdefault(member, report[member])
        self.status = max(self.status, report["status"], key=rank)


class RecordedAgent:
    """Plays the rows of one agent's recordings, and remembers what should have come of them."""

    def __init__(self, live: Live, rows: list[Row]) -> None:
        self.live = live
        self.ecs = live.client("ecs")
        self.calls = AgentCalls(live)
        self.rows = rows
        self.instance_arn = ""
        self.told: dict[str, Told] = {}
        self.health: dict[str, dict[str, str]] = {}
        self.ours: dict[str, str] = {}
        """Recorded ids, and what they are here: instances, tasks and messages."""
        self.sockets: dict[str, AgentEnd] = {}
        self.is_inactive = False
        self._shapes = _shapes_of(rows)

    def play(self) -> None:
        for index, row in enumerate(self.rows):
            match row["kind"]:
                case "api-in" if row["op"] == "RegisterContainerInstance":
                    self._register(row["body"])
                case "api-in":
                    self._report(row["body"])
                case "ws-open":
                    self._open(row, refused=self.rows[index + 1]["kind"] == "ws-reject")
                case "ws-out" if row["frame"]["type"] == "PayloadMessage":
                    self._order(row["frame"]["message"])
                case "ws-in" if row["which"] == "acs":
                    self._speak(row["frame"])
                case "ws-in" if not self.is_inactive:
                    self._publish(row)
                case "ws-eof" | "ws-close-frame":
                    self._leave(row["which"])

    def finish(self) -> None:
        for which in tuple(self.sockets):
            self._leave(which)

    def describe(self, recorded_id: str) -> Message:
        found = self.ecs.describe_tasks(tasks=[self.ours[recorded_id]])["tasks"]
        return found[0]  # type: ignore[no-any-return]

    def instance(self) -> Message:
        answer = self.ecs.describe_container_instances(
            containerInstances=[self.instance_arn], include=["CONTAINER_INSTANCE_HEALTH"]
        )
        return answer["containerInstances"][0]  # type: ignore[no-any-return]

    # ---- what the recording holds -------------------------------------------------------------

    def _here(self, text: str) -> str:
        for recorded, ours in self.ours.items():
            text = text.replace(recorded, ours)
        return text.replace(RECORDED_ACCOUNT, ACCOUNT)

    def _register(self, body: Row) -> None:
        status, answer = self.calls.call(
            "RegisterContainerInstance", json.loads(self._here(json.dumps(body)))
        )
        assert status == 200, answer
        registered = answer["containerInstance"]
        echoed = {a["name"]: a.get("value", "") for a in registered["attributes"]}
        for attribute in body["attributes"]:  # one that is missing or changed ends the agent
            assert echoed[attribute["name"]] == attribute.get("value", "")
        if "containerInstanceArn" in body:
            assert registered["containerInstanceArn"] == self.instance_arn
        self.instance_arn = registered["containerInstanceArn"]

    def _open(self, row: Row, *, refused: bool) -> None:
        recorded_id = re.findall(r"container-instance%2Fdefault%2F([0-9a-f]{32})", row["path"])[0]
        self.ours[recorded_id] = self.instance_arn.rpartition("/")[2]
        path, which = self._here(row["path"]), row["which"]
        if refused:
            self.ecs.deregister_container_instance(containerInstance=self.instance_arn, force=True)
            self.is_inactive = True
        if self.is_inactive:
            with pytest.raises(RefusedUpgradeError) as refused_upgrade:
                self.calls.open(path)
            assert refused_upgrade.value.status == 400
            assert list(refused_upgrade.value.body) == ["InactiveInstanceException"]
            return
        older = self.sockets.get(which)
        self.sockets[which] = socket = self.calls.open(path)
        if which == "acs":
            if older is not None:
                assert older.end_code() == 1008
            self._resynced(socket)
        elif older is not None:
            older.leave()

    def _resynced(self, socket: AgentEnd) -> None:
        """A new work socket begins with the manifest, and with orders that were not reported on yet."""
        live = {i: self.describe(i) for i in self.told if self.told[i].status != "STOPPED"}
        manifest = socket.hear("TaskManifestMessage")
        assert {t["taskArn"] for t in manifest.get("tasks", ())} == {
            task["taskArn"] for task in live.values()
        }
        for recorded_id, task in live.items():
            if task["desiredStatus"] == "STOPPED" or self.told[recorded_id].status == "PENDING":
                order = socket.hear("PayloadMessage", _names(task["taskArn"]))
                assert order["seqNum"] > manifest["timeline"]
        self._until(lambda: self.instance()["agentConnected"])

    def _order(self, payload: Message) -> None:
        for task in payload["tasks"]:
            recorded_id = task["arn"].rpartition("/")[2]
            stops = task["desiredStatus"] == "STOPPED"
            if stops and recorded_id in self.told:
                self.ecs.stop_task(task=self.ours[recorded_id])
            elif stops or recorded_id in self.told:
                continue  # an unknown task, or one that was sent twice: the recording's own mischief
            else:
                self._start(recorded_id)
            wanted = "STOPPED" if stops else "RUNNING"
            arn = self.describe(recorded_id)["taskArn"]
            order = self.sockets["acs"].hear("PayloadMessage", _names(arn, wanted))
            self.ours[payload.get("messageId") or "-"] = order["messageId"]

    def _start(self, recorded_id: str) -> None:
        definition = self.ecs.register_task_definition(
            family=f"recorded-{recorded_id[-2:]}",
            containerDefinitions=[
                {"name": name, "image": "bb:1", "memory": 4, "essential": essential}
                for name, essential in self._shapes[recorded_id].items()
            ],
        )["taskDefinition"]["taskDefinitionArn"]
        answer = self.ecs.start_task(taskDefinition=definition, containerInstances=[self.instance_arn])
        assert answer["failures"] == []
        self.ours[recorded_id] = answer["tasks"][0]["taskArn"].rpartition("/")[2]
        self.told[recorded_id] = Told()

    def _report(self, body: Row) -> None:
        recorded_id = body["task"].rpartition("/")[2]
        status, answer = self.calls.call("SubmitTaskStateChange", json.loads(self._here(json.dumps(body))))
        assert (status, list(answer)) == (200, ["acknowledgment"])
        if recorded_id not in self.told:  # not acknowledged, its containers would stay for three days
            return
        self.told[recorded_id].hear(json.loads(self._here(json.dumps(body))))

    def _speak(self, frame: Row) -> None:
        if frame["type"] == "TaskStopVerificationMessage":
            for candidate in frame["message"]["stopCandidates"]:
                self.ecs.stop_task(task=self.ours[candidate["taskArn"].rpartition("/")[2]])
        message = json.loads(self._here(json.dumps(frame)))
        self.sockets["acs"].say(json.dumps(message))
        if frame["type"] == "TaskStopVerificationMessage":
            answer = self.sockets["acs"].hear("TaskStopVerificationAck")
            assert answer["messageId"] == message["message"]["messageId"]
            assert answer["stopTasks"] == message["message"]["stopCandidates"]

    def _publish(self, row: Row) -> None:
        kind = row["frame"]["type"]
        body = self._here(json.dumps(row["frame"]))
        prefix = f"{row['signed_prefix']}\r\n\r\n" if "signed_prefix" in row else ""
        self.sockets["tcs"].say(prefix + body)
        assert self.sockets["tcs"].hear(ACKS[kind])["message"]
        message = row["frame"]["message"]
        if kind == "PublishHealthRequest":
            for task in message["tasks"]:
                self._until_health(task)
        elif kind == "PublishInstanceStatusRequest":
            (status,) = message["statuses"]
            self._until(lambda: self.instance()["healthStatus"]["overallStatus"] == status["status"])

    def _until_health(self, task: Row) -> None:
        recorded_id = task["taskArn"].rpartition("/")[2]
        if self.told[recorded_id].status == "STOPPED":
            return
        told = {c["containerName"]: c["healthStatus"] for c in task["containers"]}
        self.health[recorded_id] = told

        def shown() -> bool:
            containers = self.describe(recorded_id)["containers"]
            return told.items() <= {c["name"]: c["healthStatus"] for c in containers}.items()

        self._until(shown)

    def _leave(self, which: str) -> None:
        socket = self.sockets.pop(which, None)
        if socket is not None:
            socket.leave()
            if which == "acs":
                self._until(lambda: not self.instance()["agentConnected"])

    def _until(self, check: Callable[[], bool]) -> None:
        """Ask over the API after every commit."""
        if check():
            return

        async def asked() -> bool:
            return await asyncio.to_thread(check)

        self.live.wait_until(asked)


def _names(arn: str, desired: str | None = None) -> Callable[[Message], bool]:
    return lambda payload: any(
        task["arn"] == arn and desired in (None, task["desiredStatus"]) for task in payload["tasks"]
    )


def _shapes_of(rows: list[Row]) -> dict[str, dict[str, bool]]:
    """The containers of every task that a recording names: name and whether it is essential."""
    shapes: dict[str, dict[str, bool]] = {}
    for row in rows:
        if row["kind"] == "ws-out" and row["frame"]["type"] == "PayloadMessage":
            for task in row["frame"]["message"]["tasks"]:
                found = {c["name"]: bool(c.get("essential")) for c in task.get("containers") or ()}
                shapes.setdefault(task["arn"].rpartition("/")[2], found)
    return shapes
