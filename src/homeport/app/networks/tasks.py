"""EC2's networks as ECS uses them: interfaces of tasks are rows of EC2, made and removed with their tasks.

Everything happens in its caller's transaction: there is no task without its interface, and no interface
without its task, at any moment that anybody can see.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from ipaddress import IPv4Network
from typing import TypeVar

from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.core.ids import Ids
from homeport.services.ec2 import manifest as ec2
from homeport.services.ec2.model import private_name
from homeport.services.ecs import manifest as ecs
from homeport.services.elbv2.repo.groups import GroupRepo
from homeport.store.tx import Tx

R = TypeVar("R", ec2.Subnet, ec2.SecurityGroup)

REQUESTER = "amazon-ecs"
"""Whose the interfaces of tasks are."""
SECOND = 1
"""The device index of a task's interface on its instance: never the instance's own."""
DNS_OFFSET = 2
"""Source: VPC user guide, "Amazon DNS server": at the base of the VPC's range, plus two."""


class TaskNetworks:
    """`ecs.Networks` on EC2's rows."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    def find(
        self,
        tx: Tx,
        account_id: str,
        region: str,
        *,
        subnets: Sequence[str],
        groups: Sequence[str],
        public: bool,
    ) -> ecs.TaskNetwork:
        """Source of the refusals: answers of ECS; those about VPCs are our words."""
        shelf = ec2.Shelf(tx, account_id, region)
        found = _known(shelf, ec2.Subnet, subnets, "subnet")
        guards = _known(shelf, ec2.SecurityGroup, groups, "security group")
        vpcs = sorted({one.vpc_id for one in (*found, *guards)})
        if len(vpcs) > 1:
            raise ecs.NetworkRefusedError(
                f"All subnets and security groups must be of one VPC; those given are of {', '.join(vpcs)}."
            )
        return ecs.TaskNetwork(
            subnets=tuple(ecs.SubnetPlace(subnet_id=one.resource_id, zone=one.zone) for one in found),
            groups=tuple(one.resource_id for one in guards),
            public=public,
        )

    def check_groups(
        self, tx: Tx, account_id: str, region: str, *, network: ecs.TaskNetwork, groups: Collection[str]
    ) -> None:
        """Source: a target group takes addresses of its own VPC only; the text is ours."""
        shelf = ec2.Shelf(tx, account_id, region)
        subnets = (shelf.find(ec2.Subnet, place.subnet_id) for place in network.subnets)
        vpcs = {subnet.vpc_id for subnet in subnets if subnet is not None}
        for group in GroupRepo(tx, account_id, region).among(groups).values():
            if vpcs and group.vpc_id not in vpcs:
                raise ecs.NetworkRefusedError(
                    f"The target group {group.arn} is of the VPC {group.vpc_id}: it takes no tasks of the "
                    f"VPC {', '.join(sorted(vpcs))}, where the subnets of this service are."
                )

    def attach(
        self, tx: Tx, task: ecs.Task, network: ecs.TaskNetwork, *, subnets: Sequence[str], instance_id: str
    ) -> ecs.TaskInterface:
        """An interface in the first of the subnets that has an address left."""
        shelf = ec2.Shelf(tx, task.account_id, task.region)
        refused: AwsError | None = None
        for subnet_id in subnets:
            try:
                return self._made(shelf, task, network, subnet_id, instance_id)
            except AwsError as error:
                refused = refused or error
        code = "InvalidSubnetID.NotFound" if refused is None else refused.code
        raise ecs.NoInterfaceError(code)

    def _made(
        self, shelf: ec2.Shelf, task: ecs.Task, network: ecs.TaskNetwork, subnet_id: str, instance_id: str
    ) -> ecs.TaskInterface:
        subnet = shelf.get(ec2.Subnet, subnet_id)
        vpc = shelf.get(ec2.Vpc, subnet.vpc_id)
        uid = _attachment_id(task.uid)
        made = ec2.add_interface(
            shelf,
            self._ids,
            subnet,
            groups=network.groups,
            description=f"arn:aws:ecs:{task.region}:{task.account_id}:attachment/{uid}",
            requester_id=REQUESTER,
            is_public=network.public,
            attachment=ec2.Attachment(
                attachment_id=f"eni-attach-0{self._ids.token(8).hex()}",
                attached_at=self._clock.now(),
                instance_id=instance_id,
                device_index=SECOND,
            ),
        )
        return ecs.TaskInterface(
            uid=uid,
            subnet_id=subnet_id,
            eni_id=made.resource_id,
            mac=made.mac,
            address=made.address,
            subnet=subnet.cidr,
            dns_server=str(IPv4Network(vpc.cidr)[DNS_OFFSET]),
            dns_name=private_name(made.address, task.region),
        )

    def detach(self, tx: Tx, task: ecs.Task) -> None:
        """Missing is fine."""
        if task.interface is None:
            return
        shelf = ec2.Shelf(tx, task.account_id, task.region)
        found = shelf.find(ec2.NetworkInterface, task.interface.eni_id)
        if found is not None:
            ec2.remove_interface(shelf, found)

    def sweep(
        self, tx: Tx, account_id: str, region: str, *, instance_id: str, is_live: Callable[[str], bool]
    ) -> int:
        """Remove an instance's interfaces of tasks that do not live; how many went."""
        shelf = ec2.Shelf(tx, account_id, region)
        strays = [
            one
            for one in shelf.all(ec2.NetworkInterface)
            if one.requester_id == REQUESTER
            and one.attachment is not None
            and one.attachment.instance_id == instance_id
            and not is_live(one.description.rpartition("/")[2].replace("-", ""))
        ]
        for one in strays:
            ec2.remove_interface(shelf, one)
        return len(strays)


def _attachment_id(task_uid: str) -> str:
    """The task's own id, spelled as a UUID: whoever finds an interface finds its task."""
    return "-".join((task_uid[:8], task_uid[8:12], task_uid[12:16], task_uid[16:20], task_uid[20:]))


def _known(shelf: ec2.Shelf, kind: type[R], ids: Sequence[str], what: str) -> list[R]:
    try:
        return shelf.get_all(kind, ids)
    except AwsError as error:
        listed = ", ".join(ids)
        raise ecs.NetworkRefusedError(
            f"Error retrieving {what} information for [{listed}]: {error.message} (ErrorCode: {error.code})"
        ) from None
