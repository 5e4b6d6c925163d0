"""`homeport url`: what is written, whose target groups are asked, and what is said when there is nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeport.app.connection import write_connection
from homeport.cli.client import AwsClient
from homeport.cli.main import main
from homeport.cli.output import CliError
from homeport.cli.url import Door, find_doors, reaches, service_groups, written
from tests.kit.aws_http import fake_aws

ARN = "arn:aws:ecs:us-east-1:000000000000"


@pytest.mark.parametrize(
    ("scheme", "port", "path", "url"),
    [
        ("http", 80, "", "http://h/"),
        ("http", 8080, "", "http://h:8080/"),
        ("https", 443, "/api/", "https://h/api/"),
        ("https", 80, "", "https://h:80/"),
        ("tcp", 5432, "", "tcp://h:5432"),
    ],
)
def test_a_url_says_no_more_than_it_must(scheme: str, port: int, path: str, url: str) -> None:
    assert written(scheme, "h", port, path) == url


def test_a_services_groups_are_those_of_its_deployments_too() -> None:
    service = {
        "loadBalancers": [
            {"targetGroupArn": "blue", "advancedConfiguration": {"alternateTargetGroupArn": "green"}}
        ],
        "taskSets": [{"loadBalancers": [{"targetGroupArn": "red"}, {"loadBalancerName": "classic"}]}],
    }
    assert service_groups(service) == ["blue", "red", "green"]
    assert service_groups({}) == []


def test_where_nobody_listens_nothing_is_reached() -> None:
    assert not reaches(Door(url="", address="127.0.0.1", port=1, protocol="HTTP"))
    assert reaches(Door(url="", address="127.0.0.1", port=1, protocol="UDP"))


def task(**changes: Any) -> dict[str, Any]:
    return {
        "taskArn": f"{ARN}:task/default/1",
        "taskDefinitionArn": f"{ARN}:task-definition/web:1",
        "group": "service:web",
        "lastStatus": "RUNNING",
        **changes,
    }


DEFINITION = {"containerDefinitions": [{"name": "app", "portMappings": [{"containerPort": 8080}]}]}
ON_A_HOST = task(
    containers=[{"networkBindings": [{"bindIP": "0.0.0.0", "hostPort": 49153, "protocol": "tcp"}]}]
)
OF_ITS_OWN = task(attachments=[{"details": [{"name": "privateIPv4Address", "value": "172.31.0.9"}]}])


@pytest.mark.parametrize(
    ("running", "url"),
    [(ON_A_HOST, "http://127.0.0.1:49153/"), (OF_ITS_OWN, "http://172.31.0.9:8080/")],
)
def test_without_a_balancer_a_task_answers_itself(running: dict[str, Any], url: str) -> None:
    with (
        fake_aws(
            DescribeServices=(200, {"services": [{"status": "ACTIVE", "loadBalancers": []}]}),
            ListTasks=(200, {"taskArns": ["x"]}),
            DescribeTasks=(200, {"tasks": [running]}),
            DescribeTaskDefinition=(200, {"taskDefinition": DEFINITION}),
        ) as aws,
        AwsClient(aws.connection) as api,
    ):
        assert [one.url for one in find_doors(api, "default", "", "web")] == [url]


OLD = """<R><DescribeLoadBalancersResult><LoadBalancerDescriptions><member>
<LoadBalancerName>old</LoadBalancerName><ListenerDescriptions>
<member><Listener><Protocol>TCP</Protocol><LoadBalancerPort>22</LoadBalancerPort></Listener></member>
<member><Listener><Protocol>HTTP</Protocol><LoadBalancerPort>80</LoadBalancerPort></Listener></member>
</ListenerDescriptions></member></LoadBalancerDescriptions></DescribeLoadBalancersResult></R>"""
THERE = """<R><networkInterfaceSet><item>
<privateIpAddress>172.31.0.5</privateIpAddress></item></networkInterfaceSet></R>"""


def test_a_service_behind_a_classic_balancer_answers_there() -> None:
    service = {"status": "ACTIVE", "loadBalancers": [{"loadBalancerName": "old"}]}
    with (
        fake_aws(
            DescribeServices=(200, {"services": [service]}),
            DescribeLoadBalancers=(200, OLD),
            DescribeNetworkInterfaces=(200, THERE),
        ) as aws,
        AwsClient(aws.connection) as api,
    ):
        doors = find_doors(api, "default", "", "web")
    assert [one.url for one in doors] == ["http://172.31.0.5/", "tcp://172.31.0.5:22"]
    assert all("loopback" in one.closed for one in doors)


def test_a_service_without_a_task_that_answers_is_said_to_have_none() -> None:
    with (
        fake_aws(
            DescribeServices=(200, {"services": [{"status": "ACTIVE"}]}), ListTasks=(200, {"taskArns": []})
        ) as aws,
        AwsClient(aws.connection) as api,
        pytest.raises(CliError, match="no running task") as caught,
    ):
        find_doors(api, "default", "service", "web")
    assert "explain service web" in caught.value.remedy


def test_what_nobody_knows_is_said_to_be_nothing(capsys: Any, tmp_path: Path) -> None:
    missing = "<ErrorResponse><Error><Code>LoadBalancerNotFound</Code></Error></ErrorResponse>"
    with fake_aws(DescribeServices=(200, {"services": []}), DescribeLoadBalancers=(400, missing)) as aws:
        write_connection(tmp_path, aws.connection, environ={})
        with pytest.raises(SystemExit) as ended:
            main(["url", "web", "--data-dir", str(tmp_path)])
    assert ended.value.code == 1
    assert "no service or load balancer web" in capsys.readouterr().err
