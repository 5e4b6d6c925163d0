"""Tags. Source: EC2 API Reference, CreateTags, DeleteTags, DescribeTags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.services.ec2.api.access import kind_of_id, tagged
from homeport.services.ec2.api.context import Answer, Ec2, Request, change, check_paging, look, page, serve
from homeport.services.ec2.errors import Ec2Error, not_found
from homeport.services.ec2.model import InstanceTags, Resource
from homeport.services.ec2.plan.filters import Fields, predicate
from homeport.services.ec2.plan.tags import tags_of
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import tag_views

_FIELDS: Fields[Answer] = {
    "key": lambda one: (one["Key"],),
    "resource-id": lambda one: (one["ResourceId"],),
    "resource-type": lambda one: (one["ResourceType"],),
    "value": lambda one: (one["Value"],),
}


async def _instances(call: Call, ec2: Ec2, ids: Iterable[str]) -> frozenset[str]:
    """The local instances among these ids."""
    if not any(one.startswith("i-") for one in ids):
        return frozenset()
    return frozenset(one.instance_id for one in await ec2.instances.all(call.account_id, call.region))


def _tagged(shelf: Shelf, ids: Iterable[str], instances: frozenset[str]) -> list[Resource]:
    wanted = tuple(dict.fromkeys(ids))
    found = shelf.any_of(wanted)
    for one in wanted:
        kind = kind_of_id(one)
        if kind is None:
            raise Ec2Error("InvalidID", f"The ID '{one}' is not valid")
        if one in found:
            continue
        if kind != "instance" or one not in instances:
            raise not_found(kind, one)
        blank = InstanceTags(account_id=shelf.account_id, region=shelf.region, resource_id=one)
        found[one] = shelf.add(blank)
    return [found[one] for one in wanted]


@serve("CreateTags", "Resources", "Tags", resources=tagged)
async def create_tags(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Tag resources, all of them or none."""
    instances = await _instances(call, ec2, req["Resources"])

    def work(shelf: Shelf) -> None:
        for one in _tagged(shelf, req["Resources"], instances):
            shelf.save(msgspec.structs.replace(one, tags=tags_of(req["Tags"], one.tags)))

    await change(call, ec2, req, work)
    return {}


def _without(tags: Mapping[str, str], given: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A key alone takes its tag away; with a value only if that is the tag's."""
    gone = {
        str(one.get("Key", ""))
        for one in given
        if one.get("Value") is None or tags.get(str(one.get("Key", ""))) == one["Value"]
    }
    return {key: value for key, value in tags.items() if key not in gone}


@serve("DeleteTags", "Resources", "Tags", resources=tagged)
async def delete_tags(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Take tags away; all of them when none is named."""
    instances = await _instances(call, ec2, req["Resources"])

    def work(shelf: Shelf) -> None:
        for one in _tagged(shelf, req["Resources"], instances):
            left = _without(one.tags, req["Tags"]) if req.get("Tags") else {}
            shelf.save(msgspec.structs.replace(one, tags=left))

    await change(call, ec2, req, work)
    return {}


@serve("DescribeTags", "Filters", "NextToken", "MaxResults")
async def describe_tags(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Tags, resource by resource."""
    check_paging(req, has_ids=False)
    passes = predicate(req.get("Filters"), {**_FIELDS, **_by_key(req)})

    def work(shelf: Shelf) -> list[Answer]:
        return [tag for one in shelf.every() for tag in tag_views(one) if passes(tag)]

    found = sorted(await look(call, ec2, req, work), key=_position)
    shown, more = page(call, ec2, req, found, _position)
    return {"Tags": list(shown), **more}


def _by_key(req: Request) -> Fields[Answer]:
    """`tag:KEY`, which DescribeTags takes as well: the tags of that key, by their values."""
    names = [str(one.get("Name", "")) for one in req.get("Filters") or ()]
    return {name: _values_of(name.removeprefix("tag:")) for name in names if name.startswith("tag:")}


def _values_of(key: str) -> Callable[[Answer], Iterable[str]]:
    return lambda tag: (tag["Value"],) if tag["Key"] == key else ()


def _position(tag: Answer) -> str:
    return f"{tag['ResourceId']}\0{tag['Key']}"
