"""`homeport url`: where a service or a load balancer answers, as this machine reaches it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from xml.etree.ElementTree import Element

from cyclopts import Parameter

from homeport.app.sample import addresses_of
from homeport.cli.client import ApiError, AwsClient
from homeport.cli.common import DEFAULT_CLUSTER, AsJson, Cluster, DataDir, client_for
from homeport.cli.output import CliError, print_json
from homeport.cli.ps import tasks_of

ELB, ELB_VERSION, CLASSIC_VERSION = "elasticloadbalancing", "2015-12-01", "2012-06-01"
EC2, EC2_VERSION = "ec2", "2016-11-15"
SCHEMES = {
    "HTTP": "http",
    "HTTPS": "https",
    "TCP": "tcp",
    "TLS": "tls",
    "UDP": "udp",
    "TCP_UDP": "tcp",
    "SSL": "tls",
}
NOT_ON_LOOPBACK = "Classic Load Balancers have no names on loopback"
USUAL = {"http": 80, "https": 443}
KINDS = ("service", "balancer")
CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A way in. `loopback`: the same by a name that leads to 127.0.0.1; `closed`: why that is not there."""

    url: str
    address: str
    port: int
    protocol: str
    loopback: str = ""
    closed: str = ""


def written(scheme: str, host: str, port: int, path: str = "") -> str:
    """A URL, without a port that needs no saying."""
    place = host if USUAL.get(scheme) == port else f"{host}:{port}"
    return f"{scheme}://{place}{path or '/' if scheme in USUAL else ''}"


def ask(api: AwsClient, operation: str, *, version: str = ELB_VERSION, **members: str) -> list[Element]:
    """An operation of Elastic Load Balancing; what it found. Nothing for a name of nothing."""
    try:
        root = api.query(ELB, operation, version=version, **members)
    except ApiError as error:
        if error.code in ("LoadBalancerNotFound", "TargetGroupNotFound"):
            return []
        raise
    result = root.find(f"{operation}Result")
    return [] if result is None or not len(result) else list(result[0])


def text(element: Element, path: str) -> str:
    """What stands there, or nothing."""
    return element.findtext(path) or ""


def balancer_doors(api: AwsClient, balancer: Element, groups: Iterable[str] = ()) -> list[Door]:
    """A balancer's ways in; with `groups` only those that lead to one of these target groups."""
    arn, wanted = text(balancer, "LoadBalancerArn"), set(groups)
    addresses = _addresses(api, arn.partition(":loadbalancer/")[2])
    label = text(balancer, "DNSName").partition(".")[0]
    closed: Mapping[str, str] = api.own("loopback")["ports"]
    doors: list[Door] = []
    for listener in ask(api, "DescribeListeners", LoadBalancerArn=arn):
        path = _way_to(api, listener, wanted)
        if path is None or not addresses:
            continue
        port, protocol = int(text(listener, "Port")), text(listener, "Protocol")
        scheme = SCHEMES.get(protocol, protocol.lower())
        named = written(scheme, f"{label}.elb.localhost", port, path)
        why = closed.get(str(port), "no listener of this kind can be told apart by names")
        doors.append(
            Door(
                url=written(scheme, addresses[0], port, path),
                address=addresses[0],
                port=port,
                protocol=protocol,
                loopback="" if why else named,
                closed=why,
            )
        )
    return sorted(doors, key=lambda one: (one.protocol not in ("HTTP", "HTTPS"), one.port))


def _addresses(api: AwsClient, balancer: str) -> list[str]:
    """Where a balancer listens."""
    told = {"Filter.1.Name": "description", "Filter.1.Value.1": f"ELB {balancer}"}
    found = api.query(EC2, "DescribeNetworkInterfaces", version=EC2_VERSION, **told)
    return sorted(filter(None, (text(one, "privateIpAddress") for one in found.iter("item"))))


def classic_doors(api: AwsClient, name: str) -> list[Door]:
    """A Classic Load Balancer's ways in; none when there is no such balancer."""
    key, doors = {"LoadBalancerNames.member.1": name}, []
    for balancer in ask(api, "DescribeLoadBalancers", version=CLASSIC_VERSION, **key):
        for address in _addresses(api, name)[:1]:
            for listener in balancer.iterfind("ListenerDescriptions/member/Listener"):
                port, protocol = int(text(listener, "LoadBalancerPort")), text(listener, "Protocol")
                scheme = SCHEMES.get(protocol, protocol.lower())
                where = written(scheme, address, port)
                doors.append(
                    Door(url=where, address=address, port=port, protocol=protocol, closed=NOT_ON_LOOPBACK)
                )
    return sorted(doors, key=lambda one: (one.protocol not in ("HTTP", "HTTPS"), one.port))


def _way_to(api: AwsClient, listener: Element, groups: set[str]) -> str | None:
    """The path that leads to one of the groups: "" for any; `None`: no rule forwards there."""
    if not groups or _names(listener.find("DefaultActions"), groups):
        return ""
    for rule in ask(api, "DescribeRules", ListenerArn=text(listener, "ListenerArn")):
        if _names(rule.find("Actions"), groups):
            paths = (one.text or "" for one in rule.iterfind(".//PathPatternConfig/Values/member"))
            return next((path.partition("*")[0] for path in paths if path.startswith("/")), "")
    return None


def _names(actions: Element | None, groups: set[str]) -> bool:
    return actions is not None and any(one.text in groups for one in actions.iter("TargetGroupArn"))


