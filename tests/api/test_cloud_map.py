"""AWS Cloud Map through boto3. Sources: AWS Cloud Map API Reference, developer guide ("quotas")."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from homeport.app.networks.ground import NoGround
from homeport.app.networks.names import NameKeeper
from homeport.gateway.dns_names import NameBook
from tests.kit.server import ACCOUNT, REGION, Live, live_server

A = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 10}]}
PLAIN = Config(inject_host_prefix=False, retries={"max_attempts": 0})
"""DiscoverInstances asks `data-` and the endpoint's host otherwise, which no address is."""
HERE = f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}"


@pytest.fixture
def sd(live: Live) -> Any:
    client = live.client("servicediscovery", config=PLAIN)
    for service in client.list_services()["Services"]:
        for one in client.list_instances(ServiceId=service["Id"])["Instances"]:
            client.deregister_instance(ServiceId=service["Id"], InstanceId=one["Id"])
        client.delete_service(Id=service["Id"])
    for one in client.list_namespaces()["Namespaces"]:
        client.delete_namespace(Id=one["Id"])
    return client


@pytest.fixture(scope="module")
def vpc(live: Live) -> str:
    return str(live.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"])


def refused(work: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work()
    told = caught.value.response
    return str(told["Error"]["Code"]), str(told["Error"]["Message"])


def made(sd: Any, answer: Any, kind: str = "NAMESPACE") -> str:
    operation = sd.get_operation(OperationId=answer["OperationId"])["Operation"]
    assert operation["Status"] == "SUCCESS"
    return str(operation["Targets"][kind])


def http(sd: Any, name: str = "apps", **request: Any) -> str:
    return made(sd, sd.create_http_namespace(Name=name, **request))


def private(sd: Any, vpc: str, name: str = "corp.local", **request: Any) -> str:
    return made(sd, sd.create_private_dns_namespace(Name=name, Vpc=vpc, **request))


def service(sd: Any, namespace: str, name: str = "api", **request: Any) -> str:
    return str(sd.create_service(Name=name, NamespaceId=namespace, **request)["Service"]["Id"])


def ids(answer: Any) -> set[str]:
    return {one["InstanceId"] for one in answer["Instances"]}


def test_a_private_namespace_says_where_its_names_are(sd: Any, vpc: str) -> None:
    soa = {"DnsProperties": {"SOA": {"TTL": 33}}}
    made_id = private(sd, vpc, Properties=soa, Description="ours", CreatorRequestId="r1")
    found = sd.get_namespace(Id=made_id)["Namespace"]
    assert found["Arn"] == f"{HERE}:namespace/{made_id}"
    assert (found["Type"], found["Name"], found["ServiceCount"]) == ("DNS_PRIVATE", "corp.local", 0)
    dns = found["Properties"]["DnsProperties"]
    assert dns["HostedZoneId"].startswith("Z")
    assert dns["SOA"]["TTL"] == 33
    assert found["Properties"]["HttpProperties"]["HttpName"] == "corp.local"
    assert (found["Description"], found["CreatorRequestId"]) == ("ours", "r1")
    assert sd.get_namespace(Id=found["Arn"])["Namespace"]["Id"] == made_id


def test_an_http_namespace_has_no_hosted_zone(sd: Any) -> None:
    # Source: AWS CLI reference, list-namespaces, example: the members are there all the same.
    found = sd.get_namespace(Id=http(sd))["Namespace"]
    assert found["Properties"] == {"DnsProperties": {"SOA": {}}, "HttpProperties": {"HttpName": "apps"}}
    (listed,) = sd.list_namespaces()["Namespaces"]
    assert listed["Properties"] == found["Properties"]


def told(live: Live, scope: str, name: str) -> set[str]:
    """What a VPC's DNS server would say of a name."""

    async def look() -> set[str]:
        book = NameBook()
        keeper = NameKeeper(live.plane.store, book)
        for key in await keeper.keys():
            await keeper.reconcile(key)
        found = book.find(scope, name)
        assert found.zone is None, "others may be asked for other names of the domain"
        return {value for one in found.records for value in one.values}

    return live.run(look())


def test_the_names_of_a_public_namespace_are_told_in_all_vpcs_of_its_account(
    live: Live, sd: Any, vpc: str
) -> None:
    soa = {"DnsProperties": {"SOA": {"TTL": 60}}}
    namespace = made(sd, sd.create_public_dns_namespace(Name="shop.example", Properties=soa))
    found = sd.get_namespace(Id=namespace)["Namespace"]
    assert (found["Type"], found["Properties"]["DnsProperties"]["SOA"]["TTL"]) == ("DNS_PUBLIC", 60)
    filters = [{"Name": "TYPE", "Values": ["DNS_PUBLIC"], "Condition": "EQ"}]
    assert [one["Id"] for one in sd.list_namespaces(Filters=filters)["Namespaces"]] == [namespace]
    api = service(sd, namespace, DnsConfig=A)
    sd.register_instance(ServiceId=api, InstanceId="one", Attributes={"AWS_INSTANCE_IPV4": "203.0.113.7"})
    ec2 = live.client("ec2")
    other = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    for scope in (vpc, other):
        assert told(live, scope, "api.shop.example") == {"203.0.113.7"}
        assert told(live, scope, "www.shop.example") == set()
    assert told(live, "vpc-of-another-account", "api.shop.example") == set()
    ec2.delete_vpc(VpcId=other)
    change = {"Description": "new", "Properties": {"DnsProperties": {"SOA": {"TTL": 5}}}}
    made(sd, sd.update_public_dns_namespace(Id=namespace, Namespace=change))
    assert sd.get_namespace(Id=namespace)["Namespace"]["Description"] == "new"
    wrong = {"Id": namespace, "Namespace": {"Description": "new"}}
    assert refused(lambda: sd.update_http_namespace(**wrong))[0] == "InvalidInput"
    with pytest.raises(ClientError) as caught:
        sd.create_public_dns_namespace(Name="shop.example", CreatorRequestId="another")
    assert caught.value.response["Error"]["Code"] == "NamespaceAlreadyExists"


def test_a_new_vpc_is_told_the_public_names_that_are_there(live: Live, sd: Any) -> None:
    namespace = made(sd, sd.create_public_dns_namespace(Name="shop.example"))
    api = service(sd, namespace, DnsConfig=A)
    sd.register_instance(ServiceId=api, InstanceId="one", Attributes={"AWS_INSTANCE_IPV4": "203.0.113.7"})
    ec2, book = live.client("ec2"), NameBook()
    keeper = NameKeeper(live.plane.store, book)

    async def all_of_it() -> None:
        for key in await keeper.keys():
            await keeper.reconcile(key)

    live.run(all_of_it())
    made_vpc = ec2.create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
    live.run(keeper.reconcile(f"vpc/{made_vpc}"))
    assert [one.values for one in book.find(made_vpc, "api.shop.example").records] == [("203.0.113.7",)]
    ec2.delete_vpc(VpcId=made_vpc)


def test_a_namespace_is_made_once_for_each_request(sd: Any) -> None:
    first = sd.create_http_namespace(Name="apps", CreatorRequestId="r1")
    again = sd.create_http_namespace(Name="apps", CreatorRequestId="r1")
    assert again["OperationId"] == first["OperationId"]
    with pytest.raises(ClientError) as caught:
        sd.create_http_namespace(Name="apps", CreatorRequestId="r2")
    told = caught.value.response
    assert told["Error"]["Code"] == "NamespaceAlreadyExists"
    assert told["NamespaceId"] == made(sd, first)
    assert told["CreatorRequestId"] == "r1"


def test_a_name_that_is_used_twice_has_two_http_names(sd: Any, vpc: str) -> None:
    http(sd, "corp.local")
    found = sd.get_namespace(Id=private(sd, vpc, "corp.local"))["Namespace"]
    assert found["Name"] == "corp.local"
    assert found["Properties"]["HttpProperties"]["HttpName"].startswith("corp.local-")


def test_what_cannot_be_is_refused_in_words(sd: Any, vpc: str) -> None:
    code, text = refused(lambda: sd.create_private_dns_namespace(Name="a.b", Vpc="vpc-0123"))
    assert (code, "vpc-0123 does not exist" in text) == ("InvalidInput", True)
    assert refused(lambda: sd.create_private_dns_namespace(Name="a..b", Vpc=vpc))[0] == "InvalidInput"
    assert refused(lambda: sd.get_namespace(Id="ns-nobody"))[0] == "NamespaceNotFound"
    assert refused(lambda: sd.delete_namespace(Id="ns-nobody"))[0] == "NamespaceNotFound"
    assert refused(lambda: sd.get_service(Id="srv-nobody"))[0] == "ServiceNotFound"
    assert refused(lambda: sd.get_operation(OperationId="nothing"))[0] == "OperationNotFound"
    assert refused(lambda: sd.update_http_namespace(Id=private(sd, vpc), Namespace={"Description": "x"}))[
        0
    ] == ("InvalidInput")


def test_without_a_network_there_are_http_namespaces_only() -> None:
    with live_server(ground=NoGround(why="no root")) as alone:
        sd = alone.client("servicediscovery")
        code, text = refused(lambda: sd.create_private_dns_namespace(Name="a.b", Vpc="vpc-1"))
        assert (code, "as root" in text) == ("InvalidInput", True)
        assert refused(lambda: sd.create_public_dns_namespace(Name="a.b")) == (code, text)
        assert http(sd)


def test_a_namespace_with_services_and_a_service_with_instances_stay(sd: Any) -> None:
    namespace = http(sd)
    one = service(sd, namespace)
    sd.register_instance(ServiceId=one, InstanceId="i1", Attributes={"a": "b"})
    assert refused(lambda: sd.delete_namespace(Id=namespace))[0] == "ResourceInUse"
    assert refused(lambda: sd.delete_service(Id=one))[0] == "ResourceInUse"
    sd.deregister_instance(ServiceId=one, InstanceId="i1")
    sd.delete_service(Id=one)
    made(sd, sd.delete_namespace(Id=namespace))
    assert sd.list_namespaces()["Namespaces"] == []


def test_a_namespaces_description_and_negative_ttl_change(sd: Any, vpc: str) -> None:
    one = private(sd, vpc, Description="old")
    change = {"Description": "new", "Properties": {"DnsProperties": {"SOA": {"TTL": 5}}}}
    made(sd, sd.update_private_dns_namespace(Id=one, Namespace=change))
    found = sd.get_namespace(Id=one)["Namespace"]
    assert (found["Description"], found["Properties"]["DnsProperties"]["SOA"]["TTL"]) == ("new", 5)
    other = http(sd)
    made(sd, sd.update_http_namespace(Id=other, Namespace={"Description": "web"}))
    assert sd.get_namespace(Id=other)["Namespace"]["Description"] == "web"


def test_namespaces_are_filtered_and_paged(sd: Any, vpc: str) -> None:
    http(sd, "one"), http(sd, "two"), private(sd, vpc, "two.local")

    def names(*filters: Any) -> set[str]:
        return {one["Name"] for one in sd.list_namespaces(Filters=list(filters))["Namespaces"]}

    assert names({"Name": "TYPE", "Values": ["DNS_PRIVATE"]}) == {"two.local"}
    assert names({"Name": "NAME", "Values": ["tw"], "Condition": "BEGINS_WITH"}) == {"two", "two.local"}
    assert names({"Name": "HTTP_NAME", "Values": ["one"]}) == {"one"}
    assert names({"Name": "RESOURCE_OWNER", "Values": ["OTHER_ACCOUNTS"]}) == set()
    assert refused(lambda: names({"Name": "NAME", "Values": ["a", "b"]}))[0] == "InvalidInput"
    first = sd.list_namespaces(MaxResults=2)
    rest = sd.list_namespaces(MaxResults=2, NextToken=first["NextToken"])
    assert len(first["Namespaces"] + rest["Namespaces"]) == 3
    assert "NextToken" not in rest
    assert refused(lambda: sd.list_namespaces(NextToken="forged"))[0] == "InvalidInput"


def test_a_service_says_how_it_is_found(sd: Any, vpc: str) -> None:
    namespace = private(sd, vpc)
    answer = sd.create_service(
        Name="api", NamespaceId=namespace, DnsConfig=A, HealthCheckCustomConfig={"FailureThreshold": 3},
        Description="d", CreatorRequestId="r1",
    )["Service"]  # fmt: skip
    found = sd.get_service(Id=answer["Id"])["Service"]
    assert found == answer
    assert found["Arn"] == f"{HERE}:service/{found['Id']}"
    assert found["DnsConfig"] == {**A, "NamespaceId": namespace}
    assert (found["Type"], found["InstanceCount"]) == ("DNS_HTTP", 0)
    assert found["HealthCheckCustomConfig"] == {"FailureThreshold": 1}, (
        "no longer supported, and always set to 1"
    )
    listed = sd.list_services(Filters=[{"Name": "NAMESPACE_ID", "Values": [namespace]}])["Services"]
    assert [one["Id"] for one in listed] == [found["Id"]]
    assert sd.get_namespace(Id=namespace)["Namespace"]["ServiceCount"] == 1


def test_a_services_name_is_its_own_within_its_namespace(sd: Any, vpc: str) -> None:
    namespace, only_api = private(sd, vpc), http(sd)
    one = service(sd, namespace, "api", CreatorRequestId="r1")
    assert service(sd, namespace, "api", CreatorRequestId="r1") == one
    with pytest.raises(ClientError) as caught:
        service(sd, namespace, "API", CreatorRequestId="r2")
    told = caught.value.response
    assert (told["Error"]["Code"], told["ServiceId"]) == ("ServiceAlreadyExists", one)
    assert told["ServiceArn"].endswith(one)
    assert service(sd, only_api, "api") != service(sd, only_api, "API")


@pytest.mark.parametrize(
    "request_",
    [
        {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 1}, {"Type": "CNAME", "TTL": 1}]}},
        {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 1}, {"Type": "SRV", "TTL": 1}]}},
        {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 1}, {"Type": "A", "TTL": 1}]}},
        {"DnsConfig": {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "CNAME", "TTL": 1}]}},
        {"DnsConfig": A, "Type": "HTTP"},
        {"HealthCheckConfig": {"Type": "HTTP"}},
        {"DnsConfig": {**A, "NamespaceId": "ns-other"}},
    ],
    ids=[
        "alias-and-more",
        "srv-and-more",
        "twice",
        "alias-multivalue",
        "http-with-dns",
        "route-53",
        "two-places",
    ],
)
def test_a_service_that_cannot_be_is_refused(sd: Any, vpc: str, request_: dict[str, Any]) -> None:
    namespace = private(sd, vpc)
    assert refused(lambda: service(sd, namespace, **request_))[0] == "InvalidInput"


