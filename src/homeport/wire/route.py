"""Which operation of which service a request means, and in which protocol it speaks.

Decided from the request itself, never from a table "service to protocol": one
service may speak several (CloudWatch speaks three). Only services that the
signature is scoped to are considered; a signature for one service opens no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from homeport.wire.errors import UnroutableError
from homeport.wire.http import HttpRequest
from homeport.wire.model import OperationApi, ServiceApi, service_api
from homeport.wire.protocols.bindings import query_pairs, static_query

CBOR = "smithy-rpc-v2-cbor"
_CBOR_PATH = re.compile(r"(?:/[^?]*)?/service/([^/]+)/operation/([^/]+)/?")
_LABEL = re.compile(r"\{([^{}+]+)(\+?)\}")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What a request asks for. `params` are the path's labels, decoded, by their wire names."""

    service: str
    operation: str
    protocol: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    """One operation's path template. `required` are headers and query parameters that must be there."""

    operation: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    literals: int
    query: Mapping[str, str]
    required_query: frozenset[str]
    required_headers: frozenset[str]
    current: bool


class Router:
    """Routes among the services it is given (by botocore's names)."""

    def __init__(self, services: Iterable[str]) -> None:
        self._apis = tuple(service_api(name) for name in services)
        self._paths: dict[str, dict[str, tuple[_Path, ...]]] = {}

    def route(self, request: HttpRequest, signing_name: str | None) -> Routed:
        """`signing_name` is the signature's scope; None for unsigned requests.

        Raise `UnroutableError`, with a guess at the protocol the caller can read.
        """
        apis = [api for api in self._apis if signing_name in {None, api.signing_name}]
        guess = _guess(request, apis, signing_name)
        if not apis:
            raise _unknown(guess, f"No service that signs as {signing_name!r} is served here")
        if guess == CBOR:
            return self._route_cbor(request, apis)
        if (target := request.headers.get("x-amz-target")) is not None:
            return self._route_target(target, apis)
        if (asked := _asked_action(request)) is not None:
            return self._route_action(asked, apis, guess)
        return self._route_path(request, apis, guess)

    def _route_cbor(self, request: HttpRequest, apis: Sequence[ServiceApi]) -> Routed:
        found = _CBOR_PATH.fullmatch(request.raw_path)
        if found is None or request.method != "POST":
            raise _unknown(CBOR, "RPC v2 CBOR requests are POST /service/NAME/operation/NAME")
        service, operation = unquote(found[1]), unquote(found[2])
        matching = [a for a in self._apis if a.target_prefix == service and CBOR in a.protocols]
        return _pick(matching, apis, service, operation, CBOR)

    def _route_target(self, target: str, apis: Sequence[ServiceApi]) -> Routed:
        prefix, _, operation = target.rpartition(".")
        matching = [a for a in self._apis if a.target_prefix == prefix and "json" in a.protocols]
        return _pick(matching, apis, prefix, operation, "json")

    def _route_action(self, asked: tuple[str, str | None], apis: Sequence[ServiceApi], guess: str) -> Routed:
        action, version = asked
        protocol = guess if guess in {"query", "ec2"} else "query"
        for api in apis:
            spoken = next((p for p in ("query", "ec2") if p in api.protocols), None)
            if spoken is not None and version == api.api_version and action in api.operation_names:
                return Routed(service=api.name, operation=action, protocol=spoken, params={})
        shown = version or "NO_VERSION_SPECIFIED"
        raise UnroutableError(
            protocol, "InvalidAction", f"Could not find operation {action[:128]} for version {shown[:32]}"
        )

    def _route_path(self, request: HttpRequest, apis: Sequence[ServiceApi], guess: str) -> Routed:
        best: tuple[tuple[int, int, bool, int, bool], Routed] | None = None
        given = dict(query_pairs(request.raw_query)) if request.raw_query else {}
        for api in apis:
            protocol = next((p for p in api.protocols if p.startswith("rest-")), None)
            if protocol is None:
                continue
            for path in self._paths_of(api).get(request.method, ()):
                found = path.pattern.fullmatch(request.raw_path)
                if found is None or not _has(given, path.query):
                    continue
                held = path.required_query <= given.keys() and path.required_headers <= request.headers.keys()
                wanted = len(path.required_query) + len(path.required_headers)
                rank = (path.literals, len(path.query), held, wanted if held else -wanted, path.current)
                if best is None or rank > best[0]:
                    labels = {
                        name: unquote(text) for name, text in zip(path.labels, found.groups(), strict=True)
                    }
                    routed = Routed(
                        service=api.name, operation=path.operation, protocol=protocol, params=labels
                    )
                    best = (rank, routed)
        if best is None:
            raise _unknown(guess, f"No operation is at {request.method} {request.raw_path[:200]}")
        return best[1]

    def _paths_of(self, api: ServiceApi) -> dict[str, tuple[_Path, ...]]:
        if (table := self._paths.get(api.name)) is None:
            by_method: dict[str, list[_Path]] = {}
            for name in sorted(api.operation_names):
                operation = api.operation(name)
                by_method.setdefault(operation.method, []).append(_compile(operation))
            table = self._paths[api.name] = {m: tuple(paths) for m, paths in by_method.items()}
        return table


