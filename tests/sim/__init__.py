"""Seeded worlds with faults."""

from __future__ import annotations

import os


def seeds(count: int) -> range:
    """Those of the environment's SIM_SEEDS, a count or `first-last`; else the first `count`."""
    first, dash, last = os.environ.get("SIM_SEEDS", str(count)).rpartition("-")
    return range(int(first), int(last) + 1) if dash else range(int(last))


def again(world: str, seed: int) -> str:
    """How to play one world again."""
    return f"seed {seed}: bin/simulate {world} --first {seed} --seeds 1"