def test_a_service_of_an_http_namespace_has_no_records(sd: Any) -> None:
    namespace = http(sd)
    assert refused(lambda: service(sd, namespace, DnsConfig=A))[0] == "InvalidInput"
    one = service(sd, namespace)
    assert sd.get_service(Id=one)["Service"]["Type"] == "HTTP"
    assert refused(lambda: sd.update_service(Id=one, Service={"Description": "x"}))[0] == "InvalidInput"


def test_a_service_changes_its_ttl_and_loses_what_is_left_out(sd: Any, vpc: str) -> None:
    one = service(sd, private(sd, vpc), DnsConfig=A)
    made(
        sd,
        sd.update_service(Id=one, Service={"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 60}]}}),
        "SERVICE",
    )
    assert sd.get_service(Id=one)["Service"]["DnsConfig"]["DnsRecords"] == [{"Type": "A", "TTL": 60}]
    other = {"DnsConfig": {"DnsRecords": [{"Type": "AAAA", "TTL": 60}]}}
    assert refused(lambda: sd.update_service(Id=one, Service=other))[0] == "InvalidInput"
    sd.update_service(Id=one, Service={"Description": "by calls only"})
    found = sd.get_service(Id=one)["Service"]
    assert "DnsConfig" not in found
    assert found["Type"] == "HTTP"


def test_an_instance_is_registered_changed_and_deregistered(sd: Any, vpc: str) -> None:
    one = service(sd, private(sd, vpc), DnsConfig=A)
    given = {"AWS_INSTANCE_IPV4": "172.31.0.9", "colour": "blue"}
    answer = sd.register_instance(ServiceId=one, InstanceId="i1", Attributes=given, CreatorRequestId="r1")
    assert made(sd, answer, "INSTANCE") == "i1"
    again = sd.register_instance(ServiceId=one, InstanceId="i1", Attributes=given, CreatorRequestId="r1")
    assert again["OperationId"] == answer["OperationId"]
    assert sd.get_instance(ServiceId=one, InstanceId="i1")["Instance"]["Attributes"] == given
    sd.register_instance(ServiceId=one, InstanceId="i1", Attributes={**given, "colour": "red"})
    (listed,) = sd.list_instances(ServiceId=one)["Instances"]
    assert listed["Attributes"]["colour"] == "red"
    assert sd.get_service(Id=one)["Service"]["InstanceCount"] == 1
    sd.deregister_instance(ServiceId=one, InstanceId="i1")
    assert refused(lambda: sd.deregister_instance(ServiceId=one, InstanceId="i1"))[0] == "InstanceNotFound"
    assert refused(lambda: sd.get_instance(ServiceId=one, InstanceId="i1"))[0] == "InstanceNotFound"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"AWS_INSTANCE_IPV4": "172.31.0"},
        {"AWS_INSTANCE_IPV4": "172.31.0.1", "AWS_INIT_HEALTH_STATUS": "HEALTHY"},
        {"AWS_INSTANCE_IPV4": "172.31.0.1", "AWS_INSTANCE_PORT": "http"},
        {"AWS_INSTANCE_IPV4": "172.31.0.1", "AWS_INSTANCE_PORT": "65536"},
        {"AWS_INSTANCE_IPV4": "172.31.0.1", "a" * 256: "x"},
        {"AWS_INSTANCE_IPV4": "172.31.0.1", "a": "x" * 1025},
        {"AWS_INSTANCE_IPV4": "172.31.0.1", **{f"k{n}": "v" for n in range(31)}},
        {"AWS_INSTANCE_IPV4": "172.31.0.1", **{f"k{n}": "v" * 1000 for n in range(6)}},
        {"AWS_ALIAS_DNS_NAME": "lb.elb.amazonaws.com"},
        {"AWS_EC2_INSTANCE_ID": "i-1"},
    ],
    ids=lambda given: (",".join(given) or "none")[:40],
)
def test_attributes_that_lead_nowhere_are_refused(sd: Any, vpc: str, attributes: dict[str, str]) -> None:
    one = service(sd, private(sd, vpc), DnsConfig=A)
    assert refused(lambda: sd.register_instance(ServiceId=one, InstanceId="i", Attributes=attributes))[0] == (
        "InvalidInput"
    )


