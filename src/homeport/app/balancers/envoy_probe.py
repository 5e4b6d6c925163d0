"""What an unhealthy target answers: asked once, as the check asks, for the reason that people read."""

from __future__ import annotations

import aiohttp

from homeport.dataplane.model import Protocol, ProtocolVersion, TargetGroup


class Probe:
    """Health never depends on it: the proxy's checks decide, this only finds the words."""

    async def status(self, group: TargetGroup, key: str, *, source: str = "") -> int | None:
        """The status that the target of this key answers now; None if it does not, or need not.

        It is asked from `source`, as the checks are: the target's security groups may let nobody else in.
        """
        check = group.health_check
        if check is None or check.protocol not in (Protocol.HTTP, Protocol.HTTPS):
            return None
        if group.version is not ProtocolVersion.HTTP1:
            return None
        address, _, port = key.rpartition(":")
        url = f"{check.protocol.value.lower()}://{address}:{check.port or port}{check.path}"
        headers = {"User-Agent": "ELB-HealthChecker/2.0", "Accept": "*/*"}
        limit = aiohttp.ClientTimeout(total=check.timeout_seconds)
        from_there = (source, 0) if source else None
        connector = aiohttp.TCPConnector(force_close=True, ssl=False, local_addr=from_there)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, auto_decompress=False) as client,
                client.get(url, headers=headers, timeout=limit, allow_redirects=False) as answer,
            ):
                code = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None
        passes = any(low <= code <= high for low, high in check.codes)
        return None if passes else code
