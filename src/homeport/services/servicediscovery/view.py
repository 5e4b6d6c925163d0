"""Nouns as Cloud Map shows them. Pure."""

from __future__ import annotations

from typing import Any

from homeport.services.servicediscovery.model import HTTP, Instance, Namespace, Operation, Service

View = dict[str, Any]


def namespace_view(namespace: Namespace, service_count: int, *, summary: bool = False) -> View:
    """A namespace, as GetNamespace or as ListNamespaces shows it."""
    properties: View = {"HttpProperties": {"HttpName": namespace.http_name}, "DnsProperties": {"SOA": {}}}
    if namespace.type != HTTP:
        soa = {"TTL": namespace.soa_ttl}
        properties["DnsProperties"] = {"HostedZoneId": namespace.hosted_zone_id, "SOA": soa}
    view: View = {
        "Id": namespace.namespace_id,
        "Arn": namespace.arn,
        "ResourceOwner": namespace.account_id,
        "Name": namespace.name,
        "Type": namespace.type,
        "ServiceCount": service_count,
        "Properties": properties,
        "CreateDate": namespace.created_at,
    }
    if namespace.description:
        view["Description"] = namespace.description
    if namespace.creator_request_id and not summary:
        view["CreatorRequestId"] = namespace.creator_request_id
    return view


def service_view(service: Service, *, summary: bool = False) -> View:
    """A service, as GetService or as ListServices shows it."""
    view: View = {
        "Id": service.service_id,
        "Arn": service.arn,
        "ResourceOwner": service.account_id,
        "CreatedByAccount": service.account_id,
        "Name": service.name,
        "Type": "DNS_HTTP" if service.by_dns else "HTTP",
        "InstanceCount": service.instance_count,
        "CreateDate": service.created_at,
    }
    if service.by_dns:
        view["DnsConfig"] = {
            "RoutingPolicy": service.routing_policy,
            "DnsRecords": [{"Type": one.type, "TTL": one.ttl} for one in service.records],
        }
        if not summary:
            view["DnsConfig"]["NamespaceId"] = service.namespace_id
    if not summary:
        view["NamespaceId"] = service.namespace_id
        if service.creator_request_id:
            view["CreatorRequestId"] = service.creator_request_id
    if service.custom_health:
        view["HealthCheckCustomConfig"] = {"FailureThreshold": 1}
    if service.description:
        view["Description"] = service.description
    return view


def instance_view(instance: Instance, account_id: str, *, summary: bool = False) -> View:
    """An instance."""
    view: View = {
        "Id": instance.instance_id,
        "Attributes": instance.attributes,
        "CreatedByAccount": account_id,
    }
    if instance.creator_request_id and not summary:
        view["CreatorRequestId"] = instance.creator_request_id
    return view


def operation_view(operation: Operation) -> View:
    """An operation: it is done."""
    return {
        "Id": operation.operation_id,
        "OwnerAccount": operation.account_id,
        "Type": operation.type,
        "Status": "SUCCESS",
        "CreateDate": operation.created_at,
        "UpdateDate": operation.created_at,
        "Targets": operation.targets,
    }
