"""`homeport spot-interrupt`."""

from __future__ import annotations

from homeport.cli.common import DEFAULT_CLUSTER, AsJson, Cluster, DataDir, client_for
from homeport.cli.explain import arn_of
from homeport.cli.output import print_json, resource_name


def spot_interrupt(
    task: str,
    /,
    *,
    cluster: Cluster = DEFAULT_CLUSTER,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> int:
    """Give TASK, which runs on FARGATE_SPOT, the notice that its capacity is taken away.

    TASK is an ARN or enough of an id. Its containers get SIGTERM now and SIGKILL after their stopTimeout,
    two minutes at most; a service starts another task.

    Exit status: 0 it has its notice, 1 refused or not found, 3 nothing serves here.
    """
    with client_for(data_dir) as api:
        told = api.own("spot-interrupt", arn=arn_of(api, cluster, "task", task))
    if json:
        print_json(told)
    else:
        print(f"task {resource_name(told['task_arn'])} has its notice; it ends by {told['ends_by'][:19]}Z")
    return 0
