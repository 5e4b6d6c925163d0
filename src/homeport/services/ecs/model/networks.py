"""Where in a VPC tasks are, and the interface that one has there."""

from __future__ import annotations

from homeport.services.ecs.model.base import Noun

ELASTIC_NETWORK_INTERFACE = "ElasticNetworkInterface"
"""The type of a task's attachment in the API; events say `eni`. Source: developer guide, both."""


class SubnetPlace(Noun, frozen=True, kw_only=True):
    """A subnet, and the Availability Zone that it is in for good."""

    subnet_id: str
    zone: str


class TaskNetwork(Noun, frozen=True, kw_only=True):
    """An `awsvpcConfiguration`, looked up in EC2 when it was asked for.

    `groups`: the security groups that were named; none: the VPC's default group.
    """

    subnets: tuple[SubnetPlace, ...]
    groups: tuple[str, ...] = ()
    public: bool = False

    @property
    def zones(self) -> frozenset[str]:
        """Where its tasks may be."""
        return frozenset(place.zone for place in self.subnets)


class TaskInterface(Noun, frozen=True, kw_only=True):
    """A task's network interface. `uid` is the attachment's, `eni_id` EC2's; `subnet` is a CIDR.

    `status` moves along ATTACHING, ATTACHED, DETACHING, DELETED.
    """

    uid: str
    status: str = "ATTACHING"
    subnet_id: str
    eni_id: str
    mac: str
    address: str
    subnet: str
    dns_server: str
    dns_name: str

    @property
    def search_domain(self) -> str:
        """What names are completed with."""
        return self.dns_name.partition(".")[2]
