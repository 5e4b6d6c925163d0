"""Rules: made, changed, ordered, shown, deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.services.elbv2.api.context import (
    ADD_TAGS,
    Answer,
    Elbv2,
    Request,
    arns_in,
    balancers,
    find_listener,
    find_rule,
    groups,
    only_one,
    ops,
    paged,
    suffix,
)
from homeport.services.elbv2.api.whole import check_can_be_done
from homeport.services.elbv2.errors import (
    OperationNotPermitted,
    PriorityInUse,
    TooManyRules,
    UnsupportedProtocol,
    ValidationError,
)
from homeport.services.elbv2.model.balancers import APPLICATION, Listener, LoadBalancer
from homeport.services.elbv2.model.rules import Action, Forward, Oidc, Rule
from homeport.services.elbv2.plan.actions import actions_of
from homeport.services.elbv2.plan.conditions import conditions_of, transforms_of
from homeport.services.elbv2.plan.listeners import check_forwarding
from homeport.services.elbv2.plan.requests import limit, tags_of
from homeport.services.elbv2.view import rule_view
from homeport.store.tx import Tx

Seal = Callable[[str], bytes]


def sealer(elb: Elbv2, rule_arn: str) -> Seal:
    """Closes the client secret of a rule's OIDC provider."""
    return lambda secret: elb.vault.seal(secret.encode(), about=secret_about(rule_arn))


def secret_about(rule_arn: str) -> str:
    """What a rule's sealed secret belongs to."""
    return f"elbv2/{rule_arn}"


def unsealed(actions: Sequence[Action]) -> list[Action]:
    """The actions without their sealed secrets, which differ each time."""
    return [msgspec.structs.replace(one, secret=b"") if isinstance(one, Oidc) else one for one in actions]


def decided(
    given: Sequence[Mapping[str, Any]], listener: Listener, *, seal: Seal, held: Sequence[Action]
) -> tuple[Action, ...]:
    """The actions of a request, for a rule of the listener."""
    return actions_of(given, protocol=listener.protocol, seal=seal, held=held)


def forwarding(
    tx: Tx, call: Call, balancer: LoadBalancer, listener: Listener, actions: Sequence[Action]
) -> None:
    """Raise unless a rule of the listener may have these actions, as things are."""
    repo = balancers(tx, call)
    arns = [one.group_arn for a in actions if isinstance(a, Forward) for one in a.groups]
    check_forwarding(
        balancer,
        listener.protocol,
        arns,
        groups(tx, call).among(arns),
        {arn: user.arn for arn, user in repo.users(arns).items()},
        repo.used_by(balancer),
    )