def _pick(
    matching: Sequence[ServiceApi], apis: Sequence[ServiceApi], prefix: str, operation: str, protocol: str
) -> Routed:
    allowed = [api for api in matching if api in apis]
    if matching and not allowed:
        name = matching[0].signing_name
        raise UnroutableError(
            protocol,
            "InvalidSignatureException",
            f"Credential should be scoped to correct service: '{name}'.",
        )
    for api in allowed:
        if operation in api.operation_names:
            return Routed(service=api.name, operation=operation, protocol=protocol, params={})
    raise _unknown(protocol, f"{prefix[:128]} has no operation {operation[:128]!r}")


def _unknown(protocol: str, message: str) -> UnroutableError:
    code, status = {
        "json": ("UnknownOperationException", 400),
        "query": ("InvalidAction", 400),
        "ec2": ("InvalidAction", 400),
        "rest-xml": ("MethodNotAllowed", 405),
    }.get(protocol, ("UnknownOperationException", 404))
    return UnroutableError(protocol, code, message, status=status)


def _guess(request: HttpRequest, apis: Sequence[ServiceApi], signing_name: str | None) -> str:
    """The protocol that the caller seems to speak."""
    headers = request.headers
    content_type = headers.get("content-type", "")
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return CBOR
    if "x-amz-target" in headers or content_type.startswith("application/x-amz-json"):
        return "json"
    protocols = {p for api in apis for p in api.protocols} if signing_name is not None else set()
    if content_type.startswith(_FORM) or "Action=" in request.raw_query:
        return "ec2" if "ec2" in protocols else "query"
    return next((p for p in ("rest-json", "rest-xml", "query", "ec2", "json") if p in protocols), "rest-json")


def _asked_action(request: HttpRequest) -> tuple[str, str | None] | None:
    """The query protocol's Action and Version, from the query string or a form body."""
    texts = [request.raw_query]
    content_type = request.headers.get("content-type", _FORM)
    if request.method == "POST" and content_type.startswith(_FORM):
        texts.append(request.body.decode("latin-1"))
    found: dict[str, str] = {}
    for text in texts:
        for name in ("Action", "Version"):
            if f"{name}=" in text:
                for pair in text.split("&"):
                    if pair.startswith(f"{name}="):
                        found.setdefault(name, unquote_plus(pair[len(name) + 1 :]))
    return (found["Action"], found.get("Version")) if "Action" in found else None


def _has(given: Mapping[str, str], static: Mapping[str, str]) -> bool:
    return all(key in given and value in {"", given[key]} for key, value in static.items())


def _compile(operation: OperationApi) -> _Path:
    template = operation.uri.partition("?")[0]
    pieces: list[str] = []
    labels: list[str] = []
    at = 0
    for found in _LABEL.finditer(template):
        pieces.append(re.escape(template[at : found.start()]))
        pieces.append("(.+)" if found[2] else "([^/]+)")
        labels.append(found[1])
        at = found.end()
    pieces.append(re.escape(template[at:].rstrip("/")))
    shape = operation.input
    required = [
        (shape.members[name].wire_name or name, shape.members[name].location) for name in shape.required
    ]
    static = static_query(operation.uri)
    return _Path(
        operation=operation.name,
        pattern=re.compile("".join(pieces) + "/?"),
        labels=tuple(labels),
        literals=len(_LABEL.sub("", template).replace("/", "")),
        query=static,
        required_query=frozenset(n for n, where in required if where == "querystring") - static.keys(),
        required_headers=frozenset(n.lower() for n, where in required if where == "header"),
        current=not operation.deprecated,
    )
