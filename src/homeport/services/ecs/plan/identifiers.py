"""Names, ids and ARNs as callers give them. Pure.

Every field that takes a resource takes its short name or id, or its ARN; an
ARN of another cluster, account or region is a resource that is not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from homeport.core.arn import MalformedArnError, is_arn, parse_arn
from homeport.core.errors import AwsError
from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import TASK_DEFINITION

PARTITION = "aws"
"""An ARN of another names nothing here: policies must not be stepped round by another spelling."""
_UID = re.compile(r"[0-9a-f]{32}")
_REVISION = re.compile(r"0|[1-9][0-9]{0,9}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


P = ParamSpec("P")


def or_none(name_of: Callable[P, str | None], *args: P.args, **kwargs: P.kwargs) -> str | None:
    """`None`, too, for what is no name at all: for callers that have no words for that."""
    try:
        return name_of(*args, **kwargs)
    except AwsError:
        return None


@dataclass(frozen=True, slots=True)
class Home:
    """The account and region that a request is made in."""

    account_id: str
    region: str


def is_uid(text: str) -> bool:
    """Whether it is spelt as ids of tasks and container instances are."""
    return _UID.fullmatch(text) is not None


def _resource(home: Home, text: str, kind: str) -> str | None:
    """What follows `kind/` in an ECS ARN of this account and region; `None`: it is elsewhere."""
    try:
        arn = parse_arn(text)
    except MalformedArnError:
        raise InvalidParameterException(f"Invalid identifier: {text}") from None
    head, _, rest = arn.resource.partition("/")
    if arn.service != "ecs" or arn.partition != PARTITION or head != kind or not rest:
        raise InvalidParameterException(f"Invalid identifier: {text}")
    if (arn.account_id, arn.region) != (home.account_id, home.region):
        return None
    return rest


def cluster_name(home: Home, reference: str | None) -> str | None:
    """The cluster's name; `default` when none is given; `None` when it cannot be here."""
    if not reference:
        return "default"
    if is_arn(reference):
        return _resource(home, reference, "cluster")
    if not _NAME.fullmatch(reference):
        raise InvalidParameterException(
            f"Invalid identifier: {reference}. A cluster is named by 1 to 255 letters, digits, "
            "hyphens and underscores, or by its ARN."
        )
    return reference


def _in_cluster(home: Home, cluster: str, reference: str, kind: str) -> str | None:
    if not is_arn(reference):
        return reference
    rest = _resource(home, reference, kind)
    if rest is None:
        return None
    owner, slash, name = rest.rpartition("/")
    if slash and owner != cluster:
        return None
    return name


def task_uid(home: Home, cluster: str, reference: str) -> str | None:
    """A task's 32-character id; `None`: no task of this cluster can have it."""
    uid = _in_cluster(home, cluster, reference, "task")
    if uid is None:
        return None
    if len(uid) not in (32, 36):
        raise InvalidParameterException("taskId length should be one of [32,36]")
    return uid if _UID.fullmatch(uid) else None


def instance_uid(home: Home, cluster: str, reference: str) -> str | None:
    """An instance's 32-character id; `None`: no instance of this cluster can have it."""
    uid = _in_cluster(home, cluster, reference, "container-instance")
    return uid if uid is not None and _UID.fullmatch(uid) else None


def service_name(home: Home, cluster: str, reference: str) -> str | None:
    """A service's name; `None`: it is in another cluster, account or region."""
    return _in_cluster(home, cluster, reference, "service")


def service_path(home: Home, reference: str) -> tuple[str, str] | None:
    """The cluster's and the service's name in a service's ARN; `None`: it is elsewhere."""
    if not is_arn(reference):
        raise InvalidParameterException(f"Invalid identifier: {reference}. The service's ARN is needed.")
    rest = _resource(home, reference, "service")
    cluster, slash, name = (rest or "").partition("/")
    if rest is not None and (not slash or not name or "/" in name):
        raise InvalidParameterException(f"Invalid identifier: {reference}")
    return (cluster, name) if rest else None


def capacity_provider_name(home: Home, reference: str) -> str | None:
    """A capacity provider's name; `None`: it is in another account or region."""
    return _resource(home, reference, "capacity-provider") if is_arn(reference) else reference


def daemon_path(home: Home, reference: str) -> tuple[str, str] | None:
    """The cluster's and the daemon's name in a daemon's ARN; `None`: it is elsewhere."""
    if not is_arn(reference):
        raise InvalidParameterException(f"Invalid identifier: {reference}. The daemon's ARN is needed.")
    rest = _resource(home, reference, "daemon")
    cluster, slash, name = (rest or "").partition("/")
    if rest is not None and (not slash or not name or "/" in name):
        raise InvalidParameterException(f"Invalid identifier: {reference}")
    return (cluster, name) if rest else None


def history_uid(home: Home, reference: str, kind: str) -> str | None:
    """The id in the ARN of a `service-deployment` or a `service-revision`; `None`: it is elsewhere."""
    if not is_arn(reference):
        raise InvalidParameterException(f"Invalid identifier: {reference}. The ARN is needed.")
    rest = _resource(home, reference, kind)
    return None if rest is None else rest.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class TaskDefinitionName:
    """A family, and a revision where one was named; `here` is false for another account or region."""

    family: str
    revision: int | None
    here: bool = True


def task_definition_name(home: Home, reference: str, kind: str = TASK_DEFINITION) -> TaskDefinitionName:
    """`family`, `family:revision` or an ARN of either; `kind`: of which task definitions."""
    here = True
    text = reference
    if is_arn(reference):
        rest = _resource(home, reference, kind)
        if rest is None:
            here, rest = False, parse_arn(reference).resource.partition("/")[2]
        text = rest
    family, colon, revision = text.partition(":")
    if not _NAME.fullmatch(family):
        raise ClientException(
            f"Invalid identifier: {reference}. A task definition is named by family, family:revision or ARN."
        )
    if not colon:
        return TaskDefinitionName(family, None, here)
    if not _REVISION.fullmatch(revision):
        raise InvalidParameterException(f"Invalid revision number. Number: {revision}")
    return TaskDefinitionName(family, int(revision), here)
