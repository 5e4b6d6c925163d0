"""Log drivers and FireLens.

Sources: LogConfiguration, FirelensConfiguration (botocore ecs); developer guide,
"Send Amazon ECS logs to CloudWatch" and "Custom log routing".
"""

from __future__ import annotations

from homeport.services.ecs.plan.task_definition.settings import Document, refuse

DRIVERS = ("json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens")
REQUIRED_OPTIONS = {
    "awslogs": ("awslogs-region", "awslogs-group"),
    "splunk": ("splunk-url", "splunk-token"),
}
FIRELENS_OPTIONS = ("enable-ecs-log-metadata", "config-file-type", "config-file-value")
BUFFER_MOST = 536_870_911
"""`log-driver-buffer-limit`, in bytes."""


def check(document: Document) -> None:
    """Drivers have what they need; there is one router where one is needed."""
    containers = document["containerDefinitions"]
    drivers = {
        _check_configuration(c["name"], c["logConfiguration"]) for c in containers if "logConfiguration" in c
    }
    routers = [c for c in containers if "firelensConfiguration" in c]
    for router in routers:
        _check_router(router["name"], router["firelensConfiguration"])
    if len(routers) > 1:
        raise refuse("Only one container of a task definition can have a firelensConfiguration.")
    if "awsfirelens" in drivers and not routers:
        raise refuse(
            "When a container uses the awsfirelens log driver, exactly one container must have a "
            "firelensConfiguration."
        )


def _check_configuration(name: str, configuration: Document) -> str:
    driver = str(configuration.get("logDriver"))
    if driver not in DRIVERS:
        raise refuse(f"Invalid logDriver '{driver}' of container '{name}'.")
    options = configuration.get("options", {})
    given = {*options, *(option["name"] for option in configuration.get("secretOptions", ()))}
    missing = [option for option in REQUIRED_OPTIONS.get(driver, ()) if option not in given]
    if missing:
        raise refuse(f"Log driver {driver} requires options: {', '.join(missing)}")
    if driver != "awsfirelens" and options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise refuse(f"Invalid log option mode '{options['mode']}': valid values are blocking, non-blocking.")
    limit = options.get("log-driver-buffer-limit")
    if (
        driver == "awsfirelens"
        and limit is not None
        and not (limit.isdecimal() and int(limit) <= BUFFER_MOST)
    ):
        raise refuse(f"Invalid log option log-driver-buffer-limit '{limit}': 0 to {BUFFER_MOST} bytes.")
    return driver


def _check_router(name: str, configuration: Document) -> None:
    options = configuration.get("options", {})
    for option in options:
        if option not in FIRELENS_OPTIONS:
            raise refuse(f"Invalid firelensConfiguration option '{option}' of container '{name}'.")
    if options.get("enable-ecs-log-metadata", "true") not in ("true", "false"):
        raise refuse(f"enable-ecs-log-metadata of container '{name}' must be true or false.")
    kind = options.get("config-file-type")
    if kind not in (None, "s3", "file") or (kind is None) != ("config-file-value" not in options):
        raise refuse(
            f"firelensConfiguration of container '{name}': config-file-type (s3 or file) and "
            "config-file-value belong together."
        )
