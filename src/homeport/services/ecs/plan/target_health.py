"""What load balancers say of a service's tasks, as its rollout takes it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from homeport.services.ecs.model import Target, TargetPlace, Task
from homeport.services.ecs.plan.rollout_health import TargetHealth
from homeport.services.ecs.plan.targets import group_word


def target_health(live: Iterable[Task], targets: Iterable[Target]) -> dict[int, TargetHealth]:
    """By task row, for tasks that belong to target groups: the verdict of all of these together."""
    by_task: dict[int, list[Target]] = {}
    for target in targets:
        by_task.setdefault(target.task_id, []).append(target)
    return {
        task.id: _of_task(task, by_task.get(task.id, []))
        for task in live
        if task.target_places and task.desired_status == "RUNNING"
    }


def _of_task(task: Task, targets: list[Target]) -> TargetHealth:
    words, failed = [], None
    for place in task.target_places:
        mine = [t for t in targets if (t.target_group, t.container_port) == (place.target_group, place.port)]
        word = _word(task, place, mine[0] if mine else None)
        if word:
            words.append(word)
        if mine and mine[0].health == "unhealthy" and not mine[0].problem:
            failed = failed or f"Task failed ELB health checks in {group_word(place.target_group)}"
    return TargetHealth(healthy=not words, failed=failed, waits=tuple(words))


def _word(task: Task, place: TargetPlace, target: Target | None) -> str:
    """What is amiss with a task in a target group; nothing when it is healthy there."""
    where = f"in {place.target_group}"
    if target is None:
        return f"not registered yet {where}" if task.last_status == "RUNNING" else ""
    if target.health == "healthy" or target.reason == "Target.HealthCheckDisabled":
        return ""
    if target.problem:
        return f"of unknown health {where}: {target.problem}"
    if target.status == "REGISTERING":
        return f"being registered {where}"
    because = target.description or target.reason
    return f"{target.health or 'initial'} {where}" + (f" ({because})" if because else "")


def waits_for_targets(targets: Mapping[int, TargetHealth], tasks: Iterable[Task]) -> tuple[str, ...]:
    """What some of a service's tasks wait for at its load balancers, in sentences."""
    words = Counter(word for task in tasks if task.id in targets for word in targets[task.id].waits)
    return tuple(f"{count} targets are {word}" for word, count in sorted(words.items()))
