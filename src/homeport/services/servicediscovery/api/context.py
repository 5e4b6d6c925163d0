"""What Cloud Map's handlers are given, and what most of them begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import Operations
from homeport.core.pages import Pages, paging_of
from homeport.services.servicediscovery.errors import InvalidInput, NamespaceNotFound, ServiceNotFound
from homeport.services.servicediscovery.model import Namespace, Operation, Service
from homeport.services.servicediscovery.ports import Vpcs
from homeport.services.servicediscovery.repo.registry import Registry
from homeport.store.base import Store
from homeport.store.tx import Tx

ops = Operations("servicediscovery")

Request = Mapping[str, Any]
Answer = dict[str, Any]

PAGE = 100
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDiscovery:
    """The service's parts, built by `app`. Without `vpcs` there are no private namespaces."""

    store: Store
    clock: Clock
    ids: Ids
    pages: Pages
    vpcs: Vpcs | None = None


def fresh(ids: Ids, count: int) -> str:
    """So many lower-case letters and digits."""
    return "".join(_LETTERS[byte % 32] for byte in ids.token(count))


def registry(tx: Tx, call: Call) -> Registry:
    """The names of the caller's account and region."""
    return Registry(tx, call.account_id, call.region)


def _arn(call: Call, kind: str, given: str) -> str:
    if given.startswith("arn:"):
        return given
    return f"arn:aws:servicediscovery:{call.region}:{call.account_id}:{kind}/{given}"


def namespace_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the namespace that a request is about."""
    return (_arn(call, "namespace", request["Id"]),)


def parent_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the namespace that a service is made in."""
    given = request.get("NamespaceId") or (request.get("DnsConfig") or {}).get("NamespaceId") or "*"
    return (_arn(call, "namespace", given),)


def service_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the service that a request is about."""
    return (_arn(call, "service", request["ServiceId"] if "ServiceId" in request else request["Id"]),)


def tagged_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: what is tagged."""
    del call
    given = request["ResourceARN"]
    return (given if given.startswith("arn:") else "*",)


def own_id(call: Call, kind: str, given: str) -> str:
    """The id in an id or an ARN; empty where the ARN is of something else, or of somebody else."""
    if not given.startswith("arn:"):
        return given
    head = f"arn:aws:servicediscovery:{call.region}:{call.account_id}:{kind}/"
    return given.removeprefix(head) if given.startswith(head) else ""


def find_namespace(tx: Tx, call: Call, given: str) -> Namespace:
    """The namespace of an id or ARN. Raise `NamespaceNotFound`."""
    found = registry(tx, call).namespace(own_id(call, "namespace", given))
    if found is None:
        raise NamespaceNotFound(f"Namespace {given} does not exist.")
    return found


def find_service(tx: Tx, call: Call, given: str) -> Service:
    """The service of an id or ARN. Raise `ServiceNotFound`."""
    found = registry(tx, call).service(own_id(call, "service", given))
    if found is None:
        raise ServiceNotFound(f"Service {given} does not exist.")
    return found


def done(tx: Tx, call: Call, sd: ServiceDiscovery, kind: str, **targets: str) -> Answer:
    """Write down an operation, which is over by then; the answer that names it."""
    operation = Operation(
        account_id=call.account_id,
        region=call.region,
        operation_id=f"{fresh(sd.ids, 32)}-{fresh(sd.ids, 8)}",
        type=kind,
        targets=targets,
        created_at=sd.clock.now(),
    )
    return {"OperationId": registry(tx, call).add_operation(operation).operation_id}


def check_owner(call: Call, request: Request) -> None:
    """Raise for another account's namespaces: nothing is shared here."""
    if request.get("OwnerAccount") not in (None, call.account_id):
        raise InvalidInput("OwnerAccount: namespaces of other accounts are not shared by Homeport.")


def paged(sd: ServiceDiscovery, call: Call, request: Request, rows: Sequence[Any]) -> tuple[Any, Answer]:
    """One page of `rows`, and the token of the next as a member of the answer. Raise `InvalidInput`."""
    refusal = InvalidInput("The NextToken is not valid for this request.")
    paging = paging_of(sd.pages, call, request, ("NextToken", "MaxResults"), refusal)
    shown, more = paging.cut(rows, request.get("MaxResults") or PAGE)
    return shown, {"NextToken": more} if more else {}
