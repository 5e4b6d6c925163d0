"""A live server with EC2 mounted beside the other services, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.store import open_store
from tests.kit.ec2 import mount_ec2
from tests.kit.server import Live, live_server
from tests.kit.stores import fresh_database


@pytest.fixture(scope="module", params=["memory", pytest.param("postgresql", marks=pytest.mark.postgres)])
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    if request.param == "memory":
        with live_server(mount=mount_ec2) as server:
            yield server
        return
    url = asyncio.run(fresh_database(request.getfixturevalue("postgres_cluster")))
    with live_server(lambda: open_store(url), mount=mount_ec2) as server:
        yield server


@pytest.fixture(scope="module")
def ec2(live: Live) -> Any:
    return live.client("ec2")


@pytest.fixture
def region(live: Live) -> Callable[[str], Any]:
    """A client of a region of one's own, where nothing is but the default network."""
    return lambda name: live.client("ec2", region_name=name)


def refused(work: Callable[[], Any]) -> tuple[str, str]:
    """The code and the text of a refusal."""
    with pytest.raises(ClientError) as caught:
        work()
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def code(work: Callable[[], Any]) -> str:
    return refused(work)[0]


def by_tag(**tags: str) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]


def filters(**values: str | list[str]) -> list[dict[str, Any]]:
    return [
        {"Name": name.replace("_", "-"), "Values": [value] if isinstance(value, str) else value}
        for name, value in values.items()
    ]


def named(kind: str, **tags: str) -> list[dict[str, Any]]:
    """TagSpecifications."""
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
