"""What a long start shows: one live block with bars on a terminal, plain lines elsewhere. All on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SENTENCES: Mapping[str, str] = {
    "docker.installing": "Docker Engine is missing: installing {package} with apt-get",
    "docker.starting": "no Docker Engine runs here: starting it ({command})",
    "docker.ready": "Docker Engine answers at {docker_host}",
    "docker.waiting": "waiting for Docker Engine to tell about itself ({error})",
    "runtime.restoring": "writing {path} anew: Docker Engine starts containers with it",
    "network.loopback": "tasks' ports are published on 127.0.0.1: no other address can be made ({error})",
    "network.unavailable": "EC2 and load balancers are not served: no network can be made ({error})",
    "metadata.direct": "containers get their metadata at the bridge's address, not 169.254.170.2 ({error})",
    "cgroups.unavailable": "limits of whole tasks and instances are not enforced ({error})",
    "gateway.ready": "the API answers at {endpoint}",
    "node.registered": "container instance {instance} has registered",
    "fargate.registered": "this machine runs Fargate's tasks, too",
    "fargate.unavailable": "there is no Fargate: {error}",
    "package.fetching": "fetching Debian's {package} for the sample image (kept beside the data)",
    "image.building": "building the sample image {image}",
    "image.ready": "the sample image {image} is there",
    "sample.deployed": "the service {service} is deployed",
    "service.progress": "service {service}: {running} of {desired} tasks run",
    "image.pulling": "pulling {image}",
    "image.pulled": "pulled {image}",
}
"""How each event reads. Those that are not here are shown as they are."""
GOALS: Mapping[str, tuple[str, str, str]] = {
    "service.progress": ("service {service}", "running", "desired"),
    "image.pulling": ("pulling {image}", "done_bytes", "total_bytes"),
}
"""Events that are a step towards a goal: the bar's name, what is done, what is wanted."""
ENDS: Mapping[str, str] = {"image.pulled": "pulling {image}"}
"""Events after which a bar is of no use any more: the bar's name."""
MEBIBYTE = 2**20


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """An event for people. Of an ARN its last part tells enough, of an error its first line."""
    short = {name: _short(value) for name, value in fields.items()}
    try:
        return SENTENCES[event].format_map(short)
    except KeyError:
        return " ".join([event, *(f"{name}={value}" for name, value in fields.items())])


def _short(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.rpartition("/")[2] if value.startswith("arn:") else value.partition("\n")[0]


class ProgressView:
    """Takes events from any thread. Use as a context manager."""

    def __init__(self, *, live: bool | None = None) -> None:
        self._lock = threading.Lock()
        self._bars: dict[str, TaskID] = {}
        self._progress: Progress | None = None
        self._last = ""
        if sys.stderr.isatty() if live is None else live:
            self._progress = _rich_progress()

    def __enter__(self) -> ProgressView:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Show nothing live any more; later events are plain lines."""
        with self._lock:
            progress, self._progress = self._progress, None
            if progress:
                progress.stop()

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        """Show an event. Has the shape of a `report`."""
        from rich.markup import escape

        with self._lock:
            text = sentence(event, fields)
            if self._progress is None:
                if text != self._last:  # a pull reports its every block
                    print(f"homeport: {text}", file=sys.stderr, flush=True)
                    self._last = text
            elif event in GOALS:
                self._move(self._progress, event, fields)
            else:
                if event in ENDS:
                    self._end(self._progress, ENDS[event].format_map(fields))
                self._progress.console.print("[green]✓[/]", escape(text), highlight=False)

    def _move(self, progress: Progress, event: str, fields: Mapping[str, Any]) -> None:
        name, done, wanted = GOALS[event]
        title = name.format_map(fields)
        if title not in self._bars:
            self._bars[title] = progress.add_task(title, amount="")
        progress.update(
            self._bars[title],
            completed=fields[done],
            total=fields[wanted] or None,
            amount=amount(fields[done], fields[wanted], in_bytes=done.endswith("_bytes")),
        )

    def _end(self, progress: Progress, title: str) -> None:
        if (bar := self._bars.pop(title, None)) is not None:
            progress.remove_task(bar)


def amount(done: int, wanted: int, *, in_bytes: bool) -> str:
    """How far something is, in words; bytes as MiB."""
    if not in_bytes:
        return f"{done} of {wanted}"
    return f"{done / MEBIBYTE:.1f} of {wanted / MEBIBYTE:.1f} MiB" if wanted else ""


def _rich_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[amount]}"),
        console=Console(stderr=True),
        # stdout belongs to programs: leave it alone.
        redirect_stdout=False,
        redirect_stderr=True,
    )
