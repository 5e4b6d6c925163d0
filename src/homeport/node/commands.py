"""Running the machine's own programs (ip, nft, systemctl): no shell, bounded in time."""

from __future__ import annotations

import asyncio
import os
from typing import BinaryIO, Protocol

COMMAND_SECONDS_MAX = 30.0


class CommandError(Exception):
    """A program failed or is missing; the text says which and what it said."""


class Run(Protocol):
    """Runs a program; its standard output. Raise `CommandError`."""

    async def __call__(self, *command: str, stdin: str = "") -> str: ...


def _readable(text: str) -> BinaryIO:
    """`text` as a file in memory: a pipe would fail when the program ends without having read it."""
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(text.encode())
    file.seek(0)
    return file


async def run_command(*command: str, stdin: str = "") -> str:
    """The `Run` of production."""
    try:
        with _readable(stdin) as source:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=source,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
    except OSError as error:
        raise CommandError(f"{command[0]}: {error.strerror}") from error
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            out, said = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise CommandError(f"{' '.join(command)}: no end after {COMMAND_SECONDS_MAX:.0f} s") from error
    if process.returncode:
        raise CommandError(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")
    return out.decode()
