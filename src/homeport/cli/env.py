"""`homeport env`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from homeport.app.connection import Connection
from homeport.cli.common import AsJson, DataDir, connection_for
from homeport.cli.output import print_json


def variables(connection: Connection) -> Mapping[str, str]:
    """What makes the `aws` CLI and the SDKs talk to Homeport without flags.

    Some operations (Cloud Map's DiscoverInstances) put a word before the endpoint's host, which must be left.
    Sources: AWS SDKs and Tools Reference Guide, "Service-specific endpoints", "Host prefix injection".
    """
    return {
        "AWS_ENDPOINT_URL": connection.endpoint,
        "AWS_ACCESS_KEY_ID": connection.access_key_id,
        "AWS_SECRET_ACCESS_KEY": connection.secret_access_key,
        "AWS_DEFAULT_REGION": connection.region,
        "AWS_REGION": connection.region,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }


def env(*, data_dir: DataDir = None, json: AsJson = False) -> int:
    """Print the exports that point AWS tools here: eval "$(homeport env)".

    Exit status: 0 printed, 1 not readable, 3 Homeport never ran.
    """
    found = variables(connection_for(data_dir))
    if json:
        print_json(found)
        return 0
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")
    # Temporary credentials of another account would win over the key.
    print("unset AWS_SESSION_TOKEN AWS_PROFILE")
    return 0
