"""Traffic of Service Connect goes from a deployment to the next: never to tasks that clients do not reach."""

from __future__ import annotations

import msgspec
import pytest
from tests.kit.strategies import function
from tests.unit.ecs.test_strategy_steps import Functions, Traffic, World

from homeport.services.ecs.control.stages import Outside
from homeport.services.ecs.model import (
    Connect,
    ConnectEndpoint,
    DeploymentStrategy,
    ServiceDeployment,
    TaskNetwork,
)
from homeport.services.ecs.ports import ConnectNamespace, ConnectShares
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.store import Tx, open_memory_store

BLUE, GREEN = "ecs-svc/1", "ecs-svc/2"
CONNECT = Connect(
    namespace="shop",
    endpoints=(
        ConnectEndpoint(
            port_name="web", discovery_name="web", arn="arn:web", container="app", container_port=80,
            alias="web.shop", port=80,
        ),
    ),
)  # fmt: skip


class Names:
    """Remembers the shares; green's tasks are registered one look after the other."""

    def __init__(self) -> None:
        self.shares: list[tuple[float, bool]] = []
        self.there = -3

    def namespace(self, tx: Tx, account_id: str, region: str, reference: str) -> ConnectNamespace | None:
        raise NotImplementedError

    def make_namespace(self, tx: Tx, account_id: str, region: str, name: str) -> ConnectNamespace:
        raise NotImplementedError

    def claim(
        self,
        tx: Tx,
        service_arn: str,
        namespace: str,
        endpoint: ConnectEndpoint,
        network: TaskNetwork | None,
    ) -> str:
        raise NotImplementedError

    def registered(self, tx: Tx, arn: str, deployment_id: str) -> int:
        assert (arn, deployment_id) == ("arn:web", GREEN)
        self.there += 1
        return max(min(self.there, 2), 0)

    def share(self, tx: Tx, service_arn: str, shares: ConnectShares | None) -> None:
        assert shares is not None
        assert shares.fresh == GREEN
        assert self.there >= 2 or not (shares.percent or shares.tests), "nobody reaches them yet"
        self.shares.append((shares.percent, shares.tests))


class Proxy:
    """It is late as often as it is told to be, or there is none."""

    def __init__(self, late: int | None) -> None:
        self.late = late

    async def is_in_force(self, service_arn: str) -> bool | None:
        if self.late is None:
            return None
        self.late -= 1
        return self.late < 0


CANARY = DeploymentStrategy(name="CANARY", step_percent=5.0, step_bake_minutes=1)


async def played(
    names: Names, late: int | None, strategy: DeploymentStrategy = CANARY, *answers: str
) -> tuple[World, ServiceDeployment]:
    """A deployment from its beginning to its end."""
    made = World(open_memory_store(), Traffic(), Functions())
    made.outside = Outside(names=names, proxy=Proxy(late), invoker=Functions(*answers))
    await made.make(strategy)

    def connect(tx: Tx) -> None:
        service = ServiceRepo(tx).get(made.id)
        assert service is not None
        held = tuple(
            msgspec.structs.replace(one, load_balancers=(), connect=CONNECT) for one in service.deployments
        )
        ServiceRepo(tx).save(msgspec.structs.replace(service, deployments=held, last_completed=held[1]))

    await made.store.write(connect)
    return made, await made.run()


@pytest.mark.parametrize("late", [None, 0, 3])
async def test_tests_come_first_and_production_in_steps_once_all_tasks_are_reached(late: int | None) -> None:
    names = Names()
    made, ended = await played(names, late)
    assert ended.status == "SUCCESSFUL"
    assert list(dict.fromkeys(names.shares)) == [(0.0, False), (0.0, True), (5.0, True), (100.0, True)]
    service, _, tasks = await made.look()
    assert [one.id for one in service.deployments] == [GREEN]
    assert {one.started_by for one in tasks} == {GREEN}
    await made.store.close()


async def test_production_goes_back_to_blue() -> None:
    names = Names()
    strategy = DeploymentStrategy(name="BLUE_GREEN", hooks=(function("POST_PRODUCTION_TRAFFIC_SHIFT"),))
    made, ended = await played(names, 0, strategy, "FAILED")
    assert ended.status == "ROLLBACK_SUCCESSFUL"
    assert list(dict.fromkeys(names.shares)) == [
        (0.0, False), (0.0, True), (100.0, True),
    ]  # fmt: skip
    assert names.shares[-1] == (0.0, False)
    _, _, tasks = await made.look()
    assert {one.started_by for one in tasks} == {BLUE}
    await made.store.close()
