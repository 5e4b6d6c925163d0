"""Connect URLs of both sockets: `<endpoint>/ws?<query>`.

The query is written as Go writes forms: keys sorted, space as `+`. Source:
recordings of the real agent; reference, sections 4.1, 5.1 and 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote_plus, urlsplit, urlunsplit

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_DOCKER_PREFIX = "DockerVersion: "


class BadConnectQueryError(ValueError):
    """A connect URL lacks a member or has an unreadable one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcsQuery:
    """What an agent says about itself when it opens ACS.

    `cluster` is a name or an ARN, as the agent was configured. The real agent's
    `seq_num` is always 1.
    """

    cluster: str
    container_instance: str
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    protocol_version: int = 2
    send_credentials: bool = False
    seq_num: int = 1

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The members under their names on the wire, sorted."""
        return (
            ("agentHash", self.agent_hash),
            ("agentVersion", self.agent_version),
            ("clusterArn", self.cluster),
            ("containerInstanceArn", self.container_instance),
            ("dockerVersion", f"{_DOCKER_PREFIX}{self.docker_version}"),
            ("protocolVersion", str(self.protocol_version)),
            ("sendCredentials", "true" if self.send_credentials else "false"),
            ("seqNum", str(self.seq_num)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TcsQuery:
    """What an agent says about itself when it opens TCS."""

    cluster: str
    container_instance: str
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The members under their names on the wire, sorted."""
        return (
            ("agentHash", self.agent_hash),
            ("agentVersion", self.agent_version),
            ("cluster", self.cluster),
            ("containerInstance", self.container_instance),
            ("dockerVersion", self.docker_version),
        )


def form_encode(pairs: tuple[tuple[str, str], ...]) -> str:
    """Go's `url.Values.Encode`: sorted by key, form escapes."""
    return "&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in sorted(pairs))


def connect_url(endpoint: str, query: AcsQuery | TcsQuery) -> str:
    """The websocket URL under a base URL of DiscoverPollEndpoint; its path prefix is kept."""
    parts = urlsplit(endpoint)
    if parts.scheme not in _SCHEMES or not parts.netloc:
        raise ValueError(f"not an http or https URL: {endpoint!r}")
    path = f"{parts.path.rstrip('/')}/ws"
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, form_encode(query.pairs()), ""))


def parse_acs_query(query: str) -> AcsQuery:
    """Raise `BadConnectQueryError` when it is not one of an agent."""
    members = _members(query)
    return AcsQuery(
        cluster=_required(members, "clusterArn"),
        container_instance=_required(members, "containerInstanceArn"),
        agent_version=members.get("agentVersion", ""),
        agent_hash=members.get("agentHash", ""),
        docker_version=members.get("dockerVersion", "").removeprefix(_DOCKER_PREFIX),
        protocol_version=_integer(members, "protocolVersion", 1),
        send_credentials=members.get("sendCredentials", "").lower() == "true",
        seq_num=_integer(members, "seqNum", 0),
    )


def parse_tcs_query(query: str) -> TcsQuery:
    """Raise `BadConnectQueryError` when it is not one of an agent."""
    members = _members(query)
    return TcsQuery(
        cluster=_required(members, "cluster"),
        container_instance=_required(members, "containerInstance"),
        agent_version=members.get("agentVersion", ""),
        agent_hash=members.get("agentHash", ""),
        docker_version=members.get("dockerVersion", "").removeprefix(_DOCKER_PREFIX),
    )


def _members(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=64))
    except ValueError as error:
        raise BadConnectQueryError("the query has too many members") from error


def _required(members: dict[str, str], name: str) -> str:
    value = members.get(name, "")
    if not value:
        raise BadConnectQueryError(f"{name} is missing")
    return value


def _integer(members: dict[str, str], name: str, absent: int) -> int:
    text = members.get(name, "")
    if not text:
        return absent
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadConnectQueryError(f"{name} is not a whole number")
    return int(text)
