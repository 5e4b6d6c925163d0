"""A service's part in Service Connect: where it is a client, and the names that lead to its tasks."""

from __future__ import annotations

import msgspec

from homeport.services.ecs.model.base import Document, Noun

TCP = "tcp"


class ConnectEndpoint(Noun, frozen=True, kw_only=True):
    """A port of a service's tasks, and the name and port that clients use. No timeout is 0.

    `protocol`: http, http2, grpc or tcp. `arn`: the Cloud Map service in which the tasks are registered.
    `ingress_port`: of the tasks' interfaces, where others reach the container's port; 0: the same port.
    `test_header`: what requests are known by that test a deployment, with any value or with `test_value`.
    """

    port_name: str
    discovery_name: str
    arn: str = ""
    container: str
    container_port: int
    protocol: str = TCP
    alias: str
    port: int
    idle_seconds: int = 0
    request_seconds: int = 0
    ingress_port: int = 0
    test_header: str = ""
    test_value: str = ""


class Connect(Noun, frozen=True, kw_only=True):
    """`namespace`: its ARN. `given` is what was asked for, as it is shown again."""

    namespace: str
    endpoints: tuple[ConnectEndpoint, ...] = ()
    given: Document = msgspec.field(default_factory=dict)
