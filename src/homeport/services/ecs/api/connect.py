"""Service Connect in requests: looked up and claimed in the transaction that uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.context import Ecs, Request
from homeport.services.ecs.errors import (
    ClientException,
    InvalidParameterException,
    NamespaceNotFoundException,
)
from homeport.services.ecs.model import (
    Cluster,
    Connect,
    ConnectEndpoint,
    Deployment,
    Service,
    TaskDefinition,
    TaskNetwork,
)
from homeport.services.ecs.plan.connect import (
    MEMBER,
    check_connect,
    check_namespace_name,
    claimed,
    endpoints_of,
    registries_for,
)
from homeport.services.ecs.plan.registries import check_room
from homeport.services.ecs.plan.traffic import connect_shares
from homeport.services.ecs.ports import ConnectNames, ConnectRefusedError
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.store.tx import Tx

DEFAULTS = "serviceConnectDefaults"


def _names(ecs: Ecs, member: str) -> ConnectNames:
    if ecs.connect is None:
        raise ClientException(f"{member} is not supported here: {ecs.no_networks}")
    return ecs.connect


def check_asked(ecs: Ecs, req: Request) -> None:
    """Raise for what a request asks of Service Connect in vain, whatever there is."""
    given = req.get(MEMBER)
    check_connect(given)
    if given and given.get("enabled"):
        _names(ecs, MEMBER)


def connect_of(
    tx: Tx,
    ecs: Ecs,
    given: Mapping[str, Any] | None,
    service_arn: str,
    cluster: Cluster,
    definition: TaskDefinition,
    network: TaskNetwork | None,
    *,
    before: Connect | None = None,
) -> Connect | None:
    """A service's part in Service Connect, with its names claimed; `None`: it has none."""
    if not given or not given.get("enabled"):
        return None
    names = _names(ecs, MEMBER)
    reference = given.get("namespace") or (before.namespace if before else "") or cluster.connect_namespace
    if not reference:
        raise InvalidParameterException(
            f"{MEMBER} needs a namespace: the cluster {cluster.name} has no serviceConnectDefaults."
        )
    found = names.namespace(tx, cluster.account_id, cluster.region, reference)
    if found is None:
        raise NamespaceNotFoundException(f"The specified namespace wasn't found: {reference}")
    if definition.body.get("networkMode", "bridge") != "awsvpc":
        network = None
    asked = endpoints_of(given, definition, found.name)
    claims = tuple(_claimed(tx, names, one, service_arn, found.arn, network) for one in asked)
    return Connect(namespace=found.arn, endpoints=claims, given={"namespace": found.arn, **given})


def _claimed(
    tx: Tx,
    names: ConnectNames,
    endpoint: ConnectEndpoint,
    service_arn: str,
    namespace: str,
    network: TaskNetwork | None,
) -> ConnectEndpoint:
    try:
        return claimed(endpoint, names.claim(tx, service_arn, namespace, endpoint, network))
    except ConnectRefusedError as error:
        raise InvalidParameterException(str(error)) from None


def with_connect(
    tx: Tx, ecs: Ecs, req: Request, call: Call, cluster: Cluster, deployments: tuple[Deployment, ...]
) -> tuple[Deployment, ...]:
    """A new service's deployments with its part in Service Connect."""
    given = req.get(MEMBER)
    if not given or not given.get("enabled"):
        return deployments
    if not deployments:
        raise ClientException(
            f"{MEMBER} with an EXTERNAL deployment controller is not supported by Homeport."
        )
    arn = f"arn:aws:ecs:{call.region}:{call.account_id}:service/{cluster.name}/{req['serviceName']}"
    made = []
    for one in deployments:
        definition = TaskDefinitionRepo(tx).by_ids([one.task_definition_id])[one.task_definition_id]
        connect = connect_of(tx, ecs, given, arn, cluster, definition, one.network)
        registries = (*one.registries, *registries_for(connect))
        check_room(registries, req.get("desiredCount") or 0)
        made.append(msgspec.structs.replace(one, connect=connect, registries=registries))
    return tuple(made)


def next_connect(
    tx: Tx,
    ecs: Ecs,
    req: Request,
    service: Service,
    cluster: Cluster,
    definition: TaskDefinition,
    network: TaskNetwork | None,
) -> Connect | None:
    """A service's part after an update: what it has, unless something else is asked for."""
    before, given = service.primary.connect, req.get(MEMBER)
    if given is None:
        given = None if before is None else before.given
    connect = connect_of(tx, ecs, given, service.arn, cluster, definition, network, before=before)
    count = req.get("desiredCount")
    check_room(registries_for(connect), service.desired_count if count is None else count)
    return connect


def hold_back(tx: Tx, ecs: Ecs, service: Service) -> None:
    """A deployment with stages gets no traffic before it is shifted to it; all tasks of others are alike."""
    if ecs.connect is None or not service.deployments:
        return
    staging = service.primary.staging
    shares = None if staging is None else connect_shares(service, staging)
    ecs.connect.share(tx, service.arn, shares)


def default_namespace(tx: Tx, call: Call, ecs: Ecs, req: Request, old: str) -> str:
    """The ARN of the namespace that a cluster's new services are in; one of a new name is made.

    Source: botocore's ClusterServiceConnectDefaultsRequest.
    """
    given = req.get(DEFAULTS)
    if given is None:
        return old
    name = given["namespace"]
    if not name:
        return ""
    names = _names(ecs, DEFAULTS)
    found = names.namespace(tx, call.account_id, call.region, name)
    if found is not None:
        return found.arn
    if name.startswith("arn:"):
        raise NamespaceNotFoundException(f"The specified namespace wasn't found: {name}")
    check_namespace_name(name)
    return names.make_namespace(tx, call.account_id, call.region, name).arn
