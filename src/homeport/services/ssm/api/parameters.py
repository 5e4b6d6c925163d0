"""Parameters: written, read, deleted. Source: Systems Manager API Reference."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ssm.api.context import (
    Answer,
    Request,
    Ssm,
    about,
    find,
    look_up,
    many_resources,
    one_resource,
    ops,
    parameter_view,
    repo_of,
    version_of,
)
from homeport.services.ssm.errors import (
    ParameterAlreadyExists,
    ParameterMaxVersionLimitExceeded,
    ParameterNotFound,
    ParameterVersionNotFound,
    TooManyTagsError,
)
from homeport.services.ssm.model import Parameter, ParameterVersion
from homeport.services.ssm.plan.names import check_name
from homeport.services.ssm.plan.values import DEFAULT_KEY, TAGS_MAX, check_put, tags_of, tier_of
from homeport.services.ssm.repo.parameters import ParameterRepo
from homeport.store.tx import Tx

VERSIONS_MAX = 100


@ops.operation("PutParameter", resources=one_resource, tagging="ssm:AddTagsToResource")
async def put_parameter(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Create a parameter, or give it another version."""
    check_name(req["Name"], account_id=call.account_id, region=call.region)

    def work(tx: Tx) -> Answer:
        repo = repo_of(tx, call)
        old = repo.find(req["Name"])
        if old is not None and not req.get("Overwrite"):
            raise ParameterAlreadyExists(
                "The parameter already exists. To overwrite this value, set the overwrite option in the "
                "request to true."
            )
        kind, tier = check_put(req, old), tier_of(req, old)
        tags = tags_of(req.get("Tags"))
        if len(tags) > TAGS_MAX:
            raise TooManyTagsError(f"A parameter has at most {TAGS_MAX} tags.")
        parameter = msgspec.structs.replace(
            old
            or Parameter(
                account_id=call.account_id,
                region=call.region,
                name=req["Name"],
                type=kind,
                latest=0,
                tags=tags,
            ),
            tier=tier,
        )
        parameter = msgspec.structs.replace(parameter, latest=parameter.latest + 1)
        before = None if old is None else repo.version(old, old.latest)
        version = _version(call, ssm, req, parameter, before)
        if old is None:
            repo.add(parameter, version)
        else:
            _make_room(repo, old)
            repo.add_version(repo.save(parameter), version)
        return {"Version": version.number, "Tier": tier}

    return await ssm.store.write(work)


def _version(
    call: Call, ssm: Ssm, req: Request, parameter: Parameter, before: ParameterVersion | None
) -> ParameterVersion:
    secret = parameter.type == "SecureString"
    value = req["Value"]
    sealed = ssm.vault.seal(value.encode(), about=about(parameter, parameter.latest)) if secret else b""
    return ParameterVersion(
        number=parameter.latest,
        value="" if secret else value,
        sealed=sealed,
        key_id=DEFAULT_KEY if secret else "",
        description=req.get("Description", before.description if before is not None else ""),
        allowed_pattern=req.get("AllowedPattern", ""),
        tier=parameter.tier,
        modified_at=ssm.clock.now(),
        modified_by=call.principal.arn,
    )


def _make_room(repo: ParameterRepo, parameter: Parameter) -> None:
    """A hundred versions are kept: the oldest goes, unless it has a label."""
    kept = repo.versions(parameter)
    if len(kept) < VERSIONS_MAX:
        return
    if kept[0].labels:
        raise ParameterMaxVersionLimitExceeded(
            f"You attempted to create a new version of {parameter.name} by calling the PutParameter API with "
            f"the overwrite flag. Version {kept[0].number}, the oldest version, can't be deleted because it "
            "has a label associated with it. Move the label to another version of the parameter, and try "
            "again."
        )
    repo.drop_version(parameter, kept[0].number)


@ops.operation("GetParameter", resources=one_resource)
async def get_parameter(call: Call, ssm: Ssm, req: Request) -> Answer:
    """A parameter with its value, the newest or the one that the name selects."""
    return {"Parameter": await ssm.store.read(lambda tx: _shown(tx, call, ssm, req, req["Name"]))}


def _shown(tx: Tx, call: Call, ssm: Ssm, req: Request, name: str) -> Answer:
    found = look_up(tx, call, name)
    if found is None:
        raise ParameterNotFound(f"Parameter {name} not found.")
    parameter, meant = found
    return parameter_view(
        ssm,
        parameter,
        version_of(tx, call, parameter, meant),
        decrypt=req.get("WithDecryption", False),
        selector=meant.selector,
    )


@ops.operation("GetParameters", resources=many_resources)
async def get_parameters(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Up to ten parameters with their values; the names that lead nowhere beside them."""

    def work(tx: Tx) -> Answer:
        shown, invalid = [], []
        for name in dict.fromkeys(req["Names"]):
            try:
                shown.append(_shown(tx, call, ssm, req, name))
            except (ParameterNotFound, ParameterVersionNotFound):
                invalid.append(name)
        return {"Parameters": shown, "InvalidParameters": invalid}

    return await ssm.store.read(work)


@ops.operation("DeleteParameter", resources=one_resource)
async def delete_parameter(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Delete a parameter with all its versions."""
    await ssm.store.write(lambda tx: repo_of(tx, call).delete(find(tx, call, req["Name"])))
    return {}


@ops.operation("DeleteParameters", resources=many_resources)
async def delete_parameters(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Delete up to ten parameters; the names that lead nowhere are told."""

    def work(tx: Tx) -> Answer:
        deleted, invalid = [], []
        for name in dict.fromkeys(req["Names"]):
            found = look_up(tx, call, name)
            if found is None:
                invalid.append(name)
            else:
                repo_of(tx, call).delete(found[0])
                deleted.append(name)
        return {"DeletedParameters": deleted, "InvalidParameters": invalid}

    return await ssm.store.write(work)
