"""What ECS needs from outside, in its own words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from homeport.agentproto.messages import Frame, RoleCredentials
from homeport.services.ecs.model import (
    FARGATE,
    Cluster,
    ConnectEndpoint,
    Daemon,
    DaemonRevision,
    Demand,
    HookAnswer,
    LifecycleHook,
    Service,
    Task,
    TaskDefinition,
    TaskInterface,
    TaskNetwork,
)
from homeport.store.tx import Tx


class Outbox(Protocol):
    """The control plane's side of one open agent socket."""

    def send(self, frame: Frame) -> None:
        """Queue a frame; dropped once the socket is closed."""
        ...

    def close(self) -> None:
        """Close the socket after what is queued."""
        ...

    def replaced(self) -> None:
        """Close the socket because its agent opened another: who still listens here comes back slowly."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHello:
    """What an agent says of itself when it connects. `cluster` is a name or an ARN."""

    account_id: str
    region: str
    cluster: str
    container_instance: str
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    send_credentials: bool = False


class RefusedAgentError(Exception):
    """A connect that is refused; `kind` is the agent's own word for it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


TASK_APPLICATION, TASK_EXECUTION = "TaskApplication", "TaskExecution"
"""What a role is to a task: its containers', or its agent's for it. The agent protocol's words."""

ROLES_CHANGED = "iam.policies"
"""The change feed's kind for news of an account's roles and policies; the key is the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSession:
    """A task's credentials of one of its roles, and until when they are good."""

    credentials: RoleCredentials
    expires_at: datetime


class RoleAssumer(Protocol):
    """A task's roles, taken on for it. Every method works in its caller's transaction.

    A task's credentials of one role have one id for its whole life, whatever credentials it stands for:
    containers know it by then. Nobody can guess it.
    """

    def may_assume(self, tx: Tx, task: Task, role_arn: str) -> bool:
        """Whether the role is one of the task's account and lets ECS tasks in."""
        ...

    def held(self, tx: Tx, tasks: Iterable[Task]) -> Mapping[tuple[str, str], RoleSession]:
        """The newest sessions of the tasks' roles, by a task's uid and what the role is to it."""
        ...

    def assume(self, tx: Tx, task: Task, role_type: str, role_arn: str) -> RoleSession | None:
        """A new session; `None`: the role is gone, or does not let ECS in any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What keeps a load balancer from a target, and the command that lets it in; empty: there is none."""

    text: str
    command: str = ""


class Paths(Protocol):
    """Whether load balancers reach targets."""

    def obstacles(
        self, tx: Tx, account_id: str, region: str, group_arns: Collection[str]
    ) -> Sequence[Obstacle]:
        """What is in the way between the balancers of these target groups and their targets; each once.

        It works in its caller's transaction.
        """
        ...


class OpenPaths:
    """Nothing is in the way."""

    def obstacles(
        self, tx: Tx, account_id: str, region: str, group_arns: Collection[str]
    ) -> Sequence[Obstacle]:
        """None."""
        del tx, account_id, region, group_arns
        return ()


class NetworkRefusedError(Exception):
    """Tasks cannot be there; the text is for who asked."""


