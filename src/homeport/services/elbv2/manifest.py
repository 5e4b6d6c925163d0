"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.elbv2.api import (  # noqa: F401  register the handlers
    account,
    balancers,
    groups,
    listeners,
    rules,
    tags,
    targets,
)
from homeport.services.elbv2.api.context import Elbv2, ops
from homeport.services.elbv2.api.facts import Facts
from homeport.services.elbv2.api.forwarding import Change as RuleChange
from homeport.services.elbv2.api.forwarding import Forwarding
from homeport.services.elbv2.api.logins import ClientSecrets
from homeport.services.elbv2.api.registrar import GroupFacts, Registrar
from homeport.services.elbv2.api.targets import TooLateError
from homeport.services.elbv2.control.balancers import BalancerController
from homeport.services.elbv2.model.balancers import LoadBalancer
from homeport.services.elbv2.ports import (
    BALANCERS_CHANGED,
    TARGETS_CHANGED,
    Certificate,
    Certificates,
    DataPlane,
    Instance,
    NoCertificates,
    SecurityGroup,
    Subnet,
    Vpc,
)
from homeport.services.elbv2.repo import tables  # noqa: F401  defines the tables
from homeport.services.elbv2.repo.certificates import certificate_users
from homeport.services.elbv2.repo.whole import every_balancer, find_whole

name = "elbv2"
operations = ops
invalid_input = "ValidationError"
facts = Facts()
takes = None

__all__ = [
    "BALANCERS_CHANGED",
    "TARGETS_CHANGED",
    "BalancerController",
    "Certificate",
    "Certificates",
    "ClientSecrets",
    "DataPlane",
    "Elbv2",
    "Forwarding",
    "GroupFacts",
    "Instance",
    "LoadBalancer",
    "NoCertificates",
    "Registrar",
    "RuleChange",
    "SecurityGroup",
    "Subnet",
    "TooLateError",
    "Vpc",
    "certificate_users",
    "every_balancer",
    "facts",
    "find_whole",
    "invalid_input",
    "name",
    "operations",
    "takes",
]
