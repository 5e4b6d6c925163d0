"""Account settings: names, values, defaults. Pure.

Source: botocore ecs 2014-11-13, SettingName; ECS developer guide, "Access Amazon
ECS features with account settings". `honoured`: the values that Homeport can
keep its word on; the others are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeport.services.ecs.errors import ClientException, InvalidParameterException


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what AWS allows, what is in force when nobody set it, what Homeport honours.

    `why`: what is told with the refusal of the others.
    """

    allowed: tuple[str, ...]
    default: str
    honoured: tuple[str, ...]
    why: str = "."


SETTINGS: dict[str, Setting] = {
    "serviceLongArnFormat": Setting(("enabled",), "enabled", ("enabled",)),
    "taskLongArnFormat": Setting(("enabled",), "enabled", ("enabled",)),
    "containerInstanceLongArnFormat": Setting(("enabled",), "enabled", ("enabled",)),
    "awsvpcTrunking": Setting(
        ("enabled", "disabled"),
        "disabled",
        ("disabled",),
        why=": it is not needed. An instance here holds as many awsvpc tasks as its subnets have addresses.",
    ),
    "containerInsights": Setting(
        ("enabled", "disabled", "enhanced"), "disabled", ("enabled", "disabled", "enhanced")
    ),
    "fargateFIPSMode": Setting(("enabled", "disabled"), "disabled", ("disabled",)),
    "tagResourceAuthorization": Setting(("on", "off"), "off", ("off",)),
    "fargateTaskRetirementWaitPeriod": Setting(("0", "7", "14"), "7", ("7",)),
    "guardDutyActivate": Setting(("on", "off"), "off", ("off",)),
    "defaultLogDriverMode": Setting(
        ("blocking", "non-blocking"), "non-blocking", ("blocking", "non-blocking")
    ),
    "dualStackIPv6": Setting(("enabled", "disabled"), "enabled", ("enabled",)),
    "fargateEventWindows": Setting(("enabled", "disabled"), "disabled", ("disabled",)),
}
_READ_ONLY = frozenset({"guardDutyActivate"})


def known(name: str) -> Setting:
    """Raise `InvalidParameterException` for a name that ECS does not have."""
    if name not in SETTINGS:
        raise InvalidParameterException(
            f"Invalid setting name '{name}'. Use one of: {', '.join(sorted(SETTINGS))}."
        )
    return SETTINGS[name]


def check_value(name: str, value: str) -> None:
    """Raise unless the setting may have the value, and Homeport honours it."""
    setting = known(name)
    if name in _READ_ONLY:
        raise InvalidParameterException(f"The setting {name} is managed by AWS and cannot be changed.")
    if value not in setting.allowed:
        raise InvalidParameterException(
            f"Invalid value '{value}' for {name}. Use one of: {', '.join(setting.allowed)}."
        )
    if value not in setting.honoured:
        raise ClientException(f"{name}={value} is not supported by Homeport yet{setting.why}")
