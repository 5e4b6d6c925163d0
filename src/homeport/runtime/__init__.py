"""Queues, controllers, supervision: the machinery of converging, without SQL.

`Controller` + `WorkQueue` + `Runner` make one converging loop, `FeedPump` feeds
it, `LeaseKeeper` decides which replica runs it, `Supervisor` keeps it alive.
Everything waits on the running event loop's time, so tests run in virtual time.
"""

from homeport.core.backoff import Backoff, Dice, dice_from, no_dice
from homeport.runtime.changes import Batch, Change, Subscription
from homeport.runtime.leases import Lease, LeaseKeeper, LeaseStore
from homeport.runtime.pump import FeedPump, Route, same_key
from homeport.runtime.queue import WorkQueue
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Controller, ControllerReport, Next, Runner
from homeport.runtime.supervisor import LoopReport, LoopState, Supervisor

__all__ = [
    "Backoff",
    "Batch",
    "Change",
    "Controller",
    "ControllerReport",
    "Dice",
    "FeedPump",
    "Lease",
    "LeaseKeeper",
    "LeaseStore",
    "LoopReport",
    "LoopState",
    "Next",
    "Route",
    "Runner",
    "Subscription",
    "Supervisor",
    "WorkQueue",
    "decide_again",
    "dice_from",
    "no_dice",
    "same_key",
]
