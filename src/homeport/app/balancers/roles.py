"""Target groups in the name of the roles that services give to ECS for their load balancers.

Source: botocore's CreateService, `role`; developer guide, "Amazon ECS service-linked role" (which actions).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from homeport.app.balancers.classic_targets import AllTargets, ClassicTargets, is_classic
from homeport.app.balancers.service_targets import ServiceTargets
from homeport.app.balancers.service_traffic import InfrastructureRoles, Use
from homeport.core.errors import AwsError
from homeport.services.ecs import manifest as ecs
from homeport.services.elb import manifest as elb
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.elbv2.repo.groups import GroupRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

_MODERN = {
    "find": "DescribeTargetGroups",
    "register": "RegisterTargets",
    "deregister": "DeregisterTargets",
    "health": "DescribeTargetHealth",
}
_CLASSIC = {
    "find": "DescribeLoadBalancers",
    "register": "RegisterInstancesWithLoadBalancer",
    "deregister": "DeregisterInstancesFromLoadBalancer",
    "health": "DescribeInstanceHealth",
}
_OF_NOTHING = ("find", "health")
"""What is about all groups, for IAM. Source: Service Authorization Reference, the Describe calls of both."""


class RoleTargets(AllTargets):
    """Target groups and classic balancers, as far as services' roles may use them."""

    def __init__(
        self, store: Store, roles: InfrastructureRoles, modern: elbv2.Registrar, classic: elb.Registrar
    ) -> None:
        super().__init__(ServiceTargets(modern), ClassicTargets(classic))
        self._store = store
        self._roles = roles

    async def permit(self, role_arn: str, uses: Collection[ecs.TargetUse]) -> None:
        """Raise `TargetGroupsError` unless the role lets ECS in, and may do all of it."""
        try:
            await self._store.read(lambda tx: self._check(tx, role_arn, uses))
        except AwsError as error:
            raise ecs.TargetGroupsError(f"{error.code}: {error.message}") from error

    def _check(self, tx: Tx, role_arn: str, uses: Collection[ecs.TargetUse]) -> None:
        for doing, arn in uses:
            _, _, _, region, account_id, _ = arn.split(":", 5)
            use = Use(
                operation=(_CLASSIC if is_classic(arn) else _MODERN)[doing],
                arn="*" if doing in _OF_NOTHING else arn,
                tags={} if doing in _OF_NOTHING else _tags(tx, account_id, region, arn),
            )
            self._roles.check_use(tx, account_id, region, role_arn, use)


def _tags(tx: Tx, account_id: str, region: str, arn: str) -> Mapping[str, str]:
    if is_classic(arn):
        balancer = elb.find_anywhere(tx, arn)
        return {} if balancer is None else balancer.tags
    group = GroupRepo(tx, account_id, region).find(arn)
    return {} if group is None else group.tags
