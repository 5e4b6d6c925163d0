"""What EC2's handlers are given, and what most of them begin with."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import KeysOf, NeedsOf, Operations, ResourcesOf, any_resource
from homeport.core.pages import Pages, paging_of
from homeport.services.ec2.api.access import named, request_keys
from homeport.services.ec2.errors import Ec2Error, clashing, dry_run, invalid, unsupported
from homeport.services.ec2.model import Resource
from homeport.services.ec2.plan.filters import Fields, predicate
from homeport.services.ec2.ports import Ground, Instances, NoInstances, OpenGround
from homeport.services.ec2.repo.networks import Ranges, open_account
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.repo.tokens import TokenRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

T = TypeVar("T")
R = TypeVar("R", bound=Resource)
Request = Mapping[str, Any]
Answer = dict[str, Any]

RESULTS_MIN, RESULTS_MAX = 5, 1000
"""Of one page. Source: API Reference, MaxResults of most Describe operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ec2:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids
    pages: Pages
    instances: Instances = field(default_factory=NoInstances)
    ground: Ground = field(default_factory=OpenGround)


Handler = Callable[[Call, Ec2, Request], Awaitable[Answer]]
ops = Operations("ec2", keys=request_keys)
READS: dict[str, frozenset[str]] = {}
"""The members that each operation takes; every other one is refused by its name."""


def serve(
    name: str,
    *reads: str,
    resources: ResourcesOf = any_resource,
    needs: NeedsOf | None = None,
    keys: KeysOf | None = None,
) -> Callable[[Handler], Handler]:
    """Register a handler that reads these members, DryRun besides.

    Others are refused unless they are empty or false.
    """
    known = READS[name] = frozenset(reads) | {"DryRun"}

    def register(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def checked(call: Call, ec2: Ec2, req: Request) -> Answer:
            only(req, known)
            return await handler(call, ec2, req)

        about = named(reads) if needs is not None else None
        return ops.operation(name, resources=resources, needs=needs, keys=keys, about=about)(checked)

    return register


def only(given: Request, known: Iterable[str], where: str = "") -> None:
    """Raise for a member that nobody here reads, unless it says nothing."""
    for name, value in given.items():
        if name not in known and value not in (False, None, [], {}, ""):
            raise unsupported(f"The parameter {where}{name}")


_CLOSED = object()


async def look(call: Call, ec2: Ec2, req: Request, work: Callable[[Shelf], T]) -> T:
    """Read in the caller's account and region, whose default network is there from the first look on."""

    def run(tx: Tx) -> Any:
        shelf = Shelf(tx, call.account_id, call.region)
        if not shelf.is_open():
            return _CLOSED
        answer = work(shelf)
        check_dry_run(req)
        return answer

    answer = await ec2.store.read(run)
    if answer is _CLOSED:
        await open_here(ec2, call.account_id, call.region)
        answer = await ec2.store.read(run)
    found: T = answer
    return found


async def change(call: Call, ec2: Ec2, req: Request, work: Callable[[Shelf], T]) -> T:
    """Write there. With DryRun all is done, and undone again: it succeeds exactly when the request would."""

    def run(tx: Tx) -> Any:
        shelf = Shelf(tx, call.account_id, call.region)
        if not shelf.is_open():
            return _CLOSED
        answer = work(shelf)
        check_dry_run(req)
        return answer

    answer = await ec2.store.write(run)
    if answer is _CLOSED:
        await open_here(ec2, call.account_id, call.region)
        answer = await ec2.store.write(run)
    made: T = answer
    return made


async def ranges(ec2: Ec2, account_id: str, region: str) -> Ranges:
    """What is known now of the ranges on this machine."""
    ground = ec2.ground
    return Ranges(
        home=ground.home(account_id, region), kept=tuple(ground.kept()), routed=tuple(await ground.routed())
    )


async def open_here(ec2: Ec2, account_id: str, region: str) -> None:
    """Give an account its default network in a region, unless it has or had it."""
    found = await ranges(ec2, account_id, region)
    await ec2.store.write(lambda tx: open_account(Shelf(tx, account_id, region), ec2.ids, found))


def check_dry_run(req: Request) -> None:
    """Raise when nothing was to be done."""
    if req.get("DryRun"):
        raise dry_run()


def once(call: Call, ec2: Ec2, req: Request, shelf: Shelf, make: Callable[[], R], kind: type[R]) -> R:
    """What `make` makes; for a client token that was used before, what it made then."""
    token = req.get("ClientToken", "")
    if not token:
        return make()
    if len(token) > 64 or not token.isascii():
        raise invalid("A client token has at most 64 ASCII characters.")
    asked = {name: value for name, value in req.items() if name not in ("ClientToken", "DryRun")}
    said = json.dumps([call.operation, asked], sort_keys=True, default=str)
    digest = hashlib.sha256(said.encode()).hexdigest()
    tokens = TokenRepo(shelf)
    if (before := tokens.made(token, digest)) is not None:
        return shelf.get(kind, before)
    made = make()
    tokens.remember(token, digest, made.resource_id, ec2.clock.now())
    return made


def chosen(
    shelf: Shelf, kind: type[R], ids: Sequence[str] | None, req: Request, fields: Fields[R]
) -> list[R]:
    """What a listing is of: these ids or all, as far as the filters let them through."""
    check_paging(req, has_ids=bool(ids))
    passes = predicate(req.get("Filters"), fields, tags=lambda one: one.tags)
    found = shelf.get_all(kind, ids) if ids else shelf.all(kind)
    return [one for one in found if passes(one)]


def check_paging(req: Request, *, has_ids: bool, least: int = RESULTS_MIN) -> None:
    """Raise for a page's size that cannot be."""
    size = req.get("MaxResults")
    if size is None:
        return
    if has_ids:
        raise clashing("The parameter MaxResults cannot be used with a list of ids in the same call.")
    if size < least:
        raise invalid(
            f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than {least}."
        )
    if size > RESULTS_MAX:
        raise invalid(
            f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value less than "
            f"{RESULTS_MAX}."
        )


def page(
    call: Call, ec2: Ec2, req: Request, found: Sequence[T], position: Callable[[T], int | str]
) -> tuple[Sequence[T], Answer]:
    """One page, and the member that continues behind it. `found` is in the order of `position`."""
    size = req.get("MaxResults") or RESULTS_MAX
    refusal = Ec2Error("InvalidNextToken", "The token is not valid.")
    paging = paging_of(ec2.pages, call, req, ("NextToken", "MaxResults"), refusal)
    if paging.position is not None:
        found = [one for one in found if position(one) > paging.position]
    if len(found) <= size:
        return found, {}
    return found[:size], {"NextToken": paging.token(position(found[size - 1]))}


def age(one: Resource) -> int:
    """The position of a resource in a listing."""
    return one.id
