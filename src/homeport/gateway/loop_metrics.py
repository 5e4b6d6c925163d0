"""What the process's own loops and controllers do, for `/_homeport/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from homeport.runtime.runner import ControllerReport
from homeport.runtime.supervisor import LoopReport, LoopState


class LoopCollector:
    """Asked at every scrape; it keeps nothing. Register it with the metrics' registry."""

    def __init__(
        self,
        loops: Callable[[], Iterable[LoopReport]],
        controllers: Callable[[], Iterable[ControllerReport]],
    ) -> None:
        self._loops = loops
        self._controllers = controllers

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        running = GaugeMetricFamily("homeport_loop_running", "1 while the loop runs.", labels=["loop"])
        crashes = CounterMetricFamily("homeport_loop_crashes", "Restarts after a crash.", labels=["loop"])
        for loop in self._loops():
            running.add_metric([loop.name], loop.state is LoopState.RUNNING)
            crashes.add_metric([loop.name], loop.crashes)
        waiting = GaugeMetricFamily(
            "homeport_controller_waiting_keys", "Keys that wait for a worker.", labels=["controller"]
        )
        failing = GaugeMetricFamily(
            "homeport_controller_failing_keys", "Keys that failed and are tried again.", labels=["controller"]
        )
        for controller in self._controllers():
            waiting.add_metric([controller.name], controller.waiting)
            failing.add_metric([controller.name], controller.failing)
        return (running, crashes, waiting, failing)
