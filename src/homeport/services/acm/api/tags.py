"""Tags of certificates, under the old operations' names and the new ones'."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from homeport.core.call import Call
from homeport.services.acm.api.context import Acm, Answer, Request, certificate_resource, find, ops, repo_of
from homeport.services.acm.model import Certificate
from homeport.services.acm.plan.tags import tags_of, without
from homeport.services.acm.view import tags_view
from homeport.store.tx import Tx


def _arn(req: Request) -> str:
    found: str = req.get("CertificateArn") or req["ResourceArn"]
    return found


async def _change(
    call: Call, acm: Acm, req: Request, change: Callable[[Certificate], dict[str, str]]
) -> Answer:
    def work(tx: Tx) -> None:
        one = find(tx, call, _arn(req))
        repo_of(tx, call).save(msgspec.structs.replace(one, tags=change(one)))

    await acm.store.write(work)
    return {}


@ops.operation("TagResource", resources=certificate_resource)
@ops.operation("AddTagsToCertificate", resources=certificate_resource)
async def add_tags(call: Call, acm: Acm, req: Request) -> Answer:
    """Add tags, or give them other values."""
    return await _change(call, acm, req, lambda one: tags_of(req["Tags"], one.tags))


@ops.operation("RemoveTagsFromCertificate", resources=certificate_resource)
async def remove_tags(call: Call, acm: Acm, req: Request) -> Answer:
    """Remove tags; one that is given with a value only if it has that value."""
    return await _change(call, acm, req, lambda one: without(one.tags, req["Tags"]))


@ops.operation("UntagResource", resources=certificate_resource)
async def untag(call: Call, acm: Acm, req: Request) -> Answer:
    """Remove tags by their keys."""
    keys = [{"Key": key} for key in req["TagKeys"]]
    return await _change(call, acm, req, lambda one: without(one.tags, keys))


@ops.operation("ListTagsForResource", resources=certificate_resource)
@ops.operation("ListTagsForCertificate", resources=certificate_resource)
async def list_tags(call: Call, acm: Acm, req: Request) -> Answer:
    """A certificate's tags."""
    one = await acm.store.read(lambda tx: find(tx, call, _arn(req)))
    return {"Tags": tags_view(one.tags)}
