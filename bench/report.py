"""Run every bench and write bench/RESULTS.md: each figure, the peer's, the ratio, and the machine.

Run as `python -m bench.report [--only api,idle]` (root, Docker Engine, busybox-static), nothing else running.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.kit import arguments, python

PAGE = Path(__file__).parent / "RESULTS.md"
BENCHES = (
    "run_task",
    "replace",
    "rolling",
    "balancer",
    "api",
    "placement",
    "commit",
    "rollout_scale",
    "policy",
    "idle",
)
HEAD = """# Results

Written by `bin/bench report`. Ratios are ours over the peer's, of medians taken in turns in one run: small is
good for times, large for rates. The targets are those of the issues.
"""
COLUMNS = "\n| figure | Homeport | peer | ratio | target |\n| --- | --- | --- | --- | --- |\n"


def machine() -> str:
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in processors if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 2**20
    ask = ("docker", "version", "--format", "{{.Server.Version}}")
    docker = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"Taken {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores of "
        f"{models[0] if models else platform.machine()}, {memory} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, Docker Engine {docker or 'none'}; "
        f"load average before: {os.getloadavg()[0]:.1f}.\n"
    )


def row(figure: dict[str, Any]) -> str:
    peer = ratio = ""
    if figure["theirs"] is not None:
        peer = f"{figure['peer']}: {figure['theirs']:,.1f} {figure['unit']}"
        ratio = f"{figure['ratio']:.2f}"
    ours = f"{figure['ours']:,.1f} {figure['unit']}"
    return f"| {figure['name']} | {ours} | {peer} | {ratio} | {figure['target']} |\n"


def sections() -> dict[str, str]:
    """What the page holds already, by bench."""
    page = PAGE.read_text() if PAGE.exists() else ""
    parts = page.split("\n## ")[1:]
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}


def main() -> None:
    options = arguments(__doc__ or "", only=",".join(BENCHES))
    found = sections()
    for name in options.only.split(","):
        print(f"-- {name}", file=sys.stderr)
        where = machine()
        command = (python(), "-m", f"bench.{name}", "--json")
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        rows = "".join(row(figure) for figure in json.loads(ran.stdout)["figures"])
        found[name] = f"{where}{COLUMNS}{rows}".strip()
        shown = [f"\n## {each}\n\n{found[each]}\n" for each in BENCHES if each in found]
        PAGE.write_text(HEAD + "".join(shown))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
