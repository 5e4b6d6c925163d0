"""What crashes is started again, and everybody who looks can see it: metrics, health, `homeport status`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from homeport.cli.status import failing
from homeport.core.clock import LoopClock
from homeport.gateway.loop_metrics import LoopCollector
from homeport.runtime import ControllerReport, LoopState, Next, Runner, Supervisor, WorkQueue


class Fussy:
    """Crashes its runner's loop the first time, fails for one key, is content with the rest."""

    name = "ecs.fussy"

    def __init__(self) -> None:
        self.looked: list[str] = []

    async def reconcile(self, key: str) -> Next:
        self.looked.append(key)
        if self.looked == ["killer"]:
            raise SystemExit
        if key == "bad":
            raise RuntimeError("boom")
        await asyncio.sleep(0)
        return Next()


def scrape(supervisor: Supervisor, *runners: Runner[str]) -> str:
    registry = CollectorRegistry()
    registry.register(LoopCollector(supervisor.reports, lambda: (runner.report() for runner in runners)))
    return generate_latest(registry).decode()


@pytest.mark.looptime
async def test_a_crashed_loop_and_a_failing_key_are_in_the_metrics(virtual_clock: LoopClock) -> None:
    async def crash() -> None:
        raise RuntimeError("boom")

    controller, queue = Fussy(), WorkQueue[str]()
    controller.looked.append("something")
    runner = Runner(controller, queue, virtual_clock)
    queue.add("bad")
    async with Supervisor() as supervisor:
        supervisor.start("ecs.fussy", runner.run)
        supervisor.start("ecs.broken", crash)
        await asyncio.sleep(1)
        assert {r.name: r.state for r in supervisor.reports()} == {
            "ecs.fussy": LoopState.RUNNING,
            "ecs.broken": LoopState.BACKING_OFF,
        }
        assert runner.report() == ControllerReport(name="ecs.fussy", waiting=0, failing=1)
        shown = scrape(supervisor, runner)
    assert 'homeport_loop_running{loop="ecs.fussy"} 1.0' in shown
    assert 'homeport_loop_running{loop="ecs.broken"} 0.0' in shown
    assert 'homeport_loop_crashes_total{loop="ecs.broken"} 2.0' in shown
    assert 'homeport_controller_failing_keys{controller="ecs.fussy"} 1.0' in shown
    assert 'homeport_controller_waiting_keys{controller="ecs.fussy"} 0.0' in shown


@pytest.fixture
def sick_server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/_homeport/health"
            body = json.dumps({"status": "failing", "failing": ["ecs.replica: RuntimeError: boom"]}).encode()
            self.send_response(503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_status_asks_what_is_failing(sick_server: str) -> None:
    assert failing(sick_server) == ["ecs.replica: RuntimeError: boom"]
