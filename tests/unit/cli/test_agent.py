"""How `homeport agent` introduces itself."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from homeport.cli.agent import check_fargate, introduce
from homeport.cli.output import CliError
from tests.kit.aws_http import fake_aws

UNKNOWN = (
    "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>The security token included in the "
    "request is invalid.</Message></Error></ErrorResponse>"
)


def test_a_key_that_is_known_there_needs_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_aws(GetCallerIdentity=(200, "<R/>")) as aws:
        introduce(aws.connection)
    assert [asked.service for asked in aws.asked] == ["sts"]
    assert capsys.readouterr().err == ""


def test_a_key_that_is_not_known_there_is_told_at_once() -> None:
    with fake_aws(GetCallerIdentity=(403, UNKNOWN)) as aws, pytest.raises(CliError) as refused:
        introduce(aws.connection)
    assert "InvalidClientTokenId" in refused.value.message
    assert "node add" in refused.value.remedy


def test_an_endpoint_without_sts_may_still_be_one_of_ecs(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_aws(GetCallerIdentity=(404, "nothing here")) as aws:
        introduce(aws.connection)
    assert capsys.readouterr().err == ""


def test_where_nothing_answers_yet_the_agent_is_patient_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with fake_aws() as aws, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        nowhere = replace(aws.connection, endpoint=f"http://127.0.0.1:{port}")
        server.close()
        introduce(nowhere)
    assert "trying on" in capsys.readouterr().err


def test_fargates_tasks_run_where_their_vpc_is_and_by_root_alone() -> None:
    check_fargate("http://127.0.0.1:4566", {}, is_root=True)
    cases = (
        ({"endpoint": "http://10.0.0.1:4566"}, "not on this machine"),
        ({"is_root": False}, "sudo"),
        ({"attributes": {"a": "b"}}, "--attribute"),
    )
    for changes, text in cases:
        asked = {"endpoint": "http://127.0.0.1:4566", "attributes": {}, "is_root": True, **changes}
        with pytest.raises(CliError) as refused:
            check_fargate(asked["endpoint"], asked["attributes"], is_root=asked["is_root"])  # type: ignore[arg-type]
        assert text in f"{refused.value.message} {refused.value.remedy}"
