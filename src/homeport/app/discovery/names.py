"""Cloud Map as Service Connect uses it, and where in EC2's networks the names lead."""

from __future__ import annotations

from collections.abc import Sequence

from homeport.app.discovery.doors import DEPLOYMENT
from homeport.core.errors import AwsError
from homeport.services.ec2 import manifest as ec2
from homeport.services.ecs import manifest as ecs
from homeport.services.servicediscovery import manifest as cloud_map
from homeport.store.tx import Tx


class CloudMapConnect:
    """ECS's `ConnectNames`: an entrance stands in its Cloud Map service's row."""

    def __init__(self, entrances: cloud_map.Entrances) -> None:
        self._entrances = entrances

    def namespace(self, tx: Tx, account_id: str, region: str, reference: str) -> ecs.ConnectNamespace | None:
        """The account's namespace of that name or ARN."""
        found = self._entrances.namespace(tx, account_id, region, reference)
        return None if found is None else ecs.ConnectNamespace(arn=found.arn, name=found.name)

    def make_namespace(self, tx: Tx, account_id: str, region: str, name: str) -> ecs.ConnectNamespace:
        """One for API calls only."""
        made = self._entrances.make_namespace(tx, account_id, region, name)
        return ecs.ConnectNamespace(arn=made.arn, name=made.name)

    def claim(
        self,
        tx: Tx,
        service_arn: str,
        namespace: str,
        endpoint: ecs.ConnectEndpoint,
        network: ecs.TaskNetwork | None,
    ) -> str:
        """Raise `ConnectRefusedError` where a name is taken."""
        region, account_id = service_arn.split(":")[3:5]
        found = self._entrances.namespace(tx, account_id, region, namespace)
        if found is None:
            raise ecs.ConnectRefusedError(f"The namespace {namespace} is not there any more.")
        subnets = tuple(one.subnet_id for one in network.subnets) if network is not None else ()
        entrance = cloud_map.Entrance(
            owner=service_arn,
            name=endpoint.alias,
            port=endpoint.port,
            protocol=endpoint.protocol,
            vpc_id=_vpc(ec2.Shelf(tx, account_id, region), subnets),
            subnets=subnets,
            idle_seconds=endpoint.idle_seconds,
            request_seconds=endpoint.request_seconds,
            test_header=endpoint.test_header,
            test_value=endpoint.test_value,
        )
        _check_free(tx, found, entrance)
        try:
            return self._entrances.claim(tx, found, endpoint.discovery_name, entrance).arn
        except AwsError as error:
            raise ecs.ConnectRefusedError(error.message) from None

    def registered(self, tx: Tx, arn: str, deployment_id: str) -> int:
        """How many tasks of a deployment are in a Cloud Map service."""
        found = cloud_map.find_instances(tx, arn.rpartition("/")[2])
        return sum(one.attributes.get(DEPLOYMENT) == deployment_id for one in found)

    def share(self, tx: Tx, service_arn: str, shares: ecs.ConnectShares | None) -> None:
        """What becomes of a service's traffic from now on."""
        shift = None
        if shares is not None:
            shift = cloud_map.Shift(fresh=shares.fresh, percent=shares.percent, tests=shares.tests)
        self._entrances.share(tx, service_arn, shift)

    def remove(self, tx: Tx, service: cloud_map.Service) -> None:
        """Nobody uses it any more."""
        self._entrances.remove(tx, service)


def _vpc(shelf: ec2.Shelf, subnets: Sequence[str]) -> str:
    """Of the tasks: their subnets', or the default one, where instances are."""
    for subnet_id in subnets:
        subnet = shelf.find(ec2.Subnet, subnet_id)
        if subnet is not None:
            return subnet.vpc_id
    home = next((one.resource_id for one in shelf.all(ec2.Vpc) if one.is_default), "")
    if not home:
        raise ecs.ConnectRefusedError(
            "Service Connect has no place for its addresses: there is no default VPC."
        )
    return home


def _check_free(tx: Tx, namespace: cloud_map.Namespace, entrance: cloud_map.Entrance) -> None:
    """A name and a port are one service's in a namespace; a name is one namespace's in a VPC."""
    for one in cloud_map.services_with_entrances(tx):
        there = one.entrance
        if there is None or there.owner == entrance.owner or there.name != entrance.name:
            continue
        if one.namespace_id == namespace.namespace_id and there.port == entrance.port:
            raise ecs.ConnectRefusedError(
                f"The client alias {there.name}:{there.port} is that of {there.owner} in the namespace "
                f"{namespace.name}."
            )
        if one.namespace_id != namespace.namespace_id and there.vpc_id == entrance.vpc_id:
            raise ecs.ConnectRefusedError(
                f"The dnsName {there.name} is that of {there.owner} in another namespace, and names are told "
                f"to the whole VPC {there.vpc_id} here: choose another dnsName."
            )
