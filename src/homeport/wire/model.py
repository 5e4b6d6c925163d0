"""The only door to botocore's service models.

The model files are read directly: importing botocore's own classes costs 300 ms
and its loader 50 ms a service, ours 6 ms. Models are immutable; everything here
is memoised for the life of the process.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import orjson

from homeport.wire.patches import PATCHES

_NOT_TRAITS = frozenset({"shape", "documentation", "members", "member", "key", "value", "type"})
_MODEL_HEAD_BYTES = 8192


class UnknownServiceError(LookupError):
    """botocore has no model of that name."""


class UnknownOperationError(LookupError):
    """The service's model has no operation of that name."""


class Shape:
    """A shape as one member refers to it: the shape's traits under the reference's.

    Two references with equal traits are the same object, so identity may key memos
    and recursive shapes end.
    """

    __slots__ = ("__dict__", "_api", "_body", "kind", "name", "traits")

    def __init__(self, api: ServiceApi, name: str, body: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        self._api = api
        self._body = body
        self.name = name
        self.kind: str = body["type"]
        own = {k: v for k, v in body.items() if k not in _NOT_TRAITS}
        self.traits: Mapping[str, Any] = own | dict(extra)

    def __repr__(self) -> str:
        return f"<Shape {self.name}>"

    @property
    def wire_name(self) -> str | None:
        """The name on the wire, where it differs from the member's."""
        name: str | None = self.traits.get("locationName")
        return name

    @property
    def location(self) -> str | None:
        """`header`, `headers`, `querystring`, `uri` or `statusCode`; None is the body."""
        location: str | None = self.traits.get("location")
        return location

    @property
    def flattened(self) -> bool:
        """Whether a list or map has no element of its own."""
        return bool(self.traits.get("flattened"))

    @property
    def sensitive(self) -> bool:
        """Whether the value must not be repeated in messages."""
        return bool(self.traits.get("sensitive"))

    @property
    def document(self) -> bool:
        """Whether any JSON value goes."""
        return bool(self.traits.get("document"))

    @property
    def union(self) -> bool:
        """Whether exactly one member must be set."""
        return bool(self.traits.get("union"))

    @property
    def event_stream(self) -> bool:
        """Whether this is a stream of events."""
        return bool(self.traits.get("eventstream"))

    @property
    def required(self) -> tuple[str, ...]:
        """A structure's members that must be present."""
        return tuple(self.traits.get("required", ()))

    @cached_property
    def members(self) -> Mapping[str, Shape]:
        """A structure's members by name."""
        return {name: self._api.resolve(ref) for name, ref in self._body.get("members", {}).items()}

    @cached_property
    def member(self) -> Shape:
        """A list's element."""
        return self._api.resolve(self._body["member"])

    @cached_property
    def key(self) -> Shape:
        """A map's key."""
        return self._api.resolve(self._body["key"])

    @cached_property
    def value(self) -> Shape:
        """A map's value."""
        return self._api.resolve(self._body["value"])

    @property
    def children(self) -> tuple[Shape, ...]:
        """The shapes directly inside."""
        if self.kind == "structure":
            return tuple(self.members.values())
        if self.kind == "list":
            return (self.member,)
        return (self.key, self.value) if self.kind == "map" else ()

    def walk(self) -> Iterator[Shape]:
        """This shape and every shape inside it, each once."""
        seen: set[Shape] = set()
        todo = [self]
        while todo:
            shape = todo.pop()
            if shape not in seen:
                seen.add(shape)
                yield shape
                todo.extend(shape.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationApi:
    """One operation of the model. `status` is a success's HTTP status.

    `input` is an empty structure where the model has none; `output` says None.
    """

    service: str
    name: str
    method: str
    uri: str
    status: int
    input: Shape
    output: Shape | None
    result_wrapper: str | None
    compressible: bool
    unsigned: bool
    deprecated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pagination:
    """The names by which an operation pages; `maximum` is in items, where the model says."""

    input_tokens: tuple[str, ...]
    output_tokens: tuple[str, ...]
    result_keys: tuple[str, ...]
    limit_key: str | None
    minimum: int | None
    maximum: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorShape:
    """A modelled error. `status` and `fault` are None where the model is silent."""

    name: str
    code: str
    status: int | None
    fault: str | None
    shape: Shape


class ServiceApi:
    """One service's model. Only the metadata is read until more is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = _newest(name)
        self.metadata: Mapping[str, Any] = _metadata(self._folder)
        meta = self.metadata
        self.signing_name: str = meta.get("signingName") or meta["endpointPrefix"]
        self.protocols: tuple[str, ...] = tuple(meta.get("protocols") or (meta["protocol"],))
        self.target_prefix: str | None = meta.get("targetPrefix")
        self.json_version: str = meta.get("jsonVersion", "1.0")
        self.api_version: str = meta["apiVersion"]
        self.query_compatible: bool = "awsQueryCompatible" in meta
        self._resolved: dict[Any, Shape] = {}
        self._operations: dict[str, OperationApi] = {}
        self._empty = Shape(self, "Unit", {"type": "structure"}, {})

    @property
    def xml_namespace(self) -> str | None:
        """The namespace of the service's XML answers."""
        namespace: str | None = self.metadata.get("xmlNamespace")
        return namespace

    @cached_property
    def _model(self) -> dict[str, Any]:
        model = _read_json(self._folder, "service-2")
        if model is None:
            raise UnknownServiceError(self.name)
        if extras := _read_json(self._folder, "service-2.sdk-extras"):
            _merge(model, extras.get("merge", {}))
        _merge(model, PATCHES.get(self.name, {}))
        return model

    @cached_property
    def operation_names(self) -> frozenset[str]:
        """Every operation of the model."""
        return frozenset(self._model["operations"])

    def operation(self, name: str) -> OperationApi:
        """Raise `UnknownOperationError` when the model has none of that name."""
        if (found := self._operations.get(name)) is None:
            body = self._model["operations"].get(name)
            if body is None:
                raise UnknownOperationError(f"{self.name}:{name}")
            found = self._operations[name] = self._read_operation(name, body)
        return found

    def _read_operation(self, name: str, body: Mapping[str, Any]) -> OperationApi:
        http = body.get("http", {})
        return OperationApi(
            service=self.name,
            name=name,
            method=http.get("method", "POST"),
            uri=http.get("requestUri", "/"),
            status=http.get("responseCode", 200),
            input=self.resolve(body["input"]) if "input" in body else self._empty,
            output=self.resolve(body["output"]) if "output" in body else None,
            result_wrapper=body.get("output", {}).get("resultWrapper"),
            compressible="gzip" in body.get("requestcompression", {}).get("encodings", ()),
            unsigned=body.get("authtype") == "none" or body.get("auth") == ["smithy.api#noAuth"],
            deprecated=bool(body.get("deprecated")),
        )

    def resolve(self, ref: Mapping[str, Any]) -> Shape:
        """The shape that a reference means, with the reference's own traits on top."""
        name = ref["shape"]
        extra = {k: v for k, v in ref.items() if k not in _NOT_TRAITS}
        key = (name, orjson.dumps(extra, option=orjson.OPT_SORT_KEYS)) if extra else name
        if (shape := self._resolved.get(key)) is None:
            shape = self._resolved[key] = Shape(self, name, self._model["shapes"][name], extra)
        return shape

    @cached_property
    def _errors(self) -> Mapping[str, ErrorShape]:
        """By shape name, then by wire code where no shape has that name."""
        found: dict[str, ErrorShape] = {}
        for name, body in self._model["shapes"].items():
            if not body.get("exception"):
                continue
            trait = body.get("error", {})
            fault = "Sender" if trait.get("senderFault") else "Receiver" if body.get("fault") else None
            found[name] = ErrorShape(
                name=name,
                code=trait.get("code", name),
                status=trait.get("httpStatusCode"),
                fault=fault,
                shape=self.resolve({"shape": name}),
            )
        for error in tuple(found.values()):
            found.setdefault(error.code, error)
        return found

    def error_shape(self, code: str) -> ErrorShape | None:
        """The modelled error of that shape name or wire code."""
        return self._errors.get(code)

    @cached_property
    def _paginators(self) -> Mapping[str, Any]:
        found = _read_json(self._folder, "paginators-1")
        return found["pagination"] if found else {}

    def pagination(self, operation: str) -> Pagination | None:
        """How `operation` pages; None when it does not."""
        body = self._paginators.get(operation)
        if body is None:
            return None
        limit_key = body.get("limit_key")
        limit = self.operation(operation).input.members.get(limit_key) if limit_key else None
        return Pagination(
            input_tokens=_names(body["input_token"]),
            output_tokens=_names(body["output_token"]),
            result_keys=_names(body.get("result_key", ())),
            limit_key=limit_key,
            minimum=limit.traits.get("min") if limit else None,
            maximum=limit.traits.get("max") if limit else None,
        )


@cache
def service_api(name: str) -> ServiceApi:
    """The newest model of a service by botocore's name (`ecs`, `elbv2`)."""
    return ServiceApi(name)


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _newest(name: str) -> Traversable:
    folder = files("botocore") / "data" / name
    if not name or "/" in name or name.startswith(".") or not folder.is_dir():
        raise UnknownServiceError(name)
    versions = [v for v in folder.iterdir() if v.is_dir() and _find(v, "service-2") is not None]
    if not versions:
        raise UnknownServiceError(name)
    return max(versions, key=lambda v: v.name)


def _find(folder: Traversable, stem: str) -> Traversable | None:
    for name in (f"{stem}.json.gz", f"{stem}.json"):
        if (path := folder / name).is_file():
            return path
    return None


def _read_json(folder: Traversable, stem: str) -> dict[str, Any] | None:
    if (path := _find(folder, stem)) is None:
        return None
    raw = path.read_bytes()
    model: dict[str, Any] = orjson.loads(gzip.decompress(raw) if path.name.endswith(".gz") else raw)
    return model


def _metadata(folder: Traversable) -> Mapping[str, Any]:
    """The model's `metadata`, from its first kilobytes where possible (0.3 ms, not 10)."""
    path = _find(folder, "service-2")
    if path is None:
        raise UnknownServiceError(folder.name)
    with path.open("rb") as file:
        if path.name.endswith(".gz"):
            with gzip.open(file) as unpacked:
                head = unpacked.read(_MODEL_HEAD_BYTES)
        else:
            head = file.read(_MODEL_HEAD_BYTES)
    text = head.decode("utf-8", "replace")
    start = text.find('"metadata":')
    if start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text[start + len('"metadata":') :].lstrip())
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
    whole = _read_json(folder, "service-2") or {}
    metadata: Mapping[str, Any] = whole["metadata"]
    return metadata


def _merge(base: dict[str, Any], extra: Mapping[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