def test_records_ask_for_their_own_attributes(sd: Any, vpc: str) -> None:
    namespace = private(sd, vpc)
    alias = service(sd, namespace, "alias", DnsConfig={"DnsRecords": [{"Type": "CNAME", "TTL": 5}]})
    assert sd.get_service(Id=alias)["Service"]["DnsConfig"]["RoutingPolicy"] == "WEIGHTED"
    assert (
        "AWS_INSTANCE_CNAME"
        in refused(lambda: sd.register_instance(ServiceId=alias, InstanceId="i", Attributes={"x": "y"}))[1]
    )
    sd.register_instance(ServiceId=alias, InstanceId="i", Attributes={"AWS_INSTANCE_CNAME": "example.com"})
    port = service(sd, namespace, "port", DnsConfig={"DnsRecords": [{"Type": "SRV", "TTL": 5}]})
    assert (
        "AWS_INSTANCE_PORT"
        in refused(
            lambda: sd.register_instance(
                ServiceId=port, InstanceId="i", Attributes={"AWS_INSTANCE_IPV4": "1.2.3.4"}
            )
        )[1]
    )
    assert (
        "AWS_INSTANCE_IPV4"
        in refused(
            lambda: sd.register_instance(
                ServiceId=port, InstanceId="i", Attributes={"AWS_INSTANCE_PORT": "80"}
            )
        )[1]
    )


