"""Access logs of a real `homeport up` that is killed: what was logged comes to the bucket, each line once."""

from __future__ import annotations

import gzip
import http.client
import re
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from homeport.app.balancers.access_log_files import BUCKETS, RECORDS
from homeport.dataplane.access_logs import LIVE, folder_name
from tests.kit.behind_balancer import until
from tests.kit.up import Up, free_port, homeport_up

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root]
FIXED = {"StatusCode": "404", "MessageBody": "nothing here", "ContentType": "text/plain"}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with homeport_up(tmp_path, "--instances", "1") as made:
        yield made


def ask(address: str, port: int, path: str) -> int:
    with closing(http.client.HTTPConnection(address, port, timeout=10)) as connection:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status


def addresses(up: Up, tail: str) -> list[str]:
    found = up.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    return [one["PrivateIpAddress"] for one in found if one["Description"] == f"ELB {tail}"]


def made(up: Up, port: int) -> dict[str, Any]:
    elb, ec2 = up.client("elbv2"), up.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    guests = ec2.create_security_group(GroupName="guests", Description="all", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=guests, IpProtocol="-1", CidrIp="0.0.0.0/0")
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
    found = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[guests])["LoadBalancers"][0]
    elb.create_listener(
        LoadBalancerArn=found["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": FIXED}],
    )
    return dict(found)


def set_log(up: Up, arn: str, **values: str) -> None:
    wanted = [{"Key": f"access_logs.s3.{key}", "Value": value} for key, value in values.items()]
    up.client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=wanted)


def paths(up: Up) -> list[str]:
    found = []
    for one in (up.data_dir / BUCKETS / "my-logs").rglob("*.log.gz"):
        lines = gzip.decompress(one.read_bytes()).decode().splitlines()
        found += [re.sub(r".*:\d+(/\S*) .*", r"\1", shlex.split(line)[12]) for line in lines]
    return sorted(found)


def test_what_was_logged_is_delivered_by_the_next_control_plane(up: Up) -> None:
    port = free_port()
    arn = made(up, port)["LoadBalancerArn"]
    tail = arn.partition(":loadbalancer/")[2]
    set_log(up, arn, enabled="true", bucket="my-logs", prefix="team/web")
    address = until(lambda: addresses(up, tail))[0]
    live = up.data_dir / RECORDS / folder_name(tail, address) / LIVE

    def answers() -> bool:
        try:
            return ask(address, port, "/ready") == 404
        except OSError:  # nobody listens yet
            return False

    def asked(path: str) -> None:
        """Once, and the proxy has written it down."""
        ask(address, port, path)
        until(lambda: path.encode() in live.read_bytes())

    until(answers)
    until(lambda: b"/ready" in live.read_bytes())
    asked("/up")
    up.kill()
    asked("/down")
    # One that was answered long ago, so that nobody has to wait for the end of the period.
    records = live.read_bytes()
    old = re.sub(rb'"start":"\d+', b'"start":"1700000000', records.splitlines()[0]).replace(
        b"/ready", b"/old"
    )
    with live.open("r+b") as file:
        file.write(old + b"\n" + records)
    up.start()
    until(lambda: paths(up), why=lambda: up.log.read_text()[-2000:])
    assert paths(up) == ["/down", "/old", "/ready", "/up"]
    (written,) = (up.data_dir / BUCKETS).rglob("*.log.gz")
    account = arn.split(":")[4]
    assert str(written.relative_to(up.data_dir / BUCKETS)).startswith(
        f"my-logs/team/web/AWSLogs/{account}/elasticloadbalancing/"
    )
    assert tail.replace("/", ".") in written.name
    assert address in written.name
    assert not list(live.parent.glob("*.raw"))
    asked("/again")
    set_log(up, arn, enabled="false")

    def is_off() -> bool:
        before = live.read_bytes()
        ask(address, port, "/off")
        return live.read_bytes() == before

    until(is_off)
