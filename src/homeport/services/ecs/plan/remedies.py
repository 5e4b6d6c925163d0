"""What to do about a refusal, an exit or an error, as one sentence. Pure tables.

Sources: ECS developer guide, "Amazon ECS stopped tasks error messages", "CannotPullContainer task errors",
"API failure reasons"; exit codes: 128 + signal (POSIX shells, Docker).
"""

from __future__ import annotations

import re

from homeport.services.ecs.plan.placement_types import Reason

_PLACEMENT = {
    Reason.INACTIVE: "Set it ACTIVE again (UpdateContainerInstancesState), or leave it out.",
    Reason.AGENT: "Start its agent, or look why it cannot reach Homeport.",
    Reason.DAEMON: "Wait for its critical daemons to run, or look why they do not (DescribeDaemon).",
    Reason.ATTRIBUTE: "The instance cannot do what the task definition asks: use another, or ask for less.",
    Reason.MEMBER_OF: "Relax the memberOf expression, or give an instance the attributes that it names.",
    Reason.DISTINCT_INSTANCE: "distinctInstance needs one instance per task: add one, or lower the count.",
    Reason.LOCATION: "Add an instance in one of the zones that are allowed, or name a subnet in its zone.",
    Reason.PORTS: "Use hostPort 0, stop the task that has the port, or add an instance.",
    Reason.PORTS_UDP: "Use hostPort 0, stop the task that has the port, or add an instance.",
    Reason.CPU: "Ask for less cpu, stop other tasks, or add an instance.",
    Reason.MEMORY: "Ask for less memory (or memoryReservation), stop other tasks, or add an instance.",
    Reason.GPU: "Stop a task that holds a GPU, or add an instance with GPUs.",
    Reason.ENI: "Add an instance: this one has no network interface left.",
}

_ERRORS = (
    ("CannotPullContainer", "Check the image's name and tag, and that the instance reaches the registry."),
    (
        "CannotPullImageManifest",
        "Check the image's name and tag, and that the instance reaches the registry.",
    ),
    ("ImagePull", "Check the image's name and tag, and that the instance reaches the registry."),
    ("OutOfMemory", "The container's memory limit was reached: raise `memory`, or make it use less."),
    ("CannotStartContainer", "Docker refused to start it: check command, entryPoint, mounts and devices."),
    ("CannotCreateContainer", "Docker refused to create it: check the names, mounts and volumes."),
    ("CannotCreateVolume", "Check the volume's driver and its options."),
    ("DockerTimeout", "Docker did not answer in time: look at the load of the instance."),
    ("ResourceInitialization", "A resource could not be prepared: the reason says which."),
)
_FETCHING = (
    "Fetching secret data from ",
    "Secret arn:",
    "ResourceNotFoundException: The task can't retrieve the secret ",
    "Retrieved secret from Secrets Manager ",
    "Trying to retrieve secret ",
)
"""How amazon-ecs-agent begins to say that it has no secret."""
_FETCHES = (
    (
        "AccessDeniedException",
        "Let its execution role read it. What decided: homeport explain denied REQUEST-ID",
    ),
    (
        "invalid parameters",
        "Make the parameters, in that region, or correct their names in the task definition.",
    ),
    ("json key", "Give the secret that key, or leave the key out of valueFrom."),
    (
        "ResourceNotFoundException",
        "Make the secret, or correct its ARN, stage or version in the task definition.",
    ),
    (
        "invalid ARN",
        "Correct the secret's ARN in the task definition: key, stage and id come together, or none.",
    ),
    ("request send failed", "Look why its instance does not reach the endpoint."),
)
_REQUEST = re.compile(r"RequestID: ([0-9a-f-]+)")
_EXITS = {
    125: "Docker itself failed to run it: look at the instance's Docker log.",
    126: "The command exists but cannot be executed: check its permissions and the image's platform.",
    127: "The command was not found in the image: check command and entryPoint.",
    137: "It was killed (SIGKILL): out of memory, or it outlived its stopTimeout.",
    139: "It crashed (SIGSEGV): look at what it wrote.",
    143: "It was asked to end (SIGTERM) and did.",
}
_STOPS = {
    "UserInitiated": "Somebody asked for it: RunTask or the service starts another.",
    "ServiceSchedulerInitiated": "The service asked for it: `homeport explain` of the service says more.",
    "SpotInterruption": "Its capacity was taken back: run it on other capacity.",
    "TerminationNotice": "Its instance went away: a service replaces it by itself.",
}
_NO_INTERFACE = "Unexpected EC2 error while attempting to Create Network Interface"
_INTERFACES = {
    "InsufficientFreeAddressesInSubnet": "Its subnets have no address left: name others, or stop tasks.",
    "InvalidSubnetID.NotFound": "Its subnet was deleted: name another in its networkConfiguration.",
    "InvalidGroup.NotFound": "A security group was deleted: name another in its networkConfiguration.",
}
"""By EC2's error."""
_LOGS = "See what it wrote: homeport logs TASK"


def placement_remedy(reason: Reason) -> str:
    """What makes an instance take the task after all."""
    return _PLACEMENT.get(reason, "")


def container_remedy(exit_code: int | None, reason: str, health: str) -> str:
    """What to do about how a container ended or fares; empty: nothing."""
    for start, remedy in _ERRORS:
        if start in reason:
            return remedy
    if exit_code:
        return _EXITS.get(exit_code, _LOGS)
    if health == "UNHEALTHY" and exit_code is None:
        return "Run the health check's command in the container by hand: docker exec says why it fails."
    return ""


def stop_remedy(code: str, reason: str) -> str:
    """What to do about a stop."""
    if "health checks" in reason:
        return "Its health check failed: run it by hand, or allow more startPeriod or grace period."
    if reason.startswith(_FETCHING):
        return _fetch_remedy(reason)
    if reason.startswith(_NO_INTERFACE):
        return _INTERFACES.get(reason.rpartition(": ")[2], "")
    return _STOPS.get(code, "")


def _fetch_remedy(reason: str) -> str:
    remedy = next((remedy for sign, remedy in _FETCHES if sign in reason), "")
    request = _REQUEST.search(reason)
    return remedy.replace("REQUEST-ID", request[1]) if request else remedy