def service_groups(service: Mapping[str, Any]) -> list[str]:
    """The target groups of a service, of its task sets and deployments too."""
    parts = (service, *service.get("taskSets", ()), *service.get("deployments", ()))
    found = [one.get("targetGroupArn", "") for part in parts for one in part.get("loadBalancers", ())]
    more = [
        one.get("advancedConfiguration", {}).get("alternateTargetGroupArn", "")
        for part in parts
        for one in part.get("loadBalancers", ())
    ]
    return list(dict.fromkeys(filter(None, (*found, *more))))


def service_doors(api: AwsClient, service: Mapping[str, Any]) -> list[Door]:
    """By its balancers."""
    names = [one.get("loadBalancerName", "") for one in service.get("loadBalancers", ())]
    doors = [door for name in filter(None, names) for door in classic_doors(api, name)]
    groups = service_groups(service)
    for group in (one for arn in groups for one in ask(api, "DescribeTargetGroups", **_member(arn))):
        for member in group.iterfind("LoadBalancerArns/member"):
            arns = {"LoadBalancerArns.member.1": member.text or ""}
            for balancer in ask(api, "DescribeLoadBalancers", **arns):
                doors += balancer_doors(api, balancer, groups)
    return list(dict.fromkeys(doors))


def _member(arn: str) -> dict[str, str]:
    return {"TargetGroupArns.member.1": arn}


def task_doors(api: AwsClient, cluster: str, name: str) -> Iterator[Door]:
    """A service's tasks themselves: their published ports, or the ports of their own interfaces."""
    for task in tasks_of(api, cluster, stopped=False):
        if task.get("group") != f"service:{name}" or task["lastStatus"] != "RUNNING":
            continue
        published = [address.replace("*", "127.0.0.1") for address in addresses_of(task)]
        for host, _, port in (address.rpartition(":") for address in published or _interface(api, task)):
            yield Door(url=written("http", host, int(port)), address=host, port=int(port), protocol="HTTP")


def _interface(api: AwsClient, task: Mapping[str, Any]) -> Iterator[str]:
    hosts = [
        one["value"]
        for attachment in task.get("attachments", ())
        for one in attachment.get("details", ())
        if one.get("name") == "privateIPv4Address"
    ]
    if hosts:
        told = api.call("DescribeTaskDefinition", taskDefinition=task["taskDefinitionArn"])
        for container in told["taskDefinition"]["containerDefinitions"]:
            for mapping in container.get("portMappings", ()):
                if mapping.get("protocol", "tcp") == "tcp" and "containerPort" in mapping:
                    yield f"{hosts[0]}:{mapping['containerPort']}"


def find_doors(api: AwsClient, cluster: str, kind: str, name: str) -> list[Door]:
    """Every way in, the best one first. Raise `CliError` when there is none."""
    if kind != "balancer":
        found = api.call("DescribeServices", cluster=cluster, services=[name])["services"]
        if found and found[0]["status"] == "ACTIVE":
            doors = service_doors(api, found[0]) or list(task_doors(api, cluster, name))
            if not doors:
                raise CliError(
                    f"no running task of service {name} publishes a port",
                    f"See why: homeport explain service {name}",
                )
            return doors
    key = "LoadBalancerArns.member.1" if name.startswith("arn:") else "Names.member.1"
    balancers = [] if kind == "service" else ask(api, "DescribeLoadBalancers", **{key: name})
    classic = [] if balancers or kind == "service" else classic_doors(api, name)
    if classic:
        return classic
    if not balancers:
        raise CliError(
            f"there is no {kind or 'service or load balancer'} {name}",
            "See: homeport status, aws elbv2 describe-load-balancers",
        )
    state, reason = text(balancers[0], "State/Code"), text(balancers[0], "State/Reason")
    if state == "failed":
        raise CliError(f"load balancer {name} has failed: {reason}", "Change what it says, and look again.")
    doors = balancer_doors(api, balancers[0])
    if not doors:
        raise CliError(
            f"load balancer {name} ({state}) has no listener yet", "Make one: aws elbv2 create-listener"
        )
    return doors


def reaches(door: Door) -> bool:
    """Whether a connection can be made. What takes datagrams is believed."""
    if door.protocol == "UDP":
        return True
    try:
        with socket.create_connection((door.address, door.port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def url(
    *words: Annotated[str, Parameter(help="[service|balancer] NAME.")],
    cluster: Cluster = DEFAULT_CLUSTER,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> int:
    """Print an address by which this machine reaches a service or a load balancer.

    A service answers at its load balancer, else at a task's published port or its network interface. `--json`
    tells all addresses, and those by names on loopback (NAME.elb.localhost) or why there are none.

    Exit status: 0 printed, 1 nothing answers there or no such thing, 3 nothing serves here.
    """
    kind = words[0] if len(words) == 2 and words[0] in KINDS else ""
    if len(words) != 1 + bool(kind):
        raise CliError("the address of what?", "homeport url [service|balancer] NAME", status=2)
    with client_for(data_dir) as api:
        doors = find_doors(api, cluster, kind, words[-1])
    best = next((one for one in doors if reaches(one)), None)
    if json:
        print_json({"url": None if best is None else best.url, "addresses": [asdict(one) for one in doors]})
    elif best is not None:
        print(best.url)
    if best is None:
        raise CliError(
            f"nothing answers at {doors[0].url}",
            "Do the security groups let this machine in? It is 127.0.0.1 to them: see "
            "aws ec2 describe-security-groups, and authorize-security-group-ingress.",
        )
    return 0
