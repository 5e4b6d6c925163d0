"""Answers leave in one piece: head and body in one write.

The HTTP server hands the kernel the head first and the body after it. A
process that is killed in between leaves a caller with "200 OK" and nothing
else, and botocore takes that for an empty success (`enforce_content_length` is
off there): an acknowledgement of something that may not have happened. One
write is also one system call less.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_STATUS_LINE = b"HTTP/1.1 "
_INTERIM = b"HTTP/1.1 1"
_END = b"\r\n\r\n"


class WholeAnswers(HttpToolsProtocol):
    """uvicorn's HTTP protocol on such a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a connection."""
        super().connection_made(_OnePiece(transport))  # type: ignore[arg-type]


class _OnePiece:
    """A transport that keeps an answer's head until its body comes."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send `data`, or keep it when it is a final answer's head: its body follows at once."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_STATUS_LINE) and data.endswith(_END) and not data.startswith(_INTERIM):
            self._head = data
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what was kept, then close."""
        if self._head:
            self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
