"""The metadata endpoint on sockets, and reached from containers at 169.254.170.2."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from homeport.agentproto.messages import Container, RoleCredentials, Task
from homeport.node.commands import run_command
from homeport.node.metadata.endpoint import MetadataEndpoint
from homeport.node.metadata.redirect import TABLE, MetadataRedirect, find_bridge
from homeport.node.metadata.server import LocalServer, metadata_server
from homeport.node.metadata.source import ContainerView, TaskView
from homeport.node.names import container_name, endpoint_id
from homeport.node.render import RenderContext, render_container
from tests.kit.agent_metadata import FakeSource
from tests.kit.docker import IMAGE, Engine, lines, nft_tables

ROLE = RoleCredentials(
    credentials_id="creds-1", role_arn="arn:aws:iam::000000000000:role/x", access_key_id="ASIAX"
)


def a_source(run_id: str, secret: str, command: tuple[str, ...] = ("true",), **members: object) -> FakeSource:
    container = Container(name="app", image=IMAGE, command=command)
    task = Task(
        arn=f"arn:aws:ecs:us-east-1:000000000000:task/default/{run_id}{secret}",
        family=f"hpt-{run_id}",
        version="1",
        containers=(container,),
        role_credentials=ROLE,
        **members,
    )
    seen = ContainerView(
        container=container,
        docker_name=container_name(task, "app"),
        desired_status="RUNNING",
        known_status="RUNNING",
    )
    view = TaskView(
        task=task, cluster="default", desired_status="RUNNING", known_status="RUNNING", containers=(seen,)
    )
    key = RoleCredentials(credentials_id="creds-1", access_key_id="ASIAX", secret_access_key=secret)
    return FakeSource([view], {endpoint_id(task.arn, "app"): (view, "app")}, {"creds-1": key})


@pytest_asyncio.fixture
async def served() -> AsyncIterator[tuple[str, FakeSource]]:
    source = a_source("served", "s")
    server = metadata_server(MetadataEndpoint([source]))
    port = await server.start(("127.0.0.1",), port=0)
    yield f"http://127.0.0.1:{port}", source
    await server.stop()


class TestOnALoopbackSocket:
    async def test_headers_name_the_limit_and_the_caller(self, served: tuple[str, FakeSource]) -> None:
        base, _ = served
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{base}/v2/credentials/creds-1") as answer,
        ):
            assert answer.status == 200
            assert answer.headers["X-Rate-Limit-Limit"] == "40.00"
            assert answer.headers["X-Rate-Limit-Request-Remote-Addr"].startswith("127.0.0.1:")
            assert answer.headers["Content-Type"] == "application/json"
            assert (await answer.json())["SecretAccessKey"] == "s"

    async def test_untidy_paths_are_sent_to_tidy_ones(self, served: tuple[str, FakeSource]) -> None:
        base, _ = served
        untidy = f"{base}//v2//credentials/creds-1"
        async with (
            aiohttp.ClientSession() as session,
            session.get(untidy, allow_redirects=False) as answer,
        ):
            assert (answer.status, answer.headers["Location"]) == (301, "/v2/credentials/creds-1")

    async def test_a_caller_in_a_hurry_is_slowed_down(self, served: tuple[str, FakeSource]) -> None:
        base, _ = served

        async def one(session: aiohttp.ClientSession) -> int:
            async with session.get(f"{base}/v2/credentials/creds-1") as answer:
                return answer.status

        async with aiohttp.ClientSession() as session:
            found = await asyncio.gather(*(one(session) for _ in range(150)))
        assert found.count(200) >= 60
        assert 429 in found

    async def test_a_failing_source_is_a_500_and_not_the_end(self, served: tuple[str, FakeSource]) -> None:
        base, source = served
        source.protected = RuntimeError("bug")  # type: ignore[assignment]
        own = next(iter(source.endpoints))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{base}/api/{own}/task-protection/v1/state") as answer:
                assert answer.status == 500
                assert "bug" not in await answer.text()
            async with session.get(f"{base}/v4/{own}") as answer:
                assert answer.status == 200

    async def test_a_port_that_is_taken_somewhere_is_changed_everywhere(self) -> None:
        with socket.create_server(("127.0.0.2", 0)) as taken:
            port = taken.getsockname()[1]
            server = LocalServer(MetadataEndpoint().answer)
            chosen = await server.start(("127.0.0.1", "127.0.0.2"), port=port)
            assert chosen != port
            for address in ("127.0.0.1", "127.0.0.2"):
                async with (
                    aiohttp.ClientSession() as session,
                    session.get(f"http://{address}:{chosen}/x") as answer,
                ):
                    assert answer.status == 404
            await server.stop()


@pytest.mark.docker
@pytest.mark.root
class TestFromContainers:
    async def test_two_homeports_on_one_machine_serve_their_own_containers(self, docker: Engine) -> None:
        script = lines(
            'ask() { (printf "GET $1 HTTP/1.0\\r\\n\\r\\n"; sleep 1) | nc -w 5 169.254.170.2 80; }',
            "ask $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI | tail -n 1; echo",
            "ask /${ECS_CONTAINER_METADATA_URI_V4#http://*/} | grep -c DockerName",
        )
        bridge = await find_bridge(await docker.client.get("/networks/bridge"), run_command)
        assert bridge is not None
        homes = []
        for secret in ("first", "second"):
            source = a_source(docker.run_id, secret, script)
            server = metadata_server(MetadataEndpoint([source]))
            redirect = MetadataRedirect(run_command, f"{docker.run_id}-{secret}")
            slot = await redirect.claim()
            port = await server.start((bridge.gateway, "127.0.0.1"), port=0)
            await redirect.point(slot, bridge, port)
            homes.append((source, server, redirect, slot))
        try:
            assert homes[0][3] != homes[1][3]
            assert nft_tables() >= {f"{TABLE}{slot:02x}" for *_, slot in homes}
            for source, _, redirect, slot in homes:
                assert await redirect.claim() == slot, "a restarted Homeport finds its slot again"
                context = RenderContext(
                    cluster="default", region="us-east-1", host_ip="127.0.0.1", mac_slot=slot
                )
                task = source.known[0].task
                spec = docker.labelled(render_container(task, task.containers[0], context))
                said = await docker.finish(spec)
                assert json.loads(said[0])["SecretAccessKey"] == source.keys["creds-1"].secret_access_key
                assert said[1] == "1"
        finally:
            for _, server, redirect, _ in homes:
                await server.stop()
                await redirect.release()
                await redirect.release()
        assert not nft_tables() & {f"{TABLE}{slot:02x}" for *_, slot in homes}

    async def test_in_the_hosts_namespace_the_full_uri_works(self, docker: Engine) -> None:
        script = lines(
            "u=${AWS_CONTAINER_CREDENTIALS_FULL_URI#http://}",
            "h=${u%%/*}",
            '(printf "GET /${u#*/} HTTP/1.0\\r\\n\\r\\n"; sleep 1) | nc -w 5 ${h%:*} ${h#*:} | tail -n 1',
        )
        source = a_source(docker.run_id, "host", script, network_mode="host")
        server = metadata_server(MetadataEndpoint([source]))
        port = await server.start(("127.0.0.1",), port=0)
        context = RenderContext(
            cluster="default",
            region="us-east-1",
            host_ip="127.0.0.1",
            host_metadata=f"http://127.0.0.1:{port}",
        )
        task = source.known[0].task
        said = await docker.finish(docker.labelled(render_container(task, task.containers[0], context)))
        await server.stop()
        assert json.loads(said[0])["SecretAccessKey"] == "host"
