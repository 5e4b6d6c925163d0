"""Which ranges the networks of an installation have on this machine, or why there are none."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Network

Routed = Callable[[], Awaitable[Collection[str]]]
TOOLS = {"ip": "iproute2", "nft": "nftables"}
"""What is needed to make packets obey, and the packages that have it."""


async def _nothing() -> Collection[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkGround:
    """The default VPC of the installation's own account and region lies where the local instances are.

    `home_range`: settled before the control plane is built, and kept. `routes` tells the ranges that this
    machine routes; those of the installation's own may be among them.
    """

    account_id: str
    region: str
    home_range: str
    routes: Routed = _nothing

    @property
    def network(self) -> IPv4Network:
        """The home's range."""
        return IPv4Network(self.home_range)

    def home(self, account_id: str, region: str) -> str:
        """The home's range, for the home; any will do elsewhere."""
        return self.home_range if (account_id, region) == (self.account_id, self.region) else ""

    def kept(self) -> Collection[str]:
        """The home's range, also while no VPC has it."""
        return (self.home_range,)

    async def routed(self) -> Collection[str]:
        """What is routed now."""
        return await self.routes()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoGround:
    """Packets cannot be made to obey here: EC2 and load balancers are not served. `why` says what to do."""

    why: str


UNASKED = NoGround(why="this process has no network of its own.")


def missing_means(*, is_root: bool, which: Callable[[str], str | None] = shutil.which) -> NoGround | None:
    """Why this process cannot make packets obey; `None`: it can."""
    lost = [tool for tool in TOOLS if which(tool) is None]
    if not is_root:
        return NoGround(
            why="networks and security groups need root here, to make packets obey. Run `sudo homeport up`."
        )
    if lost:
        packages = " ".join(TOOLS[tool] for tool in lost)
        return NoGround(
            why=f"networks and security groups need {' and '.join(lost)}, to make packets obey. "
            f"Run `apt-get install {packages}` (or what your system has for it), then `homeport up` again."
        )
    return None
