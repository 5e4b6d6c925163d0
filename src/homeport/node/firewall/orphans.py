"""Tables of installations that are no more: they would go on dropping what others do in their range."""

from __future__ import annotations

import json

from homeport.core.log import get_logger
from homeport.node.commands import Run
from homeport.node.firewall.kernel import TABLE
from homeport.node.instance_net import LINK

log = get_logger("node.firewall")


async def remove_orphans(run: Run) -> None:
    """Remove the tables whose installation has no link: it is there before its table, and goes after it.

    An installation ends without `homeport down` when somebody deletes what it had. Raise `CommandError`.
    """
    listed = json.loads(await run("nft", "-j", "list", "tables", "ip") or "{}").get("nftables", ())
    tables = [one["table"]["name"] for one in listed if "table" in one]
    links = json.loads(await run("ip", "-j", "link", "show", "type", "bridge") or "[]")
    there = {str(link.get("ifname", "")).removeprefix(LINK) for link in links}
    for name in tables:
        if name.startswith(TABLE) and name.removeprefix(TABLE) not in there:
            log.warning("firewall.orphan_removed", table=name)
            await run("nft", "delete", "table", "ip", name)
