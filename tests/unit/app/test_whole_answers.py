"""An answer is one write: whoever kills the process in between leaves no head without a body."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from homeport.app.whole_answers import WholeAnswers, _OnePiece

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Recorder:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_a_head_waits_for_its_body() -> None:
    recorder = Recorder()
    connection = _OnePiece(recorder)  # type: ignore[arg-type]
    for _ in range(2):
        connection.write(HEAD)
        connection.write(b"{}")
    assert recorder.writes == [HEAD + b"{}"] * 2


@pytest.mark.parametrize("status", [b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching Protocols"])
def test_an_interim_answer_leaves_at_once(status: bytes) -> None:
    recorder = Recorder()
    _OnePiece(recorder).write(status + b"\r\n\r\n")  # type: ignore[arg-type]
    assert recorder.writes == [status + b"\r\n\r\n"]


def test_closing_sends_what_waits() -> None:
    recorder = Recorder()
    connection = _OnePiece(recorder)  # type: ignore[arg-type]
    connection.write(HEAD)
    connection.close()
    assert recorder.writes == [HEAD]
    assert connection.is_closing()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def test_the_server_sends_answers_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    writes: list[bytes] = []
    real = WholeAnswers.connection_made

    def spied(self: WholeAnswers, transport: Any) -> None:
        inner = transport.write
        monkeypatch.setattr(transport, "write", lambda data: (writes.append(bytes(data)), inner(data))[1])
        real(self, transport)

    monkeypatch.setattr(WholeAnswers, "connection_made", spied)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = _Server(uvicorn.Config(app, http=WholeAnswers, lifespan="off", log_config=None))
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listening]))
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            assert await reader.readuntil(b"{}")
            writer.close()
            await writer.wait_closed()
            server.should_exit = True
    assert len(writes) == 1
