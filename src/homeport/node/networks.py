"""Whose network a container is in, and which interface the payload gives a task. Pure.

With sandboxes every container of a bridge task has a network of its own, as on Docker's bridge, and all
containers of an awsvpc task share one. Containers of the node's own hold them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any

from homeport.agentproto.messages import Container, Task
from homeport.node.model import Condition, ContainerRule, Dependency
from homeport.node.names import NETWORK_PAUSE, sandbox_part
from homeport.node.ports import TaskInterface

BRIDGE_MODES = frozenset({"", "bridge", "default"})
NETWORK_STOP_SECONDS = 0.0


class MalformedInterfaceError(ValueError):
    """An awsvpc task's interface is missing, or says nothing that could be used."""


def is_awsvpc(task: Task) -> bool:
    """Whether its containers share an interface of the VPC."""
    return task.network_mode == "awsvpc"


def attachment_arn(task: Task) -> str:
    """By what the control plane knows that the task's interface is attached; empty: by nothing."""
    if not is_awsvpc(task) or not task.elastic_network_interfaces:
        return ""
    return str(task.elastic_network_interfaces[0].get("attachmentArn") or "")


def interface_of(task: Task) -> TaskInterface:
    """The interface of an awsvpc task. Raise `MalformedInterfaceError`.

    Source: amazon-ecs-agent's payload, ElasticNetworkInterface.
    """
    found = task.elastic_network_interfaces
    if not found:
        raise MalformedInterfaceError("a task in network mode awsvpc needs a network interface")
    if len(found) > 1:
        raise MalformedInterfaceError("a task has one network interface here, and was given several")
    eni = found[0]
    if (protocol := eni.get("interfaceAssociationProtocol") or "default") != "default":
        raise MalformedInterfaceError(f"network interfaces of kind {protocol} are not supported by this node")
    addresses = eni.get("ipv4Addresses") or ()
    primary = next((one for one in addresses if one.get("primary")), addresses[0] if addresses else {})
    try:
        gateway = IPv4Interface(str(eni["subnetGatewayIpv4Address"]))
        address = IPv4Interface(str(primary["privateAddress"])).ip
        mac = str(eni["macAddress"])
    except (KeyError, ValueError) as error:
        raise MalformedInterfaceError(f"the network interface lacks an address: {error}") from error
    if address not in gateway.network:
        raise MalformedInterfaceError(f"the address {address} is not in its gateway's subnet {gateway}")
    return TaskInterface(
        attachment_id=attachment_arn(task).rpartition("/")[2],
        mac=mac,
        address=str(address),
        subnet=str(gateway.network),
        gateway=str(gateway.ip),
        dns=tuple(eni.get("domainNameServers") or ()),
        search=tuple(eni.get("domainName") or ()),
        private_dns_name=str(eni.get("privateDnsName") or ""),
    )


def with_sandboxes(
    task: Task, containers: Mapping[str, ContainerRule]
) -> tuple[dict[str, ContainerRule], dict[str, str]]:
    """The containers after the holders of their networks, and which holder each joins.

    In bridge mode a container that links to others begins after their networks: it is told their addresses.
    """
    if is_awsvpc(task):
        holders = {NETWORK_PAUSE: _holder(NETWORK_PAUSE, essential=True)}
        networks = dict.fromkeys((each.name for each in task.containers), NETWORK_PAUSE)
    elif task.network_mode in BRIDGE_MODES:
        networks = {each.name: sandbox_part(each.name) for each in task.containers if has_network(each)}
        holders = {
            networks[each.name]: _holder(
                networks[each.name],
                essential=each.essential,
                after=[networks[other] for other, _ in links_of(each) if other in networks],
            )
            for each in task.containers
            if each.name in networks
        }
    else:
        return dict(containers), {}
    joined = {name: _joining(rule, networks.get(name)) for name, rule in containers.items()}
    return holders | joined, networks


def has_network(container: Container) -> bool:
    """Whether `disableNetworking` leaves it one."""
    try:
        config = json.loads(container.docker_config.config or "{}")
    except ValueError:
        return True  # refused elsewhere, in words
    return not (isinstance(config, dict) and config.get("NetworkDisabled"))


def links_of(container: Container) -> tuple[tuple[str, str], ...]:
    """(container, alias) of each link."""
    pairs: list[tuple[str, str]] = []
    for link in container.links:
        name, _, alias = link.partition(":")
        pairs.append((name, alias or name))
    return tuple(pairs)


def awsvpc_network(interface: TaskInterface) -> Mapping[str, Any]:
    """What task metadata v4 shows of an awsvpc network beyond its mode and addresses.

    Source: amazon-ecs-agent, task metadata v4, Network.
    """
    members: dict[str, Any] = {
        "AttachmentIndex": 0,
        "MACAddress": interface.mac,
        "IPv4SubnetCIDRBlock": interface.subnet,
    }
    if interface.dns:
        members["DomainNameServers"] = list(interface.dns)
    if interface.search:
        members["DomainNameSearchList"] = list(interface.search)
    if interface.private_dns_name:
        members["PrivateDNSName"] = interface.private_dns_name
    length = interface.subnet.partition("/")[2]
    members["SubnetGatewayIpv4Address"] = f"{interface.gateway}/{length}"
    return members


def _holder(name: str, *, essential: bool, after: list[str] | None = None) -> ContainerRule:
    return ContainerRule(
        name=name,
        essential=essential,
        depends_on=tuple(Dependency(container=each, condition=Condition.START) for each in after or ()),
        stop_timeout_seconds=NETWORK_STOP_SECONDS,
        internal=True,
        sandbox=True,
    )


def _joining(rule: ContainerRule, network: str | None) -> ContainerRule:
    if network is None:
        return rule
    return replace(
        rule, depends_on=(Dependency(container=network, condition=Condition.START), *rule.depends_on)
    )
