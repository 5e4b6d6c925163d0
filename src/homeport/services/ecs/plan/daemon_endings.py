"""How a daemon's deployments begin and end. Pure.

Source: developer guide, "Daemon deployments" (statuses, the rollback to the previous revision). The texts
are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from homeport.services.ecs.model import Daemon, DaemonDeployment, DaemonRevision, DaemonRollback

SUPERSEDED = "A newer deployment of the daemon took its place."
COMPLETED = "Deployment completed successfully."
ROLLED_BACK = "The rollback completed successfully."


def completed(deployment: DaemonDeployment, now: datetime) -> DaemonDeployment:
    """It brought what it was to bring, or what it went back to."""
    rolled_back = deployment.rollback is not None
    return msgspec.structs.replace(
        deployment,
        status="ROLLBACK_SUCCESSFUL" if rolled_back else "SUCCESSFUL",
        status_reason=ROLLED_BACK if rolled_back else COMPLETED,
        finished_at=now,
    )


def superseded(deployment: DaemonDeployment, now: datetime) -> DaemonDeployment:
    """An open deployment when the next one begins."""
    return msgspec.structs.replace(
        deployment, status="STOPPED", status_reason=SUPERSEDED, stopped_at=now, finished_at=now
    )


def stopped_by_breaker(
    daemon: Daemon, deployment: DaemonDeployment, revisions: Mapping[str, DaemonRevision], now: datetime
) -> tuple[Daemon, DaemonDeployment]:
    """Too many failures: back to the last revision that worked, if there is one.

    A rollback that fails as well has nothing to go back to.
    """
    count, most = deployment.failures, deployment.threshold
    why = f"The circuit breaker counted {count} failed tasks, and {most} are too many"
    earlier = revisions.get(daemon.last_good or "")
    if deployment.rollback is not None:
        ended = msgspec.structs.replace(
            deployment,
            status="ROLLBACK_FAILED",
            status_reason=f"{why}: the rollback failed.",
            finished_at=now,
        )
        return daemon, ended
    if earlier is None or earlier.uid == deployment.target:
        ended = msgspec.structs.replace(
            deployment,
            status="STOPPED",
            status_reason=f"{why}; there is no earlier revision to go back to.",
            tripped=True,
            stopped_at=now,
            finished_at=now,
        )
        return daemon, ended
    ended = msgspec.structs.replace(
        deployment,
        status="STOP_REQUESTED",
        status_reason=f"{why}: rolling back to daemon revision {earlier.uid}.",
        tripped=True,
        failures=0,
        baked_from=None,
        stopped_at=now,
        rollback=DaemonRollback(reason=f"{why}.", started_at=now, revision=earlier.uid),
    )
    back = msgspec.structs.replace(
        daemon, revision=earlier.uid, failed_starts=0, retry_at=None, failing_on=(), updated_at=now
    )
    return back, ended
