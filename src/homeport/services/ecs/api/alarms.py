"""Looking up the alarms that a request names, before the transaction that uses them."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ecs.api.context import Ecs, Request
from homeport.services.ecs.errors import ClientException, InvalidParameterException, ServerException
from homeport.services.ecs.ports import AlarmsError


async def check_alarms(call: Call, ecs: Ecs, req: Request) -> None:
    """Raise for alarms that do not exist, and for any that should be watched where there are none at all."""
    given = (req.get("deploymentConfiguration") or {}).get("alarms") or {}
    if not given.get("enable"):
        return
    if ecs.alarms is None:
        raise ClientException("deploymentConfiguration.alarms is not supported by Homeport yet.")
    names = tuple(dict.fromkeys(given["alarmNames"]))
    if not names:
        raise InvalidParameterException("deploymentConfiguration.alarms.alarmNames can not be empty.")
    try:
        found = await ecs.alarms.find(call.account_id, call.region, names)
    except AlarmsError as error:
        raise ServerException(f"The alarms cannot be looked up: {error}") from None
    if missing := [name for name in names if name not in found]:
        raise InvalidParameterException(f"There are no alarms of the names {', '.join(missing)}.")
