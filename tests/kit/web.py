"""A web server for tasks of tests: it answers with its revision's name, and finishes what it has begun.

It runs on this machine's Python, which the container sees through volumes: nothing is pulled. At SIGTERM it
takes nothing new, answers what it was asked, and ends; with ENDS=at once it answers nothing any more. `/slow`
takes it a second.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.kit.docker import IMAGE

PORT = 8080
SERVER = """
import asyncio, os, signal, sys
NAME = os.environ["REVISION"].encode()
busy, ending = 0, asyncio.Event()

async def serve(reader, writer):
    global busy
    try:
        while not ending.is_set():
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            busy += 1
            try:
                path = head.split(b" ", 2)[1]
                if path == b"/slow":
                    await asyncio.sleep(1)
                ends = b"Connection: close\\r\\n" if ending.is_set() else b""
                size = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n" % len(NAME)
                writer.write(size + ends + b"\\r\\n" + NAME)
                await writer.drain()
            finally:
                busy -= 1
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

def end():
    ending.set()
    if os.environ.get("ENDS") == "at once":
        os._exit(0)

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]), backlog=1024)
    await ending.wait()
    server.close()
    while busy:
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def _mounts() -> dict[str, str]:
    """Where this Python and its libraries are, by a volume's name."""
    found = {"python": os.path.realpath(sys.base_prefix), "libraries": "/usr/lib"}
    for number, link in enumerate(("/lib", "/lib64")):
        if os.path.isdir(link):
            found[f"loader{number}"] = link
    return found


def python_inside() -> tuple[str, ...]:
    """The command of the Python that the container of a definition has."""
    name = f"python3.{sys.version_info.minor}"
    return (os.path.join(os.path.realpath(sys.base_prefix), "bin", name), "-S", "-E")


def web_definition(family: str, revision: str, **members: Any) -> dict[str, Any]:
    """RegisterTaskDefinition's input: one container `web` on `PORT`. `members` go to the definition."""
    mounts = _mounts()
    container = {
        "name": "web",
        "image": IMAGE,
        "memory": 64,
        "entryPoint": [*python_inside(), "-c", SERVER, str(PORT)],
        "environment": [{"name": "REVISION", "value": revision}],
        "portMappings": [{"containerPort": PORT}],
        "stopTimeout": 10,
        "mountPoints": [
            {"sourceVolume": name, "containerPath": path, "readOnly": True} for name, path in mounts.items()
        ],
    }
    volumes = [
        {"name": name, "host": {"sourcePath": os.path.realpath(path)}} for name, path in mounts.items()
    ]
    return {"family": family, "containerDefinitions": [container], "volumes": volumes, **members}
