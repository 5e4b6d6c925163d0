"""One task on each of the named instances: what a DAEMON service asks of placement. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import Placement
from homeport.services.ecs.plan.placement_admission import admit
from homeport.services.ecs.plan.placement_refusals import refusals
from homeport.services.ecs.plan.placement_types import Demand


def place_each(fleet: Fleet, demand: Demand, uids: Sequence[str]) -> Placement:
    """Those of the instances that can take a task and have none of the group yet, in the order given.

    Strategies have no say; everything else that a task needs must hold. Instances that are gone, and
    those that have a task of the group, refuse nothing: there is nothing to want there.
    """
    found = (fleet.find(uid) for uid in uids)
    rows = [row for view in found if view is not None and (row := fleet.row(view.id)) is not None]
    hosting = fleet.hosting(demand.group)
    named = np.array([row for row in rows if not hosting[row]], dtype=np.int64)
    takes = admit(fleet, demand)[named]
    chosen = tuple(fleet.rows.ids[named[takes]].tolist())
    refusing = named[~takes]
    nothing = np.zeros(fleet.size, dtype=np.int32)
    table = refusals(fleet, demand, refusing, nothing) if len(refusing) else None
    return Placement(chosen, len(refusing), len(named), 0, table)