def test_instances_are_found_by_name_attributes_and_health(sd: Any) -> None:
    one = service(sd, http(sd), HealthCheckCustomConfig={})
    for number in range(4):
        attributes = {"n": str(number), "zone": "ab"[number % 2]}
        if number == 3:
            attributes["AWS_INIT_HEALTH_STATUS"] = "UNHEALTHY"
        sd.register_instance(ServiceId=one, InstanceId=f"i{number}", Attributes=attributes)

    def found(**request: Any) -> set[str]:
        return ids(sd.discover_instances(NamespaceName="apps", ServiceName="api", **request))

    assert found() == found(HealthStatus="HEALTHY") == {"i0", "i1", "i2"}
    assert found(HealthStatus="UNHEALTHY") == {"i3"}
    assert found(HealthStatus="ALL") == {"i0", "i1", "i2", "i3"}
    assert found(QueryParameters={"zone": "b"}) == {"i1"}
    assert found(QueryParameters={"n": "3"}) == {"i3"}, "failing open"
    assert found(QueryParameters={"n": "3"}, HealthStatus="HEALTHY") == set()
    assert found(QueryParameters={"zone": "a"}, OptionalParameters={"n": "2"}) == {"i2"}
    assert found(QueryParameters={"zone": "a"}, OptionalParameters={"n": "9"}) == {"i0", "i2"}
    assert len(found(MaxResults=2)) == 2
    asked = {"NamespaceName": "apps", "ServiceName": "nobody"}
    assert refused(lambda: sd.discover_instances(**asked))[0] == "ServiceNotFound"
    asked = {"NamespaceName": "nobody", "ServiceName": "api"}
    assert refused(lambda: sd.discover_instances(**asked))[0] == "NamespaceNotFound"
    (told,) = sd.discover_instances(
        NamespaceName="apps", ServiceName="api", HealthStatus="UNHEALTHY"
    )["Instances"]  # fmt: skip
    assert (told["NamespaceName"], told["ServiceName"], told["HealthStatus"]) == ("apps", "api", "UNHEALTHY")


