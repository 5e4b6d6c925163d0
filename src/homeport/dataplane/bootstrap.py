"""What a proxy is started with: how to ask for its configuration, and where it can be asked itself."""

from __future__ import annotations

from homeport.dataplane.clusters import ADS
from homeport.dataplane.types import Body, typed

CONTROL = "homeport.control"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(*, node_id: str, xds_path: str, admin_path: str) -> Body:
    """The configuration file. Paths are those of Unix sockets."""
    options = typed(HTTP, explicit_http_config={"http2_protocol_options": {}})
    place = {"endpoint": {"address": {"pipe": {"path": xds_path}}}}
    control = {
        "name": CONTROL,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {HTTP: options},
        "load_assignment": {"cluster_name": CONTROL, "endpoints": [{"lb_endpoints": [place]}]},
    }
    # A control plane that comes back is found soon: the pause between attempts does not grow.
    retry = {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.25s"}}
    service = {"envoy_grpc": {"cluster_name": CONTROL, "retry_policy": retry}}
    return {
        "node": {"id": node_id, "cluster": "homeport"},
        "admin": {"address": {"pipe": {"path": admin_path}}},
        # Counters are made up when somebody asks for them, not every five seconds.
        "stats_flush_on_admin": True,
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [service],
            },
            "lds_config": ADS,
            "cds_config": ADS,
        },
        "static_resources": {"clusters": [control]},
        "layered_runtime": {
            "layers": [
                {
                    "name": "homeport",
                    "static_layer": {"re2": {"max_program_size": {"error_level": 100_000}}},
                }
            ]
        },
    }
