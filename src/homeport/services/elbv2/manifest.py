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
from homeport.services.elbv2.api.registrar import GroupFacts, Registrar
from homeport.services.elbv2.control.balancers import BalancerController
from homeport.services.elbv2.model.balancers import LoadBalancer
from homeport.services.elbv2.ports import (
    BALANCERS_CHANGED,
    TARGETS_CHANGED,
    Instance,
    SecurityGroup,
    Subnet,
    Vpc,
)
from homeport.services.elbv2.repo import tables  # noqa: F401  defines the tables

name = "elbv2"
operations = ops
invalid_input = "ValidationError"
facts = Facts()

__all__ = [
    "BALANCERS_CHANGED",
    "TARGETS_CHANGED",
    "BalancerController",
    "Elbv2",
    "GroupFacts",
    "Instance",
    "LoadBalancer",
    "Registrar",
    "SecurityGroup",
    "Subnet",
    "Vpc",
    "facts",
    "invalid_input",
    "name",
    "operations",
]
