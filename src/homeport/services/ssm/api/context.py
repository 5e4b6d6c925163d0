"""What Parameter Store's handlers are given, and what most of them begin with."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.operations import Operations
from homeport.core.pages import Pages, Paging, paging_of
from homeport.services.ssm.errors import (
    InternalServerError,
    InvalidNextToken,
    ParameterNotFound,
    ParameterVersionNotFound,
)
from homeport.services.ssm.model import Parameter, ParameterVersion
from homeport.services.ssm.plan.names import Reference, reference, spellings
from homeport.services.ssm.repo.parameters import ParameterRepo
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault, VaultError

ops = Operations("ssm")

Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssm:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    pages: Pages
    vault: Vault


def repo_of(tx: Tx, call: Call) -> ParameterRepo:
    """The parameters of the caller's account and region."""
    return ParameterRepo(tx, call.account_id, call.region)


def about(parameter: Parameter, number: int) -> str:
    """What a sealed value belongs to."""
    return f"ssm/{parameter.account_id}/{parameter.region}/{parameter.name}/{number}"


def shown_value(ssm: Ssm, parameter: Parameter, version: ParameterVersion, *, decrypt: bool) -> str:
    """The value; of a SecureString only on request, else its ciphertext."""
    if parameter.type != "SecureString":
        return version.value
    if not decrypt:
        return base64.b64encode(version.sealed).decode()
    try:
        return ssm.vault.open(version.sealed, about=about(parameter, version.number)).decode()
    except VaultError as error:
        raise InternalServerError(f"{parameter.name} cannot be decrypted: {error}.") from None


def resource_of(call: Call, name: str) -> str:
    """IAM: the ARN of the parameter that a name, an ARN or either with a selector means."""
    found = reference(name, account_id=call.account_id, region=call.region)
    if found is None:
        return name if name.startswith("arn:") else "*"
    return f"arn:aws:ssm:{call.region}:{call.account_id}:parameter/{found.name.removeprefix('/')}"


def one_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the parameter that a request names."""
    return (resource_of(call, request["Name"]),)


def many_resources(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the parameters that a request names."""
    return tuple(resource_of(call, name) for name in request["Names"])


def every_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: all parameters, for listings. Source: service authorization reference, DescribeParameters."""
    del request
    return (f"arn:aws:ssm:{call.region}:{call.account_id}:*",)


def look_up(tx: Tx, call: Call, text: str) -> tuple[Parameter, Reference] | None:
    """The parameter that a name, ARN or either with a selector means."""
    meant = reference(text, account_id=call.account_id, region=call.region)
    if meant is None:
        return None
    repo = repo_of(tx, call)
    names = spellings(meant, by_arn=text.startswith("arn:"))
    found = next((found for name in names if (found := repo.find(name)) is not None), None)
    return None if found is None else (found, meant)


def find(tx: Tx, call: Call, text: str) -> Parameter:
    """The parameter, whatever its version. Raise `ParameterNotFound`."""
    found = look_up(tx, call, text)
    if found is None:
        raise ParameterNotFound(f"Parameter {text} not found.")
    return found[0]


def version_of(tx: Tx, call: Call, parameter: Parameter, meant: Reference) -> ParameterVersion:
    """The version that is meant, the newest by default. Raise `ParameterVersionNotFound`."""
    repo = repo_of(tx, call)
    if meant.label:
        labelled = [v for v in repo.versions(parameter) if meant.label in v.labels]
        found = labelled[0] if labelled else None
    else:
        found = repo.version(parameter, parameter.latest if meant.version is None else meant.version)
    if found is None:
        raise ParameterVersionNotFound(
            f"Systems Manager could not find version {meant.label or meant.version} of {parameter.name}. "
            "Verify the version and try again."
        )
    return found


def parameter_view(
    ssm: Ssm, parameter: Parameter, version: ParameterVersion, *, decrypt: bool, selector: str = ""
) -> Answer:
    """A parameter with its value."""
    view: Answer = {
        "Name": parameter.name,
        "Type": parameter.type,
        "Value": shown_value(ssm, parameter, version, decrypt=decrypt),
        "Version": version.number,
        "LastModifiedDate": version.modified_at,
        "ARN": parameter.arn,
        "DataType": version.data_type,
    }
    return view | {"Selector": selector} if selector else view


def metadata_view(parameter: Parameter, version: ParameterVersion) -> Answer:
    """A version without its value."""
    view: Answer = {
        "Name": parameter.name,
        "Type": parameter.type,
        "LastModifiedDate": version.modified_at,
        "LastModifiedUser": version.modified_by,
        "Version": version.number,
        "Tier": version.tier,
        "Policies": [],
        "DataType": version.data_type,
    }
    for member, value in (
        ("KeyId", version.key_id),
        ("Description", version.description),
        ("AllowedPattern", version.allowed_pattern),
    ):
        if value:
            view[member] = value
    return view


def paging(ssm: Ssm, call: Call, request: Request) -> Paging:
    """How a listing goes on. Raise `InvalidNextToken`."""
    refusal = InvalidNextToken("The specified token isn't valid.")
    return paging_of(ssm.pages, call, request, ("NextToken", "MaxResults"), refusal)
