"""This machine's proxy as what carries the load balancers' traffic."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from homeport.app.envoy import DataPlane
from homeport.dataplane.model import Balancer
from homeport.dataplane.translate import EMPTY
from homeport.services.elbv2.model.groups import TargetHealth


class EnvoyPlane:
    """The balancers' controller's view of the data plane. Certificates' material comes with ACM."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._snapshot = EMPTY

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These balancers from now on, and no others."""
        self._snapshot = self._plane.serve(balancers)

    def refused(self) -> Mapping[str, str]:
        """What cannot be translated, and what the proxy would not take."""
        rejected = {one.balancer_id: one.message for one in self._plane.rejections if one.balancer_id}
        return {**rejected, **self._snapshot.refused}

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        """What the health checks of a group found, by `address:port`."""
        return {
            key: TargetHealth(state=one.state.value, reason=one.reason, description=one.description)
            for key, one in self._plane.health(group_id).items()
        }
