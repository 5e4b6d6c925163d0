"""Balancers written as YAML, and the configuration that comes of them: for golden files."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from homeport.dataplane import model, rules
from homeport.dataplane.bootstrap import bootstrap
from homeport.dataplane.model import Balancer, TlsMaterial
from homeport.dataplane.translate import Kind, Snapshot, translate

FOLDER = Path(__file__).parents[1] / "golden"
CASES = sorted((FOLDER / "in").glob("*.yaml"))
EVENTS = "/run/homeport/health"
TAGGED = {
    one.__name__: one
    for one in (
        rules.HostIs,
        rules.PathIs,
        rules.HeaderIs,
        rules.MethodIs,
        rules.QueryHas,
        rules.SourceIs,
        rules.Forward,
        rules.Redirect,
        rules.FixedResponse,
        rules.AuthenticateOidc,
        rules.ValidateJwt,
    )
}


def read(path: Path) -> tuple[list[Balancer], list[TlsMaterial]]:
    """`balancers`, and `certificates` by ids. A rule's parts are written `{PathIs: {patterns: [x]}}`."""
    written = yaml.safe_load(path.read_text())
    balancers = [build(Balancer, one) for one in written["balancers"]]
    materials = [
        TlsMaterial(id=name, chain=b"CHAIN", private_key=b"KEY") for name in written.get("certificates", [])
    ]
    return balancers, materials


def build(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is tuple:
        inner = typing.get_args(kind)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(build(inner[0], one) for one in value)
        return tuple(build(one, part) for one, part in zip(inner, value, strict=True))
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        choices = [one for one in typing.get_args(kind) if one is not type(None)]
        if len(choices) == 1:
            return build(choices[0], value)
        ((name, members),) = value.items()
        return build(TAGGED[name], members)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, vars(model) | vars(rules))
        unknown = value.keys() - hints.keys()
        assert not unknown, f"{kind.__name__} has no {unknown}"
        return kind(**{name: build(hints[name], part) for name, part in value.items()})
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    return value


def snapshot(path: Path) -> Snapshot:
    balancers, materials = read(path)
    return translate(balancers, materials, health_events_path=EVENTS)


def written(found: Snapshot) -> str:
    """The configuration as people compare it: without what every application listener says alike."""
    parts = {
        kind.rpartition(".")[2]: {name: one.body for name, one in sorted(of_kind.items())}
        for kind, of_kind in sorted(found.resources.items())
        if of_kind
    }
    body = {"refused": dict(found.refused), **parts} if found.refused else parts
    return yaml.safe_dump(_without_sameness(body), sort_keys=True, width=110, allow_unicode=True)


def _without_sameness(body: Any) -> Any:
    if isinstance(body, dict):
        kept = {key: value for key, value in body.items() if key != "local_reply_config"}
        sources = kept.get("source_codes")
        if sources is not None:
            kept["source_codes"] = sorted(sources)
        logs = [one for one in kept.pop("access_log", []) if one["name"] != "envoy.access_loggers.stats"]
        if logs:
            kept["access_log"] = logs
        return {key: _without_sameness(value) for key, value in kept.items()}
    if isinstance(body, list):
        return [_without_sameness(one) for one in body]
    return body


def static(found: Snapshot, secrets: dict[str, Any]) -> dict[str, Any]:
    """The same configuration in one file, so that the proxy can be asked whether it is one."""
    resources = found.resources
    config = bootstrap(node_id="golden", xds_path="/run/homeport/xds", admin_path="/run/homeport/admin")
    clusters = list(config["static_resources"]["clusters"])
    for name, one in resources[Kind.CLUSTER].items():
        if name not in resources[Kind.ENDPOINTS]:
            clusters.append(one.body)
            continue
        body = {key: value for key, value in one.body.items() if key != "eds_cluster_config"}
        body["load_assignment"] = resources[Kind.ENDPOINTS][name].body
        clusters.append({**body, "type": "STATIC"})
    routes = {name: one.body for name, one in resources[Kind.ROUTES].items()}
    listeners = [_inlined(one.body, routes) for one in resources[Kind.LISTENER].values()]
    named = [{"name": name, "tls_certificate": secret} for name, secret in secrets.items()]
    return {"static_resources": {"clusters": clusters, "listeners": listeners, "secrets": named}}


def _inlined(body: Any, routes: dict[str, Any]) -> Any:
    if isinstance(body, dict):
        if "rds" in body:
            rest = {key: value for key, value in body.items() if key != "rds"}
            return {**_inlined(rest, routes), "route_config": routes[body["rds"]["route_config_name"]]}
        return {key: _inlined(value, routes) for key, value in body.items() if key != "sds_config"}
    if isinstance(body, list):
        return [_inlined(one, routes) for one in body]
    return body
