"""Answers that are errors, made before any service was asked, or for what a service said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from homeport.core.errors import AwsError
from homeport.gateway.authority import Decided
from homeport.policy.denial import denial_message
from homeport.wire.codec import serialise_error
from homeport.wire.disbelief import FailureKind, auth_failure
from homeport.wire.errors import InvalidInputError, MalformedRequestError
from homeport.wire.http import MAX_BODY_BYTES, HttpAnswer
from homeport.wire.model import service_api
from homeport.wire.route import Routed

DENIAL_HEADER = "x-homeport-authorization-message"
"""Where a denial carries its encoded message when the service's own text has no place for it."""
MESSAGE_CHARS = 1024
"""A service's refusal repeats what it was asked for; nobody reads more of it than this."""
XML = frozenset({"query", "ec2", "rest-xml"})


class RefusedError(Exception):
    """An answer that is an error: which protocol to say it in, and everything that it says."""

    def __init__(
        self,
        protocol: str,
        service: str | None,
        code: str,
        message: str,
        *,
        status: int = 400,
        fault: str = "Sender",
        members: Mapping[str, Any] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.protocol = protocol
        self.service = service
        self.code = code
        self.message = message
        self.status = status
        self.fault = fault
        self.members = members or {}
        self.headers = headers

    def answer(self, request_id: str) -> HttpAnswer:
        """The refusal on the wire."""
        answer = serialise_error(
            self.protocol,
            None if self.service is None else service_api(self.service),
            self.code,
            self.message,
            status=self.status,
            fault=self.fault,
            members=self.members,
            request_id=request_id,
        )
        return (
            dataclasses.replace(answer, headers=(*answer.headers, *self.headers)) if self.headers else answer
        )


def unproven(kind: FailureKind, message: str, routed: Routed) -> RefusedError:
    """Nobody is believed."""
    code, status = auth_failure(kind, routed.protocol)
    return RefusedError(routed.protocol, routed.service, code, message, status=status)


def unreadable(routed: Routed, code: str, error: MalformedRequestError | InvalidInputError) -> RefusedError:
    """What came is not what the model allows. EC2 has a code of its own for what is missing."""
    text = error.message
    if routed.protocol == "ec2" and isinstance(error, InvalidInputError) and error.missing:
        name = error.missing[0]
        code, text = "MissingParameter", f"The request must contain the parameter {name[0].lower()}{name[1:]}"
    return RefusedError(routed.protocol, routed.service, code, text)


def unserved(routed: Routed, why: str = "is not supported by Homeport yet.") -> RefusedError:
    """The model has the operation, Homeport does not, at all or (`why`) here."""
    return RefusedError(
        routed.protocol,
        routed.service,
        "NotImplemented" if routed.protocol in XML else "NotImplementedException",
        f"{routed.service}:{routed.operation} {why}",
        status=501,
        fault="Receiver",
    )


def denied(routed: Routed, decided: Decided, encoded: str) -> RefusedError:
    """The caller is known, and may not. `encoded`: all about it, for DecodeAuthorizationMessage."""
    xml = routed.protocol in XML
    text = denial_message(decided.request, decided.decision)
    if routed.protocol == "ec2":
        code, text = "UnauthorizedOperation", f"{text} Encoded authorization failure message: {encoded}"
    else:
        code = "AccessDenied" if xml else "AccessDeniedException"
    return RefusedError(
        routed.protocol,
        routed.service,
        code,
        text,
        status=403 if xml else 400,
        headers=((DENIAL_HEADER, encoded),) if encoded else (),
    )


def said_by_service(routed: Routed, error: AwsError) -> RefusedError:
    """What a service's handler refused, and how."""
    text = error.message
    return RefusedError(
        routed.protocol,
        routed.service,
        error.code,
        text if len(text) <= MESSAGE_CHARS else f"{text[:MESSAGE_CHARS]}...",
        status=error.status,
        fault=error.fault,
        members=error.members,
    )


def our_fault(routed: Routed | None, code: str, message: str, *, status: int) -> RefusedError:
    """The caller is not to blame."""
    return RefusedError(
        routed.protocol if routed else "json",
        routed.service if routed else None,
        code,
        message,
        status=status,
        fault="Receiver",
    )


def too_large() -> RefusedError:
    """Nobody read the body to its end, so nobody knows whose it is."""
    return RefusedError(
        "json",
        None,
        "RequestEntityTooLargeException",
        f"A request has at most {MAX_BODY_BYTES} bytes.",
        status=413,
    )
