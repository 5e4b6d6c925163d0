"""Deployment strategies, and where a deployment is among its stages, on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import DeploymentStrategy, HookRun, Service, ServiceDeployment, Staging
from homeport.services.ecs.view.wire import Wire, present


def strategy_view(strategy: DeploymentStrategy) -> Wire:
    """The members of a deployment configuration that a strategy is made of."""
    view: Wire = {"strategy": strategy.name, "bakeTimeInMinutes": strategy.bake_minutes}
    if strategy.name == "LINEAR":
        view["linearConfiguration"] = {
            "stepPercent": strategy.step_percent,
            "stepBakeTimeInMinutes": strategy.step_bake_minutes,
        }
    if strategy.name == "CANARY":
        view["canaryConfiguration"] = {
            "canaryPercent": strategy.step_percent,
            "canaryBakeTimeInMinutes": strategy.step_bake_minutes,
        }
    if strategy.hooks:
        view["lifecycleHooks"] = [dict(hook.given) for hook in strategy.hooks]
    return view


def stage_view(staging: Staging | None) -> Wire:
    """The stage and its hooks."""
    if staging is None:
        return {}
    view: Wire = {"lifecycleStage": staging.stage}
    if staging.hooks:
        view["lifecycleHookDetails"] = [_hook_view(run) for run in staging.hooks]
    return view


def _hook_view(run: HookRun) -> Wire:
    return present(
        {
            "hookId": run.id,
            "targetType": run.hook.target_type,
            "targetArn": run.hook.target_arn or None,
            "status": run.status,
            "expiresAt": run.expires_at,
            "timeoutAction": run.hook.timeout_action,
        }
    )


def traffic_shares(record: ServiceDeployment, uid: str, service: Service) -> Wire:
    """A revision's requested shares of the traffic; nothing where there is none to shift."""
    staging = record.staging
    if staging is None or not staging.shifts:
        return {}
    known = [one.revision for one in service.deployments if one.id == staging.blue]
    blue = (known or list(record.sources))[-1:]
    production, test = 0.0, 0.0
    if uid == record.target:
        production, test = staging.production, staging.test
    elif [uid] == blue:
        production, test = round(100.0 - staging.production, 1), round(100.0 - staging.test, 1)
        if staging.holds:
            production = 0.0
    return {"requestedProductionTrafficWeight": production, "requestedTestTrafficWeight": test}
