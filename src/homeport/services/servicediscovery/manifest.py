"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.servicediscovery.api import (  # noqa: F401  register the handlers
    done,
    instances,
    namespaces,
    services,
    tags,
)
from homeport.services.servicediscovery.api.context import ServiceDiscovery, ops
from homeport.services.servicediscovery.api.entrances import Entrances
from homeport.services.servicediscovery.api.facts import Facts
from homeport.services.servicediscovery.api.registrar import Registrar
from homeport.services.servicediscovery.model import Entrance, Instance, Namespace, Service, Shift
from homeport.services.servicediscovery.plan.instances import NameRecords, name_records
from homeport.services.servicediscovery.ports import Vpcs
from homeport.services.servicediscovery.repo import tables  # noqa: F401  defines the tables
from homeport.services.servicediscovery.repo.registry import (
    NAMESPACE_CHANGED,
    SERVICE_CHANGED,
    find_instances,
    find_namespace,
    find_service,
    ids_of_all,
    public_services,
    services_of,
    services_with_entrances,
)

name = "servicediscovery"
operations = ops
invalid_input = "InvalidInput"
facts = Facts()
takes = None

__all__ = [
    "NAMESPACE_CHANGED",
    "SERVICE_CHANGED",
    "Entrance",
    "Entrances",
    "Instance",
    "NameRecords",
    "Namespace",
    "Registrar",
    "Service",
    "ServiceDiscovery",
    "Shift",
    "Vpcs",
    "facts",
    "find_instances",
    "find_namespace",
    "find_service",
    "ids_of_all",
    "invalid_input",
    "name",
    "name_records",
    "operations",
    "public_services",
    "services_of",
    "services_with_entrances",
    "takes",
]
