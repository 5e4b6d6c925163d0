"""What a person may set, read once and frozen. Units are in the names.

The environment is read here and nowhere else. Every `HOMEPORT_<NAME>`
variable that we do not know is refused, so that a misspelt setting is not
silently without effect.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

DEFAULT_PORT = 4566
DEFAULT_REGION = "us-east-1"
DEFAULT_ACCOUNT_ID = "000000000000"
DEFAULT_CLUSTER = "default"
SYSTEM_DATA_DIR = Path("/var/lib/homeport")
INSTALLATION_LABEL = "homeport.installation"
"""Label of every container and volume that is made for a data directory: that directory's own id."""
TASKS_PER_SERVICE = 5000
"""The most tasks that a service can ask for. Source: Amazon ECS service quotas, "Tasks per service"."""
TASKS_PER_SERVICE_MAX = 100_000
AUDIT_FILE_MEBIBYTES = 32
AUDIT_FILES = 8
"""The audit log's files, and how large each may become: 256 MiB are some 400,000 requests."""
AUDIT_FILE_MEBIBYTES_MAX = 1024
AUDIT_FILES_MAX = 10_000
INSTANCE_PROFILE = "homeport-instance"
"""The profile of local instances when nothing is said: it is made with the first start."""
_PROFILE_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
INSTANCES_MAX = 64
"""Local instances of one machine: each is a slice of it with an address of its own."""

KNOWN_VARIABLES = frozenset(
    {
        "HOMEPORT_DATA_DIR",
        "HOMEPORT_PYTHON",
        "HOMEPORT_LOG_LEVEL",
        "HOMEPORT_TASKS_PER_SERVICE",
        "HOMEPORT_AUDIT_FILE_MEBIBYTES",
        "HOMEPORT_AUDIT_FILES",
    }
)
"""`HOMEPORT_PYTHON` is read by `bin/homeport`: the interpreter that its environment is made with."""

GROUP_ATTRIBUTE = "homeport.auto-scaling-group"
"""Names the Auto Scaling group of a container instance, as ECS's model has it."""
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_ACCOUNT = re.compile(r"[0-9]{12}")
_ISSUER = re.compile(r"https://[\w.-]+(:\d{1,5})?(/[\w./~-]*)?", re.ASCII)
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9\-_./\\]{1,128}")
_ATTRIBUTE_VALUE = re.compile(r"[A-Za-z0-9\-_.@/\\:][A-Za-z0-9\-_.@/\\: ]{0,127}(?<! )")


