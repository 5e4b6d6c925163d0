"""Two services share one data plane and one set of addresses, and neither ends what is the other's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest

from homeport.app.balancers.classic import SharedPlane, is_classic
from homeport.dataplane.model import Balancer, BalancerKind
from homeport.services.elbv2.model.groups import TargetHealth
from homeport.services.elbv2.ports import BalancerState

NEW = Balancer(id="app/new/1", kind=BalancerKind.APPLICATION, addresses=())
OLD = Balancer(id="clb/old/1", kind=BalancerKind.CLASSIC, addresses=())


@dataclass
class Told:
    served: list[tuple[str, ...]] = field(default_factory=list)
    is_settled: bool = True

    def serve(self, balancers: Collection[Balancer]) -> None:
        self.served.append(tuple(one.id for one in balancers))

    def state(self, balancer_id: str) -> BalancerState | None:
        return None

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        return {}


def test_nothing_is_passed_on_before_both_have_said_theirs() -> None:
    told = Told()
    shared = SharedPlane(told)
    new, old = shared.part(classic=False), shared.part(classic=True)
    new.serve([NEW])
    assert told.served == []
    old.serve([OLD])
    new.serve([])
    assert told.served == [("app/new/1", "clb/old/1"), ("clb/old/1",)]


@pytest.mark.parametrize(
    ("tail", "classic"),
    [("web", True), ("app/web/0123456789abcdef", False), ("net/web/0123456789abcdef", False)],
)
def test_an_arn_tells_which_kind_a_balancer_is(tail: str, classic: bool) -> None:
    assert is_classic(f"arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/{tail}") is classic
