"""IAM and STS as far as machines need them: users, keys, sessions; listed in pages like everything else."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.services.iam.manifest import ADMINISTRATOR_POLICY_ARN, AGENT_POLICY_ARN
from tests.kit.server import Live


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    client = live.client("iam")
    for name in ("ann", "bob", "cleo"):
        client.create_user(UserName=name)
    for _ in range(2):
        client.create_access_key(UserName="ann")
    for arn in (ADMINISTRATOR_POLICY_ARN, AGENT_POLICY_ARN):
        client.attach_user_policy(UserName="ann", PolicyArn=arn)
    return client


@pytest.mark.parametrize(
    ("operation", "member", "request_"),
    [
        ("list_users", "Users", {}),
        ("list_access_keys", "AccessKeyMetadata", {"UserName": "ann"}),
        ("list_attached_user_policies", "AttachedPolicies", {"UserName": "ann"}),
    ],
)
def test_a_listing_in_pages_of_one_holds_everything_once(
    iam: Any, operation: str, member: str, request_: dict[str, Any]
) -> None:
    whole = getattr(iam, operation)(**request_)
    assert not whole["IsTruncated"]
    pages = list(iam.get_paginator(operation).paginate(**request_, PaginationConfig={"PageSize": 1}))
    assert [item for page in pages for item in page[member]] == whole[member]
    assert len(pages) == len(whole[member])
    if "UserName" in request_:
        with pytest.raises(ClientError, match="Invalid Marker"):
            getattr(iam, operation)(**request_, Marker="nowhere")


def test_a_user_has_at_most_two_keys_and_goes_last(iam: Any) -> None:
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.create_access_key(UserName="ann")
    with pytest.raises(iam.exceptions.DeleteConflictException, match="delete access keys first"):
        iam.delete_user(UserName="ann")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName="nobody")
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName="bob")
    iam.delete_user(UserName="bob")
    assert "bob" not in {user["UserName"] for user in iam.list_users()["Users"]}


@pytest.mark.parametrize(("least", "length"), [(None, 128), (0, 128), (1000, 1000), (4096, 4096)])
def test_a_session_token_is_as_long_as_asked(live: Live, least: int | None, length: int) -> None:
    """Source: botocore sts, GetSessionTokenRequest.MinimumSessionTokenSize."""
    asked = {} if least is None else {"MinimumSessionTokenSize": least}
    found = live.client("sts").get_session_token(DurationSeconds=900, **asked)["Credentials"]
    assert length <= len(found["SessionToken"]) <= length + 8
    session = live.client(
        "sts",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )
    assert session.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