class SettingsError(ValueError):
    """A setting that cannot be: what is wrong, and what to do instead."""

    status = 2
    """The command's exit status: wrong usage."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class AuthMode(StrEnum):
    """Whether callers must prove who they are."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpSettings:
    """Everything `homeport up` runs with.

    `docker_host` is where Docker Engine answers (`unix:///...` or
    `tcp://...`). `installation_id` names this data directory; containers made
    for it carry it as the label `homeport.installation`.
    """

    data_dir: Path
    installation_id: str
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    instances: int = 1
    auto_scaling_groups: tuple[str, ...] = ()
    """The groups that the instances belong to, in turn."""
    fargate: bool = True
    """Whether this machine runs Fargate's tasks, too."""
    tasks_per_service: int = TASKS_PER_SERVICE
    auth: AuthMode = AuthMode.ON
    region: str = DEFAULT_REGION
    account_id: str = DEFAULT_ACCOUNT_ID
    docker_host: str = "unix:///var/run/docker.sock"
    log_level: str = "info"
    audit_file_mebibytes: int = AUDIT_FILE_MEBIBYTES
    audit_files: int = AUDIT_FILES
    """How many of the audit log's files are kept, the one that is written to among them."""
    oidc_issuers: Mapping[str, Path] = field(default_factory=dict)
    """The web identities' issuers by their URLs, with the files of their keys (JSON Web Key Sets)."""
    instance_profile: str = INSTANCE_PROFILE
    """The instance profile of the local instances."""
    instance_metadata: bool = True
    """Whether containers reach an instance metadata service at all."""

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise SettingsError(f"port {self.port} is not a port", "Choose one from 1 to 65535.")
        if not 0 <= self.instances <= INSTANCES_MAX:
            raise SettingsError(
                f"{self.instances} instances cannot be", f"Choose a number from 0 to {INSTANCES_MAX}."
            )
        for group in self.auto_scaling_groups:
            if not _ATTRIBUTE_VALUE.fullmatch(group):
                raise SettingsError(
                    f"{group!r} is not an Auto Scaling group's name", "Use letters, digits and - _ . /"
                )
        if not 1 <= self.tasks_per_service <= TASKS_PER_SERVICE_MAX:
            raise SettingsError(
                f"{self.tasks_per_service} tasks per service cannot be",
                f"Choose a number from 1 to {TASKS_PER_SERVICE_MAX}.",
            )
        if not 1 <= self.audit_file_mebibytes <= AUDIT_FILE_MEBIBYTES_MAX:
            raise SettingsError(
                f"files of {self.audit_file_mebibytes} MiB cannot be the audit log's",
                f"Choose a size from 1 to {AUDIT_FILE_MEBIBYTES_MAX}.",
            )
        if not 2 <= self.audit_files <= AUDIT_FILES_MAX:
            raise SettingsError(
                f"{self.audit_files} files cannot be kept of the audit log",
                f"Choose a number from 2 to {AUDIT_FILES_MAX}.",
            )
        if not _PROFILE_NAME.fullmatch(self.instance_profile):
            raise SettingsError(
                f"{self.instance_profile!r} is not an instance profile's name",
                "Use letters, digits and _ + = , . @ -",
            )
        check_place(region=self.region, account_id=self.account_id)
        if self.auth is AuthMode.OFF and not is_loopback(self.host):
            raise SettingsError(
                f"--auth=off does not listen on {self.host}: anybody who reaches it would own this machine",
                "Use the default host 127.0.0.1, or leave authentication on.",
            )

    @property
    def endpoint(self) -> str:
        """Where clients on this machine reach the API."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - read, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Everything `homeport agent` runs with: ordinary AWS credentials, and where to use them."""

    data_dir: Path
    installation_id: str
    endpoint: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    region: str = DEFAULT_REGION
    cluster: str = DEFAULT_CLUSTER
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Custom attributes of the container instance."""
    fargate: bool = False
    """Whether it runs Fargate's tasks, and is nobody's container instance."""
    docker_host: str = "unix:///var/run/docker.sock"
    log_level: str = "info"


def parse_attributes(given: Iterable[str]) -> dict[str, str]:
    """Attributes as they are typed, `NAME=VALUE`. Raise `SettingsError`.

    What they are made of is from the ECS API Reference, Attribute; names with `ecs.` are ECS's own.
    """
    attributes: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not _ATTRIBUTE_NAME.fullmatch(name) or not _ATTRIBUTE_VALUE.fullmatch(value):
            raise SettingsError(
                f"{text!r} is not an attribute", "Write NAME=VALUE, of letters, digits and - _ . /"
            )
        if name.startswith("ecs."):
            raise SettingsError(f"the attribute {name} is ECS's own", "Choose a name without `ecs.`.")
        attributes[name] = value
    return attributes


def parse_issuers(given: Iterable[str]) -> dict[str, Path]:
    """Issuers as they are typed, `URL=JWKS-FILE`. Raise `SettingsError`.

    What a URL may be is from OpenID Connect Core 1.0, section 2 (`iss`): https, no query, no fragment.
    """
    issuers: dict[str, Path] = {}
    for text in given:
        url, equals, file = text.rpartition("=")
        url = url.rstrip("/")
        if not equals or not file or not _ISSUER.fullmatch(url):
            raise SettingsError(
                f"{text!r} is not an issuer with its keys", "Write https://ISSUER/PATH=FILE, the file a JWKS."
            )
        path = Path(file).absolute()
        try:
            found = json.loads(path.read_bytes())
        except OSError as error:
            raise SettingsError(
                f"the keys of {url} cannot be read: {error.strerror}", f"Look at {path}."
            ) from None
        except ValueError:
            found = None
        if not (isinstance(found, dict) and isinstance(found.get("keys"), list)):
            raise SettingsError(
                f"{path} is not a JSON Web Key Set", "It has a member `keys`; see the issuer's jwks_uri."
            )
        if url in issuers:
            raise SettingsError(f"the issuer {url} is given twice", "Name one file for it.")
        issuers[url] = path
    return issuers


def check_place(*, region: str, account_id: str) -> None:
    """Raise `SettingsError` unless resources can live there."""
    if not _REGION.fullmatch(region):
        raise SettingsError(f"{region!r} is not a region's name", "Use one like us-east-1.")
    if not _ACCOUNT.fullmatch(account_id):
        raise SettingsError(f"{account_id!r} is not an account id", "Use 12 digits.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def environment() -> dict[str, str]:
    """The process's environment: the one place where it is read."""
    return dict(os.environ)


def settle_grpc() -> None:
    """What gRPC reads of the environment when it is imported: starting programs is none of its business.

    It would say so, on our standard error, whenever one is. Source: gRPC, "Environment Variables".
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def refuse_unknown(environ: Mapping[str, str]) -> None:
    """Raise `SettingsError` for a `HOMEPORT_` variable that nothing reads."""
    unknown = sorted(n for n in environ if n.startswith("HOMEPORT_") and n not in KNOWN_VARIABLES)
    if unknown:
        raise SettingsError(
            f"unknown setting {unknown[0]} in the environment",
            f"Unset it. Known are: {', '.join(sorted(KNOWN_VARIABLES))}.",
        )


def default_data_dir(environ: Mapping[str, str], *, is_root: bool) -> Path:
    """Where state is kept when nobody says: `/var/lib/homeport` for root, else the user's data directory.

    Source: Filesystem Hierarchy Standard 3.0 section 5.8; XDG Base Directory Specification.
    """
    if chosen := environ.get("HOMEPORT_DATA_DIR"):
        return Path(chosen).absolute()
    if is_root:
        return SYSTEM_DATA_DIR
    home = Path(environ.get("HOME", "/"))
    return Path(environ.get("XDG_DATA_HOME") or home / ".local/share") / "homeport"
