"""Docker's API over a unix socket, against canned answers."""

from __future__ import annotations

import io
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.app.docker import setup as docker_setup
from homeport.app.docker.client import DockerAwayError, DockerClient, DockerError, LogChunk, split_streams
from homeport.cli.output import explain_failure


def framed(chunks: list[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack(">BxxxL", kind, len(data)) + data for kind, data in chunks)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=200)), max_size=20), st.integers(1, 50))
def test_streams_are_split_whatever_the_pieces_they_arrive_in(
    chunks: list[tuple[int, bytes]], piece: int
) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, piece))

    found = list(split_streams(Slow(framed(chunks))))
    assert found == [LogChunk(stream={1: "stdout", 2: "stderr"}[kind], data=data) for kind, data in chunks]


def test_a_stream_cut_in_its_header_ends() -> None:
    assert list(split_streams(io.BytesIO(framed([(1, b"x")]) + b"\x01\0\0"))) == [
        LogChunk(stream="stdout", data=b"x")
    ]


@contextmanager
def docker_at(path: Path, answers: dict[str, tuple[int, bytes]]) -> Iterator[DockerClient]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, body = answers[f"{self.command} {self.path.partition('?')[0]}"]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            pass

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield DockerClient(f"unix://{path}")
        finally:
            server.shutdown()
            thread.join()


def test_a_refusal_carries_dockers_words(tmp_path: Path) -> None:
    answers = {"GET /info": (500, b'{"message":"no space left"}'), "GET /version": (502, b"bad gateway")}
    with docker_at(tmp_path / "d.sock", answers) as docker:
        with pytest.raises(DockerError, match="no space left") as caught:
            docker.info()
        assert caught.value.status == 500
        with pytest.raises(DockerError, match="bad gateway"):
            docker.version()


def test_what_is_gone_already_is_stopped_and_removed(tmp_path: Path) -> None:
    answers = {
        "POST /containers/a/stop": (304, b""),
        "POST /containers/b/stop": (404, b'{"message":"No such container"}'),
        "DELETE /containers/a": (409, b'{"message":"removal is already in progress"}'),
        "DELETE /volumes/v": (404, b'{"message":"no such volume"}'),
        "POST /containers/c/stop": (500, b'{"message":"cannot kill"}'),
    }
    with docker_at(tmp_path / "d.sock", answers) as docker:
        docker.stop("a", grace_seconds=1)
        docker.stop("b", grace_seconds=1)
        docker.remove("a")
        docker.remove_volume("v")
        with pytest.raises(DockerError, match="cannot kill"):
            docker.stop("c", grace_seconds=1)


def test_a_failed_import_is_an_error_although_its_status_is_200(tmp_path: Path) -> None:
    answers = {"POST /images/create": (200, b'{"status":"x"}\n{"error":"archive/tar: invalid tar header"}\n')}
    with (
        docker_at(tmp_path / "d.sock", answers) as docker,
        pytest.raises(DockerError, match="invalid tar header"),
    ):
        docker.import_image(b"x", repository="r", tag="t", changes=[])


@pytest.mark.parametrize(
    "host", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "ssh://host", "fd://"]
)
def test_where_nothing_answers_it_says_so(host: str) -> None:
    with pytest.raises(DockerAwayError, match=host):
        DockerClient(host).version()


def test_an_engine_too_busy_to_tell_of_itself_is_not_a_broken_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_busy(_: DockerClient) -> None:
        raise DockerAwayError("no Docker Engine answers at unix:///x: timed out")

    monkeypatch.setattr(DockerClient, "info", too_busy)
    assert docker_setup._lost_runtime("unix:///x") == ""


def test_an_engine_that_does_not_answer_is_told_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_failure(DockerAwayError("no Docker Engine answers at unix:///x: timed out")) == 1
    told = capsys.readouterr().err
    assert "timed out" in told
    assert "docker info" in told


def test_docker_quoting_a_log_drivers_option_is_not_repeated(tmp_path: Path) -> None:
    """An option may be a secret, and Docker says its value when it makes no sense of it."""
    told = b'{"HostConfig":{"LogConfig":{"Config":{"max-size":"hunter2-horse"}}},"Config":{"Tty":false}}'
    answers = {
        "GET /containers/c/json": (200, told),
        "GET /containers/c/logs": (500, b'{"message":"invalid size: \'hunter2-horse\'"}'),
    }
    with docker_at(tmp_path / "socket", answers) as docker, pytest.raises(DockerError) as refused:
        list(docker.logs("c", follow=False))
    assert str(refused.value) == "invalid size: '****'"
    assert refused.value.status == 500