def test_without_a_health_check_health_is_unknown_and_asked_for_in_vain(sd: Any) -> None:
    one = service(sd, http(sd))
    sd.register_instance(ServiceId=one, InstanceId="i", Attributes={"a": "b"})
    assert sd.get_instances_health_status(ServiceId=one)["Status"] == {"i": "UNKNOWN"}
    asked = {"NamespaceName": "apps", "ServiceName": "api", "HealthStatus": "UNHEALTHY"}
    assert ids(sd.discover_instances(**asked)) == {"i"}, "the filter is ignored"
    change = {"ServiceId": one, "InstanceId": "i", "Status": "UNHEALTHY"}
    assert refused(lambda: sd.update_instance_custom_health_status(**change))[0] == "CustomHealthNotFound"


def test_reported_health_counts_and_changes_the_revision(sd: Any) -> None:
    one = service(sd, http(sd), HealthCheckCustomConfig={})
    sd.register_instance(ServiceId=one, InstanceId="i", Attributes={"a": "b"})
    asked = {"NamespaceName": "apps", "ServiceName": "api"}

    def revision() -> int:
        number = sd.discover_instances_revision(**asked)["InstancesRevision"]
        assert number == sd.discover_instances(**asked)["InstancesRevision"]
        return int(number)

    before = revision()
    sd.update_instance_custom_health_status(ServiceId=one, InstanceId="i", Status="HEALTHY")
    assert revision() == before, "nothing changed"
    sd.update_instance_custom_health_status(ServiceId=one, InstanceId="i", Status="UNHEALTHY")
    assert revision() == before + 1
    assert sd.get_instances_health_status(ServiceId=one, Instances=["i"])["Status"] == {"i": "UNHEALTHY"}
    gone = {"ServiceId": one, "Instances": ["nobody"]}
    assert refused(lambda: sd.get_instances_health_status(**gone))[0] == "InstanceNotFound"