class NoInterfaceError(Exception):
    """A task's interface could not be made. `code` is EC2's word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Networks(Protocol):
    """EC2's networks as ECS uses them. Every method works in its caller's transaction."""

    def find(
        self,
        tx: Tx,
        account_id: str,
        region: str,
        *,
        subnets: Sequence[str],
        groups: Sequence[str],
        public: bool,
    ) -> TaskNetwork:
        """What is asked for, with the zones of its subnets. Raise `NetworkRefusedError`."""
        ...

    def attach(
        self, tx: Tx, task: Task, network: TaskNetwork, *, subnets: Sequence[str], instance_id: str
    ) -> TaskInterface:
        """Make the task's interface in one of the subnets, the first that can take it.

        `instance_id`: EC2's, of the machine that the task is on; empty: nobody's. Raise `NoInterfaceError`.
        """
        ...

    def detach(self, tx: Tx, task: Task) -> None:
        """Remove the task's interface; its address may be given to others at once."""
        ...

    def sweep(
        self, tx: Tx, account_id: str, region: str, *, instance_id: str, is_live: Callable[[str], bool]
    ) -> int:
        """Remove the interfaces on an instance whose tasks do not live; how many went.

        `is_live` is asked with a task's 32-character id.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientToken:
    """A request under a token: a repeat must have the same digest, and gets the same tasks."""

    scope: str
    token: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of a request's tasks are for the instances of a capacity provider's Auto Scaling group."""

    provider: str
    group: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRequest:
    """Identical tasks to place and start.

    `instance_uids` names the instances, for one task each: StartTask bypasses constraints
    and strategies, a DAEMON service only strategies;
    otherwise `count` tasks are placed. `template` is a task without id, uid and
    instance; `required_attributes` are names that an instance must carry. `zones`: the
    Availability Zones to choose from; none: all.
    A `service`, or a `daemon`, must be as it was read when the tasks are committed. With `shares`,
    which make up the `count`, each task goes to the instances of its share's group, and to no others.
    """

    cluster: Cluster
    definition: TaskDefinition
    template: Task
    demand: Demand
    count: int = 1
    instance_uids: tuple[str, ...] | None = None
    required_attributes: frozenset[str] = frozenset()
    constraints: tuple[Mapping[str, Any], ...] = ()
    strategy: tuple[Mapping[str, Any], ...] = ()
    zones: tuple[str, ...] = ()
    client_token: ClientToken | None = None
    service: Service | None = None
    daemon: Daemon | None = None
    shares: tuple[Share, ...] = ()
    network: TaskNetwork | None = None
    """Where in a VPC the tasks get interfaces, which are made when they are."""
    standing: Mapping[str, int] = field(default_factory=dict)
    """How many of its tasks the service has in each zone: Fargate's are spread by that."""

    @property
    def is_fargate(self) -> bool:
        """Whether its tasks are for the machines that nobody sees."""
        return self.template.launch_type == FARGATE

    @property
    def owner(self) -> int | None:
        """Whose room it may take: a service's row, or a daemon's below zero."""
        if self.daemon is not None:
            return -self.daemon.id
        return None if self.service is None else self.service.id


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFailure:
    """Why an instance could not take a task; `detail` has the numbers."""

    arn: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementOutcome:
    """What was started, and why the rest was not.

    `explanation` is the sentence for a service's event, about the closest match;
    `empty_providers` are the capacity providers that have no instance at all.
    """

    tasks: tuple[Task, ...]
    failures: tuple[PlacementFailure, ...] = ()
    no_instances: bool = False
    explanation: str = ""
    empty_providers: tuple[str, ...] = ()
    capacity: str = ""
    """Why Fargate had not room for all, with the numbers."""
    unassumable: str = ""
    """Why none was started wherever there is room: a role that ECS cannot assume."""


class TaskPlacer(Protocol):
    """Places tasks and commits them: the only way to make one."""

    async def place(self, request: PlacementRequest) -> PlacementOutcome:
        """Answers after the commit.

        Raise `AwsError`, or `StaleWriteError` when the request's service was written meanwhile.
        """
        ...

    def pick_for_scale_in(
        self,
        cluster_id: int,
        tasks: Sequence[Task],
        strategy: Sequence[Mapping[str, Any]],
        count: int,
    ) -> Sequence[Task]:
        """So many of a service's tasks, in the order in which they should go."""
        ...

    def reserve(self, service: Service, definition: TaskDefinition | None) -> None:
        """Hold room for a DAEMON service's tasks wherever one is wanted and missing; `None`: no more."""
        ...

    def reserve_daemon(
        self, daemon: Daemon, revision: DaemonRevision | None, definition: TaskDefinition | None
    ) -> None:
        """The same for a daemon; where a critical one does not run yet, nobody else's tasks are placed."""
        ...


TARGETS_CHANGED = "elb.targets"
"""The change feed's kind for news of targets' health; the key is the target group's ARN."""


class TargetGroupsError(Exception):
    """The load balancers' control cannot answer now, or will not; the text says why."""


class TargetGroupMissingError(TargetGroupsError):
    """There is no such target group (any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """What a service must know of a target group. `has_load_balancer`: a listener forwards to it.

    A Classic Load Balancer stands for one, by its ARN, with the type `classic`: its targets are instances
    with port 0, and `instance_ports` those of their ports that its listeners send traffic to.
    """

    arn: str
    target_type: str
    deregistration_delay_seconds: float = 300.0
    has_load_balancer: bool = True
    instance_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """A target's health in Elastic Load Balancing's words.

    `state`: initial, healthy, unhealthy, draining, unhealthy.draining, unused or unavailable.
    """

    state: str
    reason: str = ""
    description: str = ""


TargetAddress = tuple[str, int]
"""An instance's EC2 id or an IP address, and a port."""


class TargetGroups(Protocol):
    """Elastic Load Balancing as ECS uses it. Every call may be repeated and may come late.

    Health is read, and news of it comes over the change feed (`TARGETS_CHANGED`): nothing polls.
    Raise `TargetGroupsError`.
    """

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, TargetGroup]:
        """Those of the target groups that exist."""
        ...

    async def register(self, arn: str, targets: Collection[TargetAddress], *, before: datetime) -> None:
        """Register targets; one that is draining comes back, one that is there already stays.

        Later than `before` nothing is registered: whoever asked may be gone, and its question forgotten.
        """
        ...

    async def deregister(self, arn: str, targets: Collection[TargetAddress]) -> None:
        """Deregister targets: they drain, and are gone after the group's delay at the latest."""
        ...

    async def health(self, arn: str) -> Mapping[TargetAddress, TargetState]:
        """All registered targets, draining ones included."""
        ...


ALARMS_CHANGED = "cloudwatch.alarm"
"""The change feed's kind for news of an alarm's state; the key is its `alarm_key`."""


