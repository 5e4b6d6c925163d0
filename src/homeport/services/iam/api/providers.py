"""OpenID Connect providers: issuers whose tokens prove web identities."""

from __future__ import annotations

import re

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.iam.api.context import Answer, Iam, Request, arn_in, find_provider, ops
from homeport.services.iam.errors import (
    EntityAlreadyExistsException,
    InvalidInputException,
    LimitExceededException,
    NoSuchEntityException,
    ValidationError,
)
from homeport.services.iam.model import Kind, OidcProvider
from homeport.services.iam.plan.quotas import CLIENT_IDS, PER_ACCOUNT, THUMBPRINTS
from homeport.services.iam.plan.tagging import tagged
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.view import tags_view
from homeport.store.tx import Tx

_SCHEME = "https://"
_HEX = re.compile(r"[0-9A-Fa-f]{40}")
_provider = arn_in("OpenIDConnectProviderArn")


def _new_provider(call: Call, request: Request) -> tuple[str, ...]:
    name = str(request.get("Url") or "*").removeprefix(_SCHEME).rstrip("/")
    return (f"arn:aws:iam::{call.account_id}:oidc-provider/{name}",)


def _name(url: str) -> str:
    """An issuer's URL without its scheme. Source: CreateOpenIDConnectProvider, Url."""
    if not url.startswith(_SCHEME) or "?" in url or "#" in url or not url.removeprefix(_SCHEME):
        raise ValidationError("Invalid Open ID Connect Provider URL")
    return url.removeprefix(_SCHEME).rstrip("/")


def _thumbprints(asked: list[str]) -> tuple[str, ...]:
    if len(asked) > THUMBPRINTS:
        raise InvalidInputException("Thumbprint list must contain fewer than 5 entries.")
    for one in asked:
        if not _HEX.fullmatch(one):
            raise InvalidInputException(f"A thumbprint is 40 hexadecimal digits, not {one}.")
    return tuple(one.lower() for one in asked)


def _client_ids(asked: tuple[str, ...]) -> tuple[str, ...]:
    if len(asked) > CLIENT_IDS:
        raise LimitExceededException(
            f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS}"
        )
    return asked


@ops.operation("CreateOpenIDConnectProvider", resources=_new_provider, tagging="iam:TagOpenIDConnectProvider")
async def create_open_id_connect_provider(call: Call, iam: Iam, req: Request) -> Answer:
    """Trust an issuer. Its certificate's thumbprint must be said: Homeport does not go and look for it."""
    name = _name(req["Url"])
    if not req.get("ThumbprintList"):
        raise InvalidInputException("ThumbprintList must be given: Homeport does not fetch certificates.")
    fresh = OidcProvider(
        account_id=call.account_id,
        name=name,
        created_at=iam.clock.now(),
        client_ids=_client_ids(tuple(dict.fromkeys(req.get("ClientIDList", [])))),
        thumbprints=_thumbprints(req["ThumbprintList"]),
        tags=tagged(Kind.OIDC_PROVIDER, {}, req.get("Tags", [])),
    )

    def work(tx: Tx) -> None:
        repo = EntityRepo(tx)
        if repo.find(OidcProvider, call.account_id, name) is not None:
            raise EntityAlreadyExistsException(f"Provider with url {_SCHEME}{name} already exists.")
        quota, most = PER_ACCOUNT[Kind.OIDC_PROVIDER]
        if repo.counts(call.account_id).get(Kind.OIDC_PROVIDER, 0) >= most:
            raise LimitExceededException(f"Cannot exceed quota for {quota}: {most}")
        repo.add(fresh)

    await iam.store.write(work)
    return {
        "OpenIDConnectProviderArn": fresh.arn,
        **({"Tags": tags_view(fresh.tags)} if fresh.tags else {}),
    }


@ops.operation("GetOpenIDConnectProvider", resources=_provider)
async def get_open_id_connect_provider(call: Call, iam: Iam, req: Request) -> Answer:
    """An issuer; its URL is shown without the scheme, as IAM does."""
    found = await iam.store.read(lambda tx: find_provider(tx, call, req["OpenIDConnectProviderArn"]))
    return {
        "Url": found.name,
        "ClientIDList": list(found.client_ids),
        "ThumbprintList": list(found.thumbprints),
        "CreateDate": found.created_at,
        "Tags": tags_view(found.tags),
    }


@ops.operation("ListOpenIDConnectProviders")
async def list_open_id_connect_providers(call: Call, iam: Iam, req: Request) -> Answer:
    """All issuers, at once."""
    del req
    found = await iam.store.read(lambda tx: EntityRepo(tx).page(OidcProvider, call.account_id))
    return {"OpenIDConnectProviderList": [{"Arn": one.arn} for one in found]}


@ops.operation("DeleteOpenIDConnectProvider", resources=_provider)
async def delete_open_id_connect_provider(call: Call, iam: Iam, req: Request) -> Answer:
    """Trust an issuer no more. Though IAM's reference says so, a second time is an error.

    Source: answers recorded by LocalStack.
    """
    arn = req["OpenIDConnectProviderArn"]

    def work(tx: Tx) -> None:
        try:
            found = find_provider(tx, call, arn)
        except NoSuchEntityException:
            raise NoSuchEntityException(f"OpenId connect Provider {arn} cannot be found.") from None
        EntityRepo(tx).delete(found)

    await iam.store.write(work)
    return {}


@ops.operation("AddClientIDToOpenIDConnectProvider", resources=_provider)
async def add_client_id(call: Call, iam: Iam, req: Request) -> Answer:
    """Accept tokens for one audience more."""

    def work(tx: Tx) -> None:
        found = find_provider(tx, call, req["OpenIDConnectProviderArn"])
        ids = tuple(dict.fromkeys((*found.client_ids, req["ClientID"])))
        EntityRepo(tx).save(replace(found, client_ids=_client_ids(ids)))

    await iam.store.write(work)
    return {}


@ops.operation("RemoveClientIDFromOpenIDConnectProvider", resources=_provider)
async def remove_client_id(call: Call, iam: Iam, req: Request) -> Answer:
    """Accept tokens for an audience no more."""

    def work(tx: Tx) -> None:
        found = find_provider(tx, call, req["OpenIDConnectProviderArn"])
        kept = tuple(one for one in found.client_ids if one != req["ClientID"])
        EntityRepo(tx).save(replace(found, client_ids=kept))

    await iam.store.write(work)
    return {}


@ops.operation("UpdateOpenIDConnectProviderThumbprint", resources=_provider)
async def update_thumbprint(call: Call, iam: Iam, req: Request) -> Answer:
    """Say all thumbprints anew."""
    thumbprints = _thumbprints(req["ThumbprintList"])

    def work(tx: Tx) -> None:
        found = find_provider(tx, call, req["OpenIDConnectProviderArn"])
        EntityRepo(tx).save(replace(found, thumbprints=thumbprints))

    await iam.store.write(work)
    return {}