def test_operations_are_listed_newest_first(sd: Any) -> None:
    namespace = http(sd)
    one = service(sd, namespace)
    answer = sd.register_instance(ServiceId=one, InstanceId="i", Attributes={"a": "b"})
    listed = sd.list_operations(Filters=[{"Name": "SERVICE_ID", "Values": [one]}])["Operations"]
    assert listed == [{"Id": answer["OperationId"], "Status": "SUCCESS"}]
    kinds = [
        {"Name": "TYPE", "Values": ["CREATE_NAMESPACE", "UPDATE_SERVICE"], "Condition": "IN"},
        {"Name": "NAMESPACE_ID", "Values": [namespace]},
        {"Name": "UPDATE_DATE", "Values": ["0", "4000000000"], "Condition": "BETWEEN"},
    ]
    assert len(sd.list_operations(Filters=kinds)["Operations"]) == 1
    late = [{"Name": "UPDATE_DATE", "Values": ["0", "1"], "Condition": "BETWEEN"}]
    assert sd.list_operations(Filters=late)["Operations"] == []


def test_services_have_attributes_and_everything_has_tags(sd: Any) -> None:
    namespace = http(sd, Tags=[{"Key": "team", "Value": "blue"}])
    one = service(sd, namespace, Tags=[{"Key": "team", "Value": "red"}])
    arn = sd.get_service(Id=one)["Service"]["Arn"]
    sd.tag_resource(ResourceARN=arn, Tags=[{"Key": "env", "Value": "dev"}])
    sd.untag_resource(ResourceARN=arn, TagKeys=["team", "nothing"])
    assert sd.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "env", "Value": "dev"}]
    tags = sd.list_tags_for_resource(ResourceARN=f"{HERE}:namespace/{namespace}")["Tags"]
    assert tags == [{"Key": "team", "Value": "blue"}]
    assert refused(lambda: sd.list_tags_for_resource(ResourceARN=f"{HERE}:service/x"))[0] == (
        "ResourceNotFoundException"
    )
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(50)]
    assert refused(lambda: sd.tag_resource(ResourceARN=arn, Tags=many))[0] == "TooManyTagsException"
    sd.update_service_attributes(ServiceId=one, Attributes={"a": "1", "b": "2"})
    sd.delete_service_attributes(ServiceId=one, Attributes=["a", "c"])
    assert sd.get_service_attributes(ServiceId=one)["ServiceAttributes"]["Attributes"] == {"b": "2"}
    more = {f"k{number}": "v" for number in range(30)}
    assert refused(lambda: sd.update_service_attributes(ServiceId=one, Attributes=more))[0] == (
        "ServiceAttributesLimitExceededException"
    )


def test_an_account_has_fifty_namespaces_in_a_region(sd: Any) -> None:
    for number in range(50):
        sd.create_http_namespace(Name=f"n{number}")
    assert refused(lambda: sd.create_http_namespace(Name="more"))[0] == "ResourceLimitExceeded"


def test_who_may_register_in_one_service_may_not_in_another(live: Live, sd: Any) -> None:
    namespace = http(sd)
    mine, other = service(sd, namespace, "mine"), service(sd, namespace, "other")
    iam = live.client("iam")
    iam.create_user(UserName="registrar")
    key = iam.create_access_key(UserName="registrar")["AccessKey"]
    statement = {
        "Effect": "Allow",
        "Action": "servicediscovery:RegisterInstance",
        "Resource": f"{HERE}:service/{mine}",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName="registrar", PolicyName="p", PolicyDocument=document)
    user = live.client(
        "servicediscovery",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    user.register_instance(ServiceId=mine, InstanceId="i", Attributes={"a": "b"})
    with pytest.raises(ClientError) as caught:
        user.register_instance(ServiceId=other, InstanceId="i", Attributes={"a": "b"})
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
