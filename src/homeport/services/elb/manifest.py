"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.elb.api import balancers, instances, listeners  # noqa: F401  register the handlers
from homeport.services.elb.api.context import Elb, ops
from homeport.services.elb.api.facts import Facts
from homeport.services.elb.api.instances import TooLateError
from homeport.services.elb.api.registrar import BalancerFacts, Registrar
from homeport.services.elb.control.balancers import ClassicController
from homeport.services.elb.model import LoadBalancer, Seen
from homeport.services.elb.plan.instances import DRAINING, REGISTERING
from homeport.services.elb.ports import CHANGED, Certificates, DataPlane, Network
from homeport.services.elb.repo import tables  # noqa: F401  defines the tables
from homeport.services.elb.repo.balancers import certificate_users, every_balancer, find_anywhere

name = "elb"
operations = ops
invalid_input = "ValidationError"
facts = Facts()
takes = None

__all__ = [
    "CHANGED",
    "DRAINING",
    "REGISTERING",
    "BalancerFacts",
    "Certificates",
    "ClassicController",
    "DataPlane",
    "Elb",
    "Facts",
    "LoadBalancer",
    "Network",
    "Registrar",
    "Seen",
    "TooLateError",
    "certificate_users",
    "every_balancer",
    "facts",
    "find_anywhere",
    "invalid_input",
    "name",
    "operations",
    "takes",
]
