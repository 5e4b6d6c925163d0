"""Terraform itself, with HashiCorp's AWS provider: applied, read again without a difference, destroyed.

`HOMEPORT_TEST_TERRAFORM_PLUGINS` names a directory with the provider (`terraform providers mirror`); nothing
is fetched, so that without it there is nothing to test.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from homeport.app.connection import read_connection
from homeport.cli.env import variables
from tests.kit.behind_balancer import until
from tests.kit.docker import IMAGE
from tests.kit.up import Up, homeport_up

PLUGINS = os.environ.get("HOMEPORT_TEST_TERRAFORM_PLUGINS", "")
FILES = Path(__file__).parents[1] / "data" / "terraform"
SECONDS = 300
pytestmark = [
    pytest.mark.slow,
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not PLUGINS or shutil.which("terraform") is None, reason="Terraform or its AWS provider is not here"
    ),
]


@dataclass(frozen=True, slots=True)
class Terraform:
    """A configuration in a directory of its own."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *command: str, fine: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            ["terraform", *command, "-no-color", "-input=false"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
            timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode in fine, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def apply(self) -> None:
        """And nothing is left to do then."""
        self("apply", "-auto-approve")
        self("plan", "-detailed-exitcode")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "2") as running:
        yield running


@pytest.fixture
def terraform(up: Up, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terraform]:
    connection = read_connection(up.data_dir)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "CHECKPOINT_DISABLE": "1",
        "TF_VAR_endpoint": connection.endpoint, "TF_VAR_image": IMAGE, **variables(connection),
    }  # fmt: skip
    folder = tmp_path / "configuration"
    shutil.copytree(FILES / request.param, folder)
    shutil.copy(FILES / "provider.tf", folder)
    found = Terraform(folder, environment)
    found("init", f"-plugin-dir={PLUGINS}")
    yield found
    state = folder / "terraform.tfstate"
    if state.exists() and json.loads(state.read_text())["resources"]:
        found("destroy", "-auto-approve")


@pytest.mark.parametrize("terraform", ["network"], indirect=True)
def test_a_network_is_applied_and_destroyed(up: Up, terraform: Terraform) -> None:
    terraform.apply()
    (vpc,) = [one for one in up.client("ec2").describe_vpcs()["Vpcs"] if not one["IsDefault"]]
    terraform("destroy", "-auto-approve")
    assert vpc["VpcId"] not in {one["VpcId"] for one in up.client("ec2").describe_vpcs()["Vpcs"]}


@pytest.mark.parametrize("terraform", ["service"], indirect=True)
def test_a_service_behind_a_balancer_is_applied_serves_and_is_destroyed(up: Up, terraform: Terraform) -> None:
    terraform.apply()
    mine = [{"Name": "requester-id", "Values": ["amazon-elb"]}]
    found = up.client("ec2").describe_network_interfaces(Filters=mine)["NetworkInterfaces"]

    def served() -> bool:
        address = str(found[0]["PrivateIpAddress"])
        with closing(http.client.HTTPConnection(address, 80, timeout=5)) as connection:
            connection.request("GET", "/etc/passwd", headers={"Host": "example.com"})
            return connection.getresponse().status == 200

    until(served)