@ops.operation("CreateRule", resources=arns_in("ListenerArn"), tagging=ADD_TAGS)
async def create_rule(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Add a rule to a listener."""
    ending, tags = suffix(elb), tags_of(req.get("Tags"))

    def work(tx: Tx) -> Answer:
        repo, listener = balancers(tx, call), find_listener(tx, call, req["ListenerArn"])
        balancer = repo.get(listener.balancer_id)
        if balancer.type != APPLICATION:
            raise UnsupportedProtocol(
                f"Rules are not supported for listeners of protocol '{listener.protocol}'"
            )
        if any(rule.priority == req["Priority"] for rule in repo.rules(listener)):
            raise PriorityInUse(f"Priority '{req['Priority']}' is currently in use")
        arn = listener.rule_arn(ending)
        rule = Rule(
            arn=arn,
            listener_id=listener.id,
            priority=req["Priority"],
            conditions=conditions_of(req["Conditions"]),
            actions=decided(req["Actions"], listener, seal=sealer(elb, arn), held=()),
            transforms=transforms_of(req.get("Transforms") or ()),
            tags=tags,
        )
        forwarding(tx, call, balancer, listener, rule.actions)
        most = limit("rules-per-{}-load-balancer", balancer.type)
        if repo.rule_count(balancer) - len(repo.listeners(balancer)) >= most:
            raise TooManyRules(f"A load balancer has at most {most} rules beside default ones")
        added = repo.add_rule(rule, listener)
        check_can_be_done(tx, balancer)
        return {"Rules": [rule_view(added)]}

    return await elb.store.write(work)


@ops.operation("ModifyRule", resources=arns_in("RuleArn"))
async def modify_rule(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Change what a request names of a rule."""
    if not any(req.get(member) for member in ("Conditions", "Actions", "Transforms", "ResetTransforms")):
        raise ValidationError("Either conditions or actions must be specified")
    if req.get("Transforms") and req.get("ResetTransforms"):
        raise ValidationError("You cannot specify both Transforms and ResetTransforms")

    def work(tx: Tx) -> Answer:
        repo, held = balancers(tx, call), find_rule(tx, call, req["RuleArn"])
        if held.is_default:
            raise OperationNotPermitted(f"Default rule '{held.arn}' cannot be modified")
        listener = repo.listener_of(held)
        changes: dict[str, Any] = {}
        if req.get("Conditions"):
            changes["conditions"] = conditions_of(req["Conditions"])
        if req.get("Actions"):
            seal = sealer(elb, held.arn)
            changes["actions"] = decided(req["Actions"], listener, seal=seal, held=held.actions)
        if req.get("Transforms") or req.get("ResetTransforms"):
            changes["transforms"] = transforms_of(req.get("Transforms") or ())
        rule = msgspec.structs.replace(held, **changes)
        balancer = repo.get(listener.balancer_id)
        forwarding(tx, call, balancer, listener, rule.actions)
        saved = repo.save_rule(rule, listener)
        check_can_be_done(tx, balancer)
        return {"Rules": [rule_view(saved)]}

    return await elb.store.write(work)


def _pair_arns(call: Call, request: Request) -> tuple[str, ...]:
    del call
    return tuple(pair.get("RuleArn", "") for pair in request["RulePriorities"])


@ops.operation("SetRulePriorities", resources=_pair_arns)
async def set_rule_priorities(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Give rules other priorities, all at once."""
    pairs = [(pair.get("RuleArn", ""), pair.get("Priority")) for pair in req["RulePriorities"]]
    if not pairs or any(not arn or priority is None for arn, priority in pairs):
        raise ValidationError("You must specify a rule ARN and a priority for each rule")
    for noun, items in (("Rule", [a for a, _ in pairs]), ("Priority", [str(p) for _, p in pairs])):
        if twice := next((one for one in items if items.count(one) > 1), None):
            raise ValidationError(f"{noun} '{twice}' was provided multiple times")

    def work(tx: Tx) -> Answer:
        repo, wanted = balancers(tx, call), dict(pairs)
        found = [find_rule(tx, call, arn) for arn in wanted]
        if default := next((rule for rule in found if rule.is_default), None):
            raise OperationNotPermitted(f"Default rule '{default.arn}' cannot be modified")
        if len({rule.listener_id for rule in found}) > 1:
            raise ValidationError("All rules must be of the same listener")
        listener = repo.listener_of(found[0])
        others = {rule.priority for rule in repo.rules(listener) if rule.arn not in wanted}
        if taken := next((priority for priority in wanted.values() if priority in others), None):
            raise PriorityInUse(f"Priority '{taken}' is currently in use")
        saved = [
            repo.save_rule(msgspec.structs.replace(rule, priority=wanted[rule.arn]), listener)
            for rule in found
        ]
        return {"Rules": [rule_view(rule) for rule in saved]}

    return await elb.store.write(work)


@ops.operation("DeleteRule", resources=arns_in("RuleArn"))
async def delete_rule(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Delete a rule other than a default one."""

    def work(tx: Tx) -> None:
        repo, held = balancers(tx, call), find_rule(tx, call, req["RuleArn"])
        if held.is_default:
            raise OperationNotPermitted(f"Default rule '{held.arn}' cannot be deleted")
        repo.delete_rule(held, repo.listener_of(held))

    await elb.store.write(work)
    return {}


@ops.operation("DescribeRules")
async def describe_rules(call: Call, elb: Elbv2, req: Request) -> Answer:
    """A listener's rules by priority, the default one last, or those of these ARNs."""
    only_one(req, "ListenerArn", "RuleArns")
    if not req.get("ListenerArn") and not req.get("RuleArns"):
        raise ValidationError("You must specify either listener rule ARNs or a listener ARN")

    def work(tx: Tx) -> Answer:
        if arns := req.get("RuleArns"):
            found = tuple(find_rule(tx, call, arn) for arn in dict.fromkeys(arns))
        else:
            found = balancers(tx, call).rules(find_listener(tx, call, req["ListenerArn"]))
        return paged(elb, call, req, "Rules", found, rule_view)

    return await elb.store.read(work)
