"""Certificates: imported, shown, listed, deleted."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.core.ids import uuid
from homeport.core.pages import paging_of
from homeport.services.acm.api.context import (
    ADD_TAGS,
    CERTIFICATES_MAX,
    Acm,
    Answer,
    Request,
    about,
    certificate_resource,
    find,
    ops,
    repo_of,
)
from homeport.services.acm.errors import (
    InvalidArgsException,
    InvalidParameterException,
    LimitExceededException,
    ResourceInUseException,
    ValidationException,
)
from homeport.services.acm.model import IMPORTED, Certificate
from homeport.services.acm.plan.importing import brought, check_replaces
from homeport.services.acm.plan.listing import listed
from homeport.services.acm.plan.tags import tags_of
from homeport.services.acm.view import detail, summary
from homeport.store.tx import Tx

PAGE = 1000


@ops.operation("ImportCertificate", resources=certificate_resource, tagging=ADD_TAGS)
async def import_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """Keep a certificate with its key, or put it in the place of one that was imported before."""
    now, again = acm.clock.now(), req.get("CertificateArn")
    if again and req.get("Tags"):
        raise InvalidParameterException("Tags cannot be specified when a certificate is imported again.")
    given = brought(req["Certificate"], req["PrivateKey"], req.get("CertificateChain"), now)
    tags, uid = tags_of(req.get("Tags")), uuid(acm.ids)

    def work(tx: Tx) -> str:
        repo = repo_of(tx, call)
        if again:
            held = find(tx, call, again)
            if held.type != IMPORTED:
                raise ValidationException("Only a certificate that was imported can be imported again.")
            check_replaces(held.facts, given.facts)
        else:
            if len(repo.all()) >= CERTIFICATES_MAX:
                raise LimitExceededException(f"An account has at most {CERTIFICATES_MAX} certificates.")
            held = None
        fresh = Certificate(
            account_id=call.account_id,
            region=call.region,
            uid=held.uid if held else uid,
            type=IMPORTED,
            facts=given.facts,
            leaf=given.leaf,
            chain=given.chain,
            sealed_key=b"",
            tags=held.tags if held else tags,
            created_at=held.created_at if held else now,
            provided_at=now,
        )
        sealed = acm.vault.seal(given.key, about=about(fresh.arn))
        fresh = msgspec.structs.replace(fresh, sealed_key=sealed)
        if held is None:
            return repo.add(fresh).arn
        acm.users.tell(tx, call.account_id, call.region, held.arn)
        return repo.save(msgspec.structs.replace(fresh, id=held.id, version=held.version)).arn

    return {"CertificateArn": await acm.store.write(work)}


@ops.operation("DescribeCertificate", resources=certificate_resource)
async def describe_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """What a certificate says of itself, and what uses it."""

    def work(tx: Tx) -> Answer:
        one = find(tx, call, req["CertificateArn"])
        used = acm.users.of(tx, call.account_id, call.region)
        return {"Certificate": detail(one, used.get(one.arn, ()), acm.clock.now())}

    return await acm.store.read(work)


@ops.operation("GetCertificate", resources=certificate_resource)
async def get_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """A certificate and its chain: one that was imported without a chain is its own.

    Clients rely on that member (seen in Ansible's `acm_certificate`, which says so of AWS).
    """
    one = await acm.store.read(lambda tx: find(tx, call, req["CertificateArn"]))
    return {"Certificate": one.leaf, "CertificateChain": one.chain or one.leaf}


@ops.operation("ListCertificates")
async def list_certificates(call: Call, acm: Acm, req: Request) -> Answer:
    """The certificates of the kinds that are asked for, a page at a time."""
    refusal = InvalidArgsException("The NextToken is not valid for this request.")
    paging = paging_of(acm.pages, call, req, ("NextToken", "MaxItems"), refusal)
    now = acm.clock.now()

    def work(tx: Tx) -> Answer:
        used = acm.users.of(tx, call.account_id, call.region)
        found = listed(repo_of(tx, call).all(), req, now)
        shown, more = paging.cut(found, req.get("MaxItems", PAGE))
        answer: Answer = {
            "CertificateSummaryList": [summary(one, used.get(one.arn, ()), now) for one in shown]
        }
        return answer | ({"NextToken": more} if more else {})

    return await acm.store.read(work)


@ops.operation("DeleteCertificate", resources=certificate_resource)
async def delete_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """Remove a certificate that nothing uses."""

    def work(tx: Tx) -> None:
        one = find(tx, call, req["CertificateArn"])
        if used := acm.users.of(tx, call.account_id, call.region).get(one.arn):
            raise ResourceInUseException(f"Certificate {one.arn} is in use by {', '.join(used)}.")
        repo_of(tx, call).delete(one)

    await acm.store.write(work)
    return {}