def alarm_key(account_id: str, region: str, name: str) -> str:
    """An alarm in the change feed."""
    return f"{account_id}/{region}/{name}"


class AlarmsError(Exception):
    """The alarms' states cannot be had now; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState:
    """An alarm. `window_seconds`: its period times its evaluation periods."""

    in_alarm: bool
    window_seconds: float


class AlarmStates(Protocol):
    """CloudWatch's alarms as ECS watches them; news come over the change feed (`ALARMS_CHANGED`)."""

    async def find(self, account_id: str, region: str, names: Collection[str]) -> Mapping[str, AlarmState]:
        """Those of the alarms that exist, by name. Raise `AlarmsError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShares:
    """What a listener rule (or a network load balancer's listener) is to forward to, in percent.

    `role`: in whose name ECS changes the rule. Shares that are all 0 leave the traffic where it is: the rule
    only gets to know the target groups.
    """

    rule: str
    role: str
    shares: Mapping[str, float]


class TrafficShifter(Protocol):
    """Changes what listener rules forward to. Every call may be repeated and may come late."""

    async def forwards(
        self, account_id: str, region: str, rules: Collection[str]
    ) -> Mapping[str, Collection[str]]:
        """The target groups that those of the rules forward to which exist."""
        ...

    async def shift(
        self, service: Service, rules: Sequence[RuleShares], wanted: Callable[[Tx], bool]
    ) -> bool:
        """Ask for the shares, in their order; whether they are in force.

        Nothing is changed unless `wanted` says so in the transaction of the change: whoever asked may have
        been taken for dead, and somebody else may have asked for something else. The same again has the
        same effect as once. Raise `AwsError` when they cannot be.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFacts:
    """What a service must know of a registry; without record types only API calls find what is in it."""

    record_types: tuple[str, ...]
    custom_health: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryInstance:
    """A task in a registry, as the registry knows it."""

    attributes: Mapping[str, str]
    healthy: bool


class RegistryRefusedError(Exception):
    """A registry does not take a task (a quota, other settings than when it was looked up)."""


class ServiceRegistries(Protocol):
    """Cloud Map as ECS uses it: tasks are instances, by their ids. Every call may be repeated.

    What is registered carries the names of its cluster and service, by which its owner finds it.
    """

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, RegistryFacts]:
        """Those of the registries that exist."""
        ...

    async def has_namespace(self, account_id: str, region: str, namespace: str) -> bool:
        """Whether there is a namespace of that name or ARN."""
        ...

    async def registered(self, arn: str, owner: tuple[str, str]) -> Mapping[str, RegistryInstance]:
        """The tasks of a cluster's service in a registry; none in one that does not exist."""
        ...

    async def all_registered(self) -> Collection[tuple[str, str]]:
        """Every task in every registry, as the registry's ARN and the task's id."""
        ...

    async def register(
        self, arn: str, uid: str, attributes: Mapping[str, str], *, still: Callable[[Tx], bool]
    ) -> None:
        """Register a task, if it is `still` to be found: that is asked in the transaction that does it.

        Raise `RegistryRefusedError`.
        """
        ...

    async def report(self, arn: str, uid: str, *, healthy: bool) -> None:
        """Tell how a task is. One that is not there does not matter."""
        ...

    async def deregister(self, arn: str, uid: str) -> None:
        """Take a task out. One that is not there does not matter."""
        ...

    async def addresses(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, str]:
        """Where EC2 instances are, by their ids; nobody knows of those that are missing."""
        ...


class ConnectRefusedError(Exception):
    """A name or a port is somebody else's, or leads nowhere; the text is for who asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectNamespace:
    """A namespace of Cloud Map, of whatever kind."""

    arn: str
    name: str


class ConnectNames(Protocol):
    """Cloud Map as Service Connect uses it. Every method works in its caller's transaction."""

    def namespace(self, tx: Tx, account_id: str, region: str, reference: str) -> ConnectNamespace | None:
        """The account's namespace of that name or ARN."""
        ...

    def make_namespace(self, tx: Tx, account_id: str, region: str, name: str) -> ConnectNamespace:
        """One of a name that nobody has, for API calls only."""
        ...

    def claim(
        self,
        tx: Tx,
        service_arn: str,
        namespace: str,
        endpoint: ConnectEndpoint,
        network: TaskNetwork | None,
    ) -> str:
        """The ARN of the registry of an endpoint's tasks, which is made, or made to be so.

        `network`: where the tasks are, if they have interfaces. Raise `ConnectRefusedError`.
        """
        ...


class LifecycleHookInvoker(Protocol):
    """Calls the functions of deployment lifecycle hooks."""

    async def invoke(self, hook: LifecycleHook, event: Mapping[str, Any]) -> HookAnswer:
        """What the function says to the event; one that still runs is IN_PROGRESS, so this never takes long.

        The event's `executionId` names the execution: the same again does not start a second one beside it.
        Raise `AwsError` when it cannot be called.
        """
        ...
