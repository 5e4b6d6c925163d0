"""One request's way, as one visible list of stages.

    request id -> route -> verify SigV4 -> parse and validate -> authorise -> dispatch -> serialise

Each stage takes one frozen value and returns the next, so that no field is
ever "not set yet". A stage that refuses raises `RefusedError`, which has all that
an answer needs. The access log and the counters see every request (`asgi`).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from urllib.parse import parse_qsl

from homeport.core.access import Access
from homeport.core.call import NOBODY, Call, Principal
from homeport.core.clock import Clock
from homeport.core.errors import AwsError, StaleWriteError, UnavailableError, UnstorableError
from homeport.core.ids import Ids, uuid
from homeport.core.log import get_logger
from homeport.gateway.audit import AuditTrail, Note, named_resources
from homeport.gateway.authority import Authority, Decided, circumstances, is_unlimited
from homeport.gateway.ports import DenialSeal, KeyRecord, KeyRing, OwnPage, SocketAccess
from homeport.gateway.refusals import (
    RefusedError,
    denied,
    our_fault,
    said_by_service,
    too_large,
    unproven,
    unreadable,
    unserved,
)
from homeport.gateway.stages import (
    Anonymous,
    Arrived,
    Authenticated,
    Authorised,
    MountedService,
    Outcome,
    Parsed,
    RoutedRequest,
)
from homeport.policy.denial import explanation
from homeport.runtime.retry import decide_again
from homeport.wire.codec import parse, serialise
from homeport.wire.errors import (
    InvalidInputError,
    MalformedRequestError,
    UnroutableError,
    UnsupportedOperationError,
)
from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.route import Routed, Router
from homeport.wire.sigv4 import Claim, FailureKind, SignatureError, claim, verify

log = get_logger("gateway")

STALE_TRIES = 10
UNSIGNED_REGION = "us-east-1"
"""Where a request is that names no region because nobody signed it; only STS has such."""

CUT_OFF_STATUS, CUT_OFF, CUT_OFF_MESSAGE = 0, "Cancelled", "The server ended before it answered."
SOCKET_STATUS, SOCKET_REFUSED_STATUS = 101, 403
"""Of a websocket's upgrade, in the audit log."""


