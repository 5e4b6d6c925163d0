"""The image of containers that only hold namespaces: one static program of a few instructions.

No registry is needed and no compiler: the program is written here as machine
code. As first process of a shared PID namespace it must collect the
processes that others leave behind, so it ignores SIGCHLD (the kernel then
collects them, see wait(2)) and sleeps until it is killed.

`/sandbox` leaves the network namespace that it was started in for a new one,
or ends: Docker starts a container in the host's namespace in half the time
that one of its own takes (docs/adr, "Network sandboxes"). It does so again, for
network and IPC, whenever it is sent SIGUSR1: it can hold the next sandbox.
"""

from __future__ import annotations

import io
import signal
import struct
import tarfile

from homeport.node.drivers.docker_images import DockerImages
from homeport.node.ports import DriverError

PAUSE_IMAGE = "homeport/pause:3"
SANDBOX_PROGRAM = "/sandbox"
_BASE = 0x400000
_HEADERS_BYTES = 64 + 56
_SIGCHLD = 17
_LEFT = 0x4800
"""High half of CLONE_NEWNET | CLONE_NEWIPC; the low one is 0."""
LEAVE_SIGNAL = signal.SIGUSR1
_SIGNAL_SET = struct.pack("<Q", 1 << (LEAVE_SIGNAL - 1))
_IGNORE_ACTION = struct.pack("<QQQQ", 1, 0, 0, 0)
"""struct kernel_sigaction: SIG_IGN, no flags, no restorer, empty mask."""


def _x86_64() -> bytes:
    """rt_sigaction(SIGCHLD, action, NULL, 8), then pause() for ever. Numbers: asm/unistd_64.h."""
    tail = b"\x31\xd2" + b"\x41\xba" + struct.pack("<I", 8) + b"\x0f\x05"
    sleep = b"\xb8" + struct.pack("<I", 34) + b"\x0f\x05" + b"\xeb\xf7"
    head = b"\xb8" + struct.pack("<I", 13) + b"\xbf" + struct.pack("<I", _SIGCHLD)
    action_from_next = len(tail) + len(sleep)
    return head + b"\x48\x8d\x35" + struct.pack("<i", action_from_next) + tail + sleep + _IGNORE_ACTION


