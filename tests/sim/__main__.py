"""Play many seeded worlds, over all processors: `bin/simulate [WORLD ...] [--seeds 20000]`.

Prints every seed that violates something, with what it violates and the command that plays it again.
Exit status: 0 nothing was violated, 1 something was, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

import looptime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from homeport.core.log import configure
from tests.kit.sim_capacity import capacity_drama
from tests.kit.sim_daemons import daemon_drama
from tests.kit.sim_fargate import fargate_drama
from tests.kit.sim_managed_daemons import managed_drama
from tests.kit.sim_services import drama
from tests.kit.sim_strategies import staged_drama
from tests.kit.sim_targets import target_drama
from tests.kit.sim_task_sets import task_set_drama
from tests.kit.sim_traffic import traffic_drama
from tests.sim import again

WORLDS: dict[str, Callable[[int], Awaitable[list[str]]]] = {
    "services": drama,
    "capacity": capacity_drama,
    "daemons": daemon_drama,
    "fargate": fargate_drama,
    "task-sets": task_set_drama,
    "managed-daemons": managed_drama,
    "targets": target_drama,
    "strategies": staged_drama,
    "traffic": traffic_drama,
}
TOLD_EVERY = 500
"""Worlds, where there is no terminal for a progress bar."""
AHEAD = 4
"""So many seeds wait for each process."""


def play(world: str, seed: int, level: str) -> list[str]:
    """One world on virtual time; an error that it raises is a violation as well."""
    configure(level=level)
    loop = looptime.make_event_loop_class(asyncio.SelectorEventLoop)(noop_cycles=1)
    try:
        return loop.run_until_complete(WORLDS[world](seed))
    except Exception as error:  # noqa: BLE001 - told with its seed
        return [f"{type(error).__name__}: {error}"]
    finally:
        loop.close()


def played(
    pool: ProcessPoolExecutor, wanted: Iterator[tuple[str, int]], *, jobs: int, level: str
) -> Iterator[tuple[str, int, list[str]]]:
    """The violations of every world, as they come in."""
    open_: dict[Future[list[str]], tuple[str, int]] = {}
    while True:
        while len(open_) < jobs * AHEAD and (following := next(wanted, None)) is not None:
            open_[pool.submit(play, *following, level)] = following
        if not open_:
            return
        for future in wait(open_, return_when=FIRST_COMPLETED).done:
            world, seed = open_.pop(future)
            yield world, seed, future.result()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/simulate", description=__doc__)
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"of {', '.join(WORLDS)}; default: all")
    parser.add_argument("--seeds", type=int, default=20_000, help="how many of each world")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--log", default="critical", help="the level of the control plane's log")
    options = parser.parse_args()
    if unknown := set(options.worlds) - WORLDS.keys():
        parser.error(f"there is no world {unknown.pop()}")
    worlds = options.worlds or list(WORLDS)
    range_ = range(options.first, options.first + options.seeds)
    wanted = ((world, seed) for seed in range_ for world in worlds)
    console, bad = Console(stderr=True, soft_wrap=True, highlight=False), 0
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[bad]} bad"),
        console=console,
    )  # fmt: skip
    with ProcessPoolExecutor(options.jobs) as pool, bar:
        line = bar.add_task("", total=len(range_) * len(worlds), bad=0)
        results = played(pool, wanted, jobs=options.jobs, level=options.log)
        for number, (world, seed, violations) in enumerate(results, 1):
            bad += bool(violations)
            if number % TOLD_EVERY == 0 and not console.is_terminal:
                print(f"{number} worlds played, {bad} bad", flush=True)
            bar.update(line, advance=1, bad=bad)
            if violations:
                print(f"{world}: {again(world, seed)}", *violations, sep="\n  ", flush=True)
    print(f"{len(range_) * len(worlds) - bad} of {len(range_) * len(worlds)} worlds held what was promised.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