class Chain:
    """The stages, over the services of this process."""

    def __init__(
        self,
        services: tuple[MountedService, ...],
        keys: KeyRing,
        clock: Clock,
        ids: Ids,
        *,
        anonymous: Anonymous | None = None,
        trail: AuditTrail | None = None,
        denials: DenialSeal | None = None,
        socket_access: SocketAccess,
    ) -> None:
        self._socket_access = socket_access
        self._services = {service.name: service for service in services}
        self._authority = Authority(
            {
                one.operations.action_prefix: (one.facts, one.context)
                for one in services
                if one.facts is not None
            }
        )
        self._trail = trail
        self._denials = denials
        self._router = Router(self._services)
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._anonymous = anonymous

    async def handle(self, http: HttpRequest, base_url: str) -> Outcome:
        """The answer to a request; never raises for anything that a caller can send."""
        arrived = Arrived(request_id=uuid(self._ids), http=http, base_url=base_url, at=self._clock.now())
        routed: RoutedRequest | None = None
        note = Note(request_id=arrived.request_id, at=arrived.at, http=http)
        message = ""
        try:
            routed = self._route(arrived)
            note.routed, note.claim = routed.routed, routed.claim
            proven = await self._authenticate(routed)
            note.call = proven.call
            self._refuse_untaken(proven)
            allowed = await self._authorise(self._parse(proven), note)
            note.may = True
            answer = await self._dispatch(allowed)
            error = None
        except RefusedError as refusal:
            answer, error, message = refusal.answer(arrived.request_id), refusal.code, refusal.message
        except UnavailableError as reason:
            log.error("request.unavailable", request_id=arrived.request_id, reason=str(reason))  # noqa: TRY400
            fault = self._our_fault(routed, f"{reason.message} Try again later.", status=503)
            answer, error = fault.answer(arrived.request_id), fault.code
        except Exception:
            log.exception("request.failed", request_id=arrived.request_id)
            fault = self._our_fault(
                routed, "An internal error occurred; the server's log has it under this request id."
            )
            answer, error = fault.answer(arrived.request_id), fault.code
        except asyncio.CancelledError:
            self._keep(note, CUT_OFF_STATUS, CUT_OFF, CUT_OFF_MESSAGE)
            raise
        self._keep(note, answer.status, error, message)
        return Outcome(
            answer=answer,
            request_id=arrived.request_id,
            service=routed.routed.service if routed else "-",
            operation=routed.routed.operation if routed else "-",
            account_id=note.call.account_id if note.call else "-",
            error=error,
        )

    def _keep(self, note: Note, status: int, error: str | None = None, message: str = "") -> None:
        """Write a request's line, before anybody hears of its answer."""
        if self._trail is not None:
            self._trail.write(note.entry(status, error, message))

    def refuse_too_large(self, http: HttpRequest) -> Outcome:
        """The answer to a request whose body nobody read to its end."""
        note = Note(request_id=uuid(self._ids), at=self._clock.now(), http=http)
        refusal = too_large()
        self._keep(note, refusal.status, refusal.code, refusal.message)
        return Outcome(answer=refusal.answer(note.request_id), request_id=note.request_id, error=refusal.code)

    async def authenticate_socket(self, http: HttpRequest, base_url: str, action: str) -> Call:
        """Prove an agent's websocket upgrade and that it may `action`. Raise `RefusedError`."""
        # Read as the agents' sockets read it: of a member that is given twice, the last counts.
        query = dict(parse_qsl(http.raw_query, keep_blank_values=True))
        note = Note(request_id=uuid(self._ids), at=self._clock.now(), http=http)
        try:
            await self._prove(note, base_url, action, lambda call: self._socket_access(call, action, query))
        except RefusedError as refusal:
            self._keep(note, SOCKET_REFUSED_STATUS, refusal.code, refusal.message)
            raise
        self._keep(note, SOCKET_STATUS)
        assert note.call is not None
        return note.call

    async def _prove(self, note: Note, base_url: str, name: str, access_of: Callable[[Call], Access]) -> Call:
        """Prove a request that is signed for ECS but is none of its operations."""
        arrived = Arrived(request_id=note.request_id, http=note.http, base_url=base_url, at=note.at)
        routed = Routed(service="ecs", operation=name, protocol="json", params={})
        note.routed = routed
        note.claim = said = _claimed(note.http, routed)
        proven = await self._authenticate(RoutedRequest(arrived=arrived, routed=routed, claim=said))
        note.call = proven.call
        if not is_unlimited(proven.call.principal):
            how, access = circumstances(note.http, note.at), access_of(proven.call)
            note.decided = (await self._authority.ask(proven.call, access, proven.policies, how),)
            self._refuse_denied(proven.call, routed, note.decided)
        note.may = True
        return proven.call

    async def read_own(self, http: HttpRequest, base_url: str, page: OwnPage) -> HttpAnswer:
        """The answer to a signed request for a page of Homeport's own; refusals are ECS's."""
        note = Note(request_id=uuid(self._ids), at=self._clock.now(), http=http, own=True)
        try:
            name, access = page.action.partition(":")[2], Access(action=page.action)
            call = await self._prove(note, base_url, name, lambda _: access)
            body = await page.read(call, dict(parse_qsl(http.raw_query)))
        except RefusedError as error:
            refusal = error
        except AwsError as error:
            refusal = RefusedError("json", "ecs", error.code, error.message, status=error.status)
        except UnavailableError as reason:
            log.error("request.unavailable", request_id=note.request_id, reason=str(reason))  # noqa: TRY400
            refusal = self._our_fault(None, f"{reason.message} Try again later.", status=503)
        except Exception:
            log.exception("request.failed", request_id=note.request_id)
            refusal = self._our_fault(
                None, "An internal error occurred; the server's log has it under this request id."
            )
        except asyncio.CancelledError:
            self._keep(note, CUT_OFF_STATUS, CUT_OFF, CUT_OFF_MESSAGE)
            raise
        else:
            self._keep(note, 200)
            return HttpAnswer(status=200, headers=(("content-type", "application/json"),), body=body)
        self._keep(note, refusal.status, refusal.code, refusal.message)
        return refusal.answer(note.request_id)

    # ---- the stages -------------------------------------------------------------------------

    def _route(self, arrived: Arrived) -> RoutedRequest:
        try:
            said = claim(arrived.http)
        except SignatureError as error:
            routed = self._routed(arrived.http, None)
            raise unproven(error.kind, error.message, routed) from None
        routed = self._routed(arrived.http, said.scope.service if said else None)
        return RoutedRequest(arrived=arrived, routed=routed, claim=said)

    def _routed(self, http: HttpRequest, signing_name: str | None) -> Routed:
        try:
            return self._router.route(http, signing_name)
        except UnroutableError as error:
            raise RefusedError(error.protocol, None, error.code, error.message, status=error.status) from None

    async def _authenticate(self, request: RoutedRequest) -> Authenticated:
        arrived, said = request.arrived, request.claim
        if self._anonymous is not None:
            return self._take_word(request, self._anonymous)
        if said is None and self._is_unsigned(request.routed):
            return self._unsigned(request)
        if said is None:
            raise unproven(FailureKind.MISSING, "Missing Authentication Token", request.routed)
        record = await self._keys.find(said.access_key_id)
        if record is None or not record.active:
            raise unproven(
                FailureKind.UNKNOWN_KEY,
                "The security token included in the request is invalid.",
                request.routed,
            )
        try:
            body = verify(arrived.http, said, record.secret_access_key, record.session_token, arrived.at)
        except SignatureError as error:
            raise unproven(error.kind, error.message, request.routed) from None
        if record.expires_at is not None and record.expires_at <= arrived.at:
            raise unproven(
                FailureKind.EXPIRED_TOKEN,
                "The security token included in the request is expired",
                request.routed,
            )
        proven = self._authenticated(request, record, said.scope.region, body)
        self._keys.used(proven.call)
        return proven

    def _authenticated(
        self, request: RoutedRequest, record: KeyRecord, region: str, body: bytes
    ) -> Authenticated:
        arrived = request.arrived
        said = request.claim
        return Authenticated(
            routed=request.routed,
            http=_with_body(arrived.http, body),
            policies=record.policies,
            call=Call(
                request_id=arrived.request_id,
                service=request.routed.service,
                operation=request.routed.operation,
                account_id=record.principal.account_id,
                region=region,
                principal=record.principal,
                access_key_id=said.access_key_id if said else "",
                base_url=arrived.base_url,
            ),
        )

    def _take_word(self, request: RoutedRequest, default: Anonymous) -> Authenticated:
        """`--auth=off`: everybody is the root of the account that the key id names."""
        said = request.claim
        key_id = said.access_key_id if said else ""
        account_id = key_id if len(key_id) == 12 and key_id.isdecimal() else default.account_id
        principal = Principal(
            arn=f"arn:aws:iam::{account_id}:root", account_id=account_id, user_id=account_id
        )
        record = KeyRecord(secret_access_key="", principal=principal)
        region = said.scope.region if said else default.region
        return self._authenticated(request, record, region, request.arrived.http.body)

    def _is_unsigned(self, routed: Routed) -> bool:
        operation = self._services[routed.service].operations.find(routed.operation)
        return operation is not None and operation.unsigned

    def _unsigned(self, request: RoutedRequest) -> Authenticated:
        """An operation whose input proves the caller, if anything does."""
        record = KeyRecord(secret_access_key="", principal=NOBODY)
        return self._authenticated(request, record, UNSIGNED_REGION, request.arrived.http.body)

    def _parse(self, request: Authenticated) -> Parsed:
        routed = request.routed
        service = self._services[routed.service]
        operation = service.operations.find(routed.operation)
        if operation is None:
            raise unserved(routed)
        if service.closed:
            raise unserved(routed, f"is not served here: {service.closed}")
        try:
            given = parse(routed, request.http)
        except (MalformedRequestError, InvalidInputError) as error:
            code = operation.invalid_input or service.invalid_input
            raise unreadable(routed, code, error) from None
        except UnsupportedOperationError:
            raise unserved(routed) from None
        return Parsed(
            routed=routed,
            call=request.call,
            http=request.http,
            policies=request.policies,
            service=service,
            operation=operation,
            input=given,
        )

    async def _authorise(self, request: Parsed, note: Note) -> Authorised:
        if request.operation.open or is_unlimited(request.call.principal):
            if self._trail is not None:
                note.resources = named_resources(request.operation, request.call, request.input)
            return Authorised(parsed=request)
        note.decided = await self._decide(request, note)
        self._refuse_denied(request.call, request.routed, note.decided)
        return Authorised(parsed=request, decided=note.decided)

    async def _decide(self, request: Parsed, note: Note) -> tuple[Decided, ...]:
        try:
            return await self._authority.decide(
                request.call,
                request.operation,
                request.service.context,
                request.input,
                request.policies,
                circumstances(request.http, note.at),
            )
        except AwsError as error:
            raise said_by_service(request.routed, error) from None

    def _refuse_untaken(self, request: Authenticated) -> None:
        takes = self._services[request.routed.service].takes
        if takes is not None and not takes(request.call.principal, request.routed.operation):
            raise unproven(
                FailureKind.UNKNOWN_KEY,
                "The security token included in the request is invalid",
                request.routed,
            )

    def _refuse_denied(self, call: Call, routed: Routed, decided: tuple[Decided, ...]) -> None:
        last = decided[-1] if decided else None
        if last is not None and not last.decision.is_allowed:
            told = explanation(last.request, last.decision)
            raise denied(routed, last, self._denials.seal(call.account_id, told) if self._denials else "")

    async def _dispatch(self, request: Authorised) -> HttpAnswer:
        parsed = request.parsed
        handler, context = parsed.operation.handler, parsed.service.context
        try:
            output = await decide_again(
                lambda: handler(parsed.call, context, parsed.input),
                tries=STALE_TRIES,
            )
        except AwsError as error:
            raise said_by_service(parsed.routed, error) from None
        except UnstorableError as error:
            code = parsed.operation.invalid_input or parsed.service.invalid_input
            raise RefusedError(parsed.routed.protocol, parsed.routed.service, code, str(error)) from None
        except StaleWriteError:
            raise RefusedError(
                parsed.routed.protocol,
                parsed.routed.service,
                parsed.service.internal_error,
                "Too many changes at once; try again.",
                status=500,
                fault="Receiver",
            ) from None
        return serialise(parsed.routed, output, parsed.call.request_id)

    def _our_fault(self, request: RoutedRequest | None, message: str, *, status: int = 500) -> RefusedError:
        routed = None if request is None else request.routed
        code = "InternalFailure" if routed is None else self._services[routed.service].internal_error
        return our_fault(routed, code, message, status=status)


def _with_body(http: HttpRequest, body: bytes) -> HttpRequest:
    return http if body is http.body else dataclasses.replace(http, body=body)


def _claimed(http: HttpRequest, routed: Routed) -> Claim | None:
    try:
        return claim(http)
    except SignatureError as error:
        raise unproven(error.kind, error.message, routed) from None