def _aarch64() -> bytes:
    """The same; pause() is ppoll(NULL, 0, NULL, NULL) there. Numbers: asm-generic/unistd.h."""

    def movz(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    svc, branch = 0xD4000001, 0x14000000
    sleep = [movz(8, 73), *(movz(register, 0) for register in range(4)), svc, branch]
    sleep[-1] |= -(len(sleep) - 1) & 0x3FFFFFF
    after_adr = [movz(2, 0), movz(3, 8), svc, *sleep]
    distance = 4 * (1 + len(after_adr))
    adr = 0x10000000 | (distance & 3) << 29 | (distance >> 2) << 5 | 1
    words = [movz(8, 134), movz(0, _SIGCHLD), adr, *after_adr]
    return struct.pack(f"<{len(words)}I", *words) + _IGNORE_ACTION


def _x86_64_leaving() -> bytes:
    """Ignore SIGCHLD, block SIGUSR1, unshare; at each SIGUSR1 again. exit(1) when that is refused."""

    def mov(register: int, value: int) -> bytes:
        return bytes([0xB8 + register]) + struct.pack("<I", value)

    eax, edi, syscall = 0, 7, b"\x0f\x05"
    no_rdx, no_rsi, size = b"\x31\xd2", b"\x31\xf6", b"\x41\xba" + struct.pack("<I", 8)
    end = mov(eax, 60) + mov(edi, 1) + syscall
    leave = mov(eax, 272) + mov(edi, _LEFT << 16) + syscall + b"\x85\xc0\x74" + bytes([len(end)]) + end
    wait_rest = no_rsi + no_rdx + size + syscall + b"\x83\xf8" + bytes([LEAVE_SIGNAL])
    wait_bytes = len(mov(eax, 128)) + 7 + len(wait_rest) + 2
    wait_rest += b"\x75" + struct.pack("<b", -wait_bytes) + b"\xeb"  # jne wait, jmp leave
    wait_rest += struct.pack("<b", -(len(leave) + wait_bytes + 2))
    block_rest = no_rdx + size + syscall
    after_block = len(block_rest) + len(leave) + wait_bytes + 2
    block = mov(eax, 14) + mov(edi, 0) + b"\x48\x8d\x35" + struct.pack("<i", after_block + 32) + block_rest
    wait = mov(eax, 128) + b"\x48\x8d\x3d" + struct.pack("<i", len(wait_rest) + 32) + wait_rest
    ignore_rest = no_rdx + size + syscall
    action = len(ignore_rest) + len(block) + len(leave) + len(wait)
    ignore = mov(eax, 13) + mov(edi, _SIGCHLD) + b"\x48\x8d\x35" + struct.pack("<i", action) + ignore_rest
    return ignore + block + leave + wait + _IGNORE_ACTION + _SIGNAL_SET


def _aarch64_leaving() -> bytes:
    """The same."""

    def movz(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    def adr(register: int, to: int, at: int) -> int:
        distance = 4 * (to - at)
        return 0x10000000 | (distance & 3) << 29 | (distance >> 2) << 5 | register

    svc, words, action = 0xD4000001, list[int](), 31
    signals = action + len(_IGNORE_ACTION) // 4
    words += [movz(8, 134), movz(0, _SIGCHLD), adr(1, action, 2), movz(2, 0), movz(3, 8), svc]
    words += [movz(8, 135), movz(0, 0), adr(1, signals, 8), movz(2, 0), movz(3, 8), svc]
    leave = len(words)
    words += [movz(8, 97), 0xD2A00000 | _LEFT << 5, svc, 0xB4000000 | 4 << 5, movz(8, 93), movz(0, 1), svc]
    wait = len(words)
    words += [movz(8, 137), adr(0, signals, wait + 1), movz(1, 0), movz(2, 0), movz(3, 8), svc]
    words.append(0xF100001F | LEAVE_SIGNAL << 10)  # cmp x0, SIGUSR1
    words.append(0x54000001 | ((wait - len(words)) & 0x7FFFF) << 5)  # b.ne wait
    words.append(0x14000000 | ((leave - len(words)) & 0x3FFFFFF))
    words += [0xD503201F] * (action - len(words))  # nop
    return struct.pack(f"<{len(words)}I", *words) + _IGNORE_ACTION + _SIGNAL_SET


_MACHINES = {"x86_64": (62, _x86_64, _x86_64_leaving), "aarch64": (183, _aarch64, _aarch64_leaving)}
"""Architecture as Docker names it: ELF's e_machine, and the code of both programs."""


def pause_program(architecture: str, *, leaving: bool = False) -> bytes:
    """A static ELF program; `leaving`: `/sandbox`. Raise `DriverError` for an architecture without code."""
    if architecture not in _MACHINES:
        raise DriverError(
            "HostConfigError", f"no pause program for {architecture}: namespaces cannot be shared"
        )
    machine, stay, leave = _MACHINES[architecture]
    code = leave() if leaving else stay()
    size = _HEADERS_BYTES + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        ident, 2, machine, 1, _BASE + _HEADERS_BYTES, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def pause_layer(architecture: str) -> bytes:
    """The image's only layer: `/pause` and `/sandbox`. The same bytes every time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, leaving in (("pause", False), (SANDBOX_PROGRAM.strip("/"), True)):
            program = pause_program(architecture, leaving=leaving)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(program), 0o555
            tar.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


async def ensure_pause_image(images: DockerImages, architecture: str) -> str:
    """Make the image if it is not here; its name."""
    if await images.inspect(PAUSE_IMAGE) is None:
        layer = pause_layer(architecture)
        await images.import_tar(PAUSE_IMAGE, layer, changes=('ENTRYPOINT ["/pause"]',))
    return PAUSE_IMAGE
