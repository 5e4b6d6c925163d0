"""Listings of parameters. Source: Systems Manager API Reference."""

from __future__ import annotations

from collections.abc import Sequence

from homeport.core.call import Call
from homeport.services.ssm.api.context import (
    Answer,
    Request,
    Ssm,
    every_resource,
    find,
    metadata_view,
    one_resource,
    ops,
    paging,
    parameter_view,
    repo_of,
    resource_of,
    shown_value,
)
from homeport.services.ssm.errors import ValidationException
from homeport.services.ssm.model import Parameter, ParameterVersion
from homeport.services.ssm.plan.filters import Test, by_path_tests, described_tests, is_below
from homeport.store.tx import Tx

_BATCH = 200
BY_PATH_MOST = 10
DESCRIBED_MOST = 50

Found = list[tuple[Parameter, ParameterVersion]]


def _listed(tx: Tx, call: Call, tests: Sequence[Test], *, below: str, after: str, limit: int) -> Found:
    """So many parameters by name, with their newest versions, that pass every test."""
    repo, found = repo_of(tx, call), Found()
    while len(found) < limit:
        batch = repo.page(below=below, after=after, limit=_BATCH)
        newest = repo.latest(batch)
        found += [(p, newest[p.id]) for p in batch if all(test(p, newest[p.id]) for test in tests)]
        if len(batch) < _BATCH:
            break
        after = batch[-1].name
    return found[:limit]


def _path_resource(call: Call, request: Request) -> tuple[str, ...]:
    return (resource_of(call, request["Path"].rstrip("/") or "/"),)


@ops.operation("GetParametersByPath", resources=_path_resource)
async def get_parameters_by_path(call: Call, ssm: Ssm, req: Request) -> Answer:
    """The parameters of a hierarchy with their values, ten a page."""
    path, recursive = req["Path"], req.get("Recursive", False)
    if not path.startswith("/"):
        raise ValidationException(
            "The parameter doesn't meet the parameter name requirements. The parameter name must begin with "
            'a forward slash "/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive).'
        )
    tests = by_path_tests(req.get("ParameterFilters") or ())
    inside: Test = lambda parameter, _: is_below(parameter.name, path, recursive=recursive)  # noqa: E731
    limit, pages = req.get("MaxResults", BY_PATH_MOST), paging(ssm, call, req)
    below = "" if path == "/" else path.rstrip("/") + "/"

    def work(tx: Tx) -> Answer:
        found = _listed(tx, call, [inside, *tests], below=below, after=pages.position or "", limit=limit + 1)
        decrypt = req.get("WithDecryption", False)
        shown = [parameter_view(ssm, *one, decrypt=decrypt) for one in found[:limit]]
        more = len(found) > limit
        return {"Parameters": shown} | ({"NextToken": pages.token(shown[-1]["Name"])} if more else {})

    return await ssm.store.read(work)


@ops.operation("DescribeParameters", resources=every_resource)
async def describe_parameters(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Parameters without their values, fifty a page."""
    tests = described_tests(req)
    limit, pages = req.get("MaxResults", DESCRIBED_MOST), paging(ssm, call, req)

    def work(tx: Tx) -> Answer:
        if req.get("Shared"):
            return {"Parameters": []}  # nobody shares parameters with this account
        found = _listed(tx, call, tests, below="", after=pages.position or "", limit=limit + 1)
        shown = [metadata_view(*one) | {"ARN": one[0].arn} for one in found[:limit]]
        more = len(found) > limit
        return {"Parameters": shown} | ({"NextToken": pages.token(shown[-1]["Name"])} if more else {})

    return await ssm.store.read(work)


@ops.operation("GetParameterHistory", resources=one_resource)
async def get_parameter_history(call: Call, ssm: Ssm, req: Request) -> Answer:
    """All versions of a parameter that are kept, oldest first, with their values."""
    limit, pages = req.get("MaxResults", DESCRIBED_MOST), paging(ssm, call, req)
    after = pages.position or 0
    decrypt = req.get("WithDecryption", False)

    def work(tx: Tx) -> Answer:
        parameter = find(tx, call, req["Name"])
        kept = [version for version in repo_of(tx, call).versions(parameter) if version.number > after]
        shown = [
            metadata_view(parameter, version)
            | {
                "Value": shown_value(ssm, parameter, version, decrypt=decrypt),
                "Labels": list(version.labels),
            }
            for version in kept[:limit]
        ]
        more = len(kept) > limit
        return {"Parameters": shown} | ({"NextToken": pages.token(kept[limit - 1].number)} if more else {})

    return await ssm.store.read(work)
