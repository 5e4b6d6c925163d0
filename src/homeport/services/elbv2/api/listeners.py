"""Listeners: made, changed, shown, deleted; their certificates and attributes."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.elbv2.api.context import (
    ADD_TAGS,
    Answer,
    Elbv2,
    Request,
    arns_in,
    balancers,
    find_balancer,
    find_listener,
    only_one,
    ops,
    paged,
    suffix,
)
from homeport.services.elbv2.api.rules import decided, forwarding, sealer, unsealed
from homeport.services.elbv2.api.whole import check_can_be_done
from homeport.services.elbv2.errors import (
    DuplicateListener,
    OperationNotPermitted,
    TooManyCertificates,
    TooManyListeners,
    UnsupportedProtocol,
    ValidationError,
)
from homeport.services.elbv2.model.balancers import Listener, LoadBalancer
from homeport.services.elbv2.model.rules import DEFAULT_PRIORITY, Action, Rule
from homeport.services.elbv2.plan.attributes import changed as changed_attributes
from homeport.services.elbv2.plan.attributes import effective, listener_attributes
from homeport.services.elbv2.plan.listeners import changed, check_certificates, listener_of
from homeport.services.elbv2.plan.requests import limit, tags_of
from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.services.elbv2.view import attributes_view, certificates_view, listener_view
from homeport.store.tx import Tx


def default_rule(repo: BalancerRepo, listener: Listener) -> Rule:
    """A listener's default rule; every listener has one."""
    return next(rule for rule in repo.rules(listener) if rule.is_default)


def _subject(tx: Tx, call: Call, req: Request) -> LoadBalancer | Listener:
    if "ListenerArn" in req:
        return find_listener(tx, call, req["ListenerArn"])
    return find_balancer(tx, call, req["LoadBalancerArn"])


async def _check_known(call: Call, elb: Elbv2, req: Request) -> None:
    """Raise unless the request's certificates are there, and first unless its balancer or listener is."""
    arns = [one.get("CertificateArn", "") for one in req.get("Certificates") or ()]
    if arns:
        await elb.store.read(lambda tx: _subject(tx, call, req))
        found = await elb.certificates.find(call.account_id, call.region, arns)
        check_certificates(arns, {arn: one.unusable for arn, one in found.items()})


@ops.operation("CreateListener", resources=arns_in("LoadBalancerArn"), tagging=ADD_TAGS)
async def create_listener(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Open a port of a balancer; the same request again returns it."""
    await _check_known(call, elb, req)
    ending, rule_ending, tags = suffix(elb), suffix(elb), tags_of(req.get("Tags"))

    def work(tx: Tx) -> Answer:
        repo, balancer = balancers(tx, call), find_balancer(tx, call, req["LoadBalancerArn"])
        arn = f"{balancer.arn.replace(':loadbalancer/', ':listener/', 1)}/{ending}"
        wanted = listener_of(balancer, req, arn, tags)
        rule_arn = wanted.rule_arn(rule_ending)
        actions = decided(req["DefaultActions"], wanted, seal=sealer(elb, rule_arn), held=())
        if (held := _at(repo, balancer, wanted.port)) is not None:
            return {"Listeners": [_same_or_refused(repo, held, wanted, actions)]}
        _check_room(repo, balancer)
        forwarding(tx, call, balancer, wanted, actions)
        listener = repo.add_listener(wanted)
        rule = Rule(arn=rule_arn, listener_id=listener.id, priority=DEFAULT_PRIORITY, actions=actions)
        repo.add_rule(rule, listener)
        check_can_be_done(tx, balancer)
        return {"Listeners": [listener_view(listener, actions)]}

    return await elb.store.write(work)


def _at(repo: BalancerRepo, balancer: LoadBalancer, port: int) -> Listener | None:
    return next((one for one in repo.listeners(balancer) if one.port == port), None)


def _same_or_refused(
    repo: BalancerRepo, held: Listener, wanted: Listener, actions: tuple[Action, ...]
) -> Answer:
    rule = default_rule(repo, held)
    same = ("protocol", "ssl_policy", "certificate", "alpn", "tags")
    if unsealed(rule.actions) != unsealed(actions) or any(
        getattr(held, name) != getattr(wanted, name) for name in same
    ):
        raise DuplicateListener(
            f"A listener already exists on this port for this load balancer '{held.balancer_arn}'"
        )
    return listener_view(held, rule.actions)


def _check_room(repo: BalancerRepo, balancer: LoadBalancer) -> None:
    most = limit("listeners-per-{}-load-balancer", balancer.type)
    if len(repo.listeners(balancer)) >= most:
        raise TooManyListeners(f"A load balancer has at most {most} listeners")


@ops.operation("ModifyListener", resources=arns_in("ListenerArn"))
async def modify_listener(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Change what a request names of a listener."""
    await _check_known(call, elb, req)

    def work(tx: Tx) -> Answer:
        repo, held = balancers(tx, call), find_listener(tx, call, req["ListenerArn"])
        balancer, rule = repo.get(held.balancer_id), default_rule(repo, held)
        wanted = changed(held, balancer, req)
        taken = _at(repo, balancer, wanted.port)
        if taken is not None and taken.id != held.id:
            raise DuplicateListener(
                f"A listener already exists on this port for this load balancer '{balancer.arn}'"
            )
        if req.get("DefaultActions"):
            given = req["DefaultActions"]
            actions = decided(given, wanted, seal=sealer(elb, rule.arn), held=rule.actions)
            rule = msgspec.structs.replace(rule, actions=actions)
        _check_rules(tx, call, balancer, wanted, (*repo.rules(held)[:-1], rule))
        if wanted.protocol != held.protocol:
            wanted = msgspec.structs.replace(wanted, attributes=_kept(wanted))
        listener = repo.save_listener(wanted)
        repo.save_rule(rule, listener)
        check_can_be_done(tx, balancer)
        return {"Listeners": [listener_view(listener, rule.actions)]}

    return await elb.store.write(work)


def _check_rules(
    tx: Tx, call: Call, balancer: LoadBalancer, listener: Listener, rules: tuple[Rule, ...]
) -> None:
    """Raise unless all rules go with the listener as it will be."""
    for rule in rules:
        if len(rule.actions) > 1 and listener.protocol != "HTTPS":
            raise UnsupportedProtocol(
                f"Rule '{rule.arn}' authenticates, which is supported only on HTTPS listeners"
            )
        forwarding(tx, call, balancer, listener, rule.actions)


def _kept(listener: Listener) -> dict[str, str]:
    known = listener_attributes(listener.protocol)
    return {name: value for name, value in listener.attributes.items() if name in known}


@ops.operation("DeleteListener", resources=arns_in("ListenerArn"))
async def delete_listener(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Close a port, and delete its rules."""

    def work(tx: Tx) -> None:
        balancers(tx, call).delete_listener(find_listener(tx, call, req["ListenerArn"]))

    await elb.store.write(work)
    return {}


@ops.operation("DescribeListeners")
async def describe_listeners(call: Call, elb: Elbv2, req: Request) -> Answer:
    """A balancer's listeners, or those of these ARNs."""
    only_one(req, "LoadBalancerArn", "ListenerArns")
    if not req.get("LoadBalancerArn") and not req.get("ListenerArns"):
        raise ValidationError("You must specify either listener ARNs or a load balancer ARN")

    def work(tx: Tx) -> Answer:
        repo = balancers(tx, call)
        if arns := req.get("ListenerArns"):
            found = tuple(find_listener(tx, call, arn) for arn in dict.fromkeys(arns))
        else:
            found = repo.listeners(find_balancer(tx, call, req["LoadBalancerArn"]))
        return paged(
            elb,
            call,
            req,
            "Listeners",
            found,
            lambda one: listener_view(one, default_rule(repo, one).actions),
        )

    return await elb.store.read(work)


# Certificates


def _secure(tx: Tx, call: Call, req: Request) -> Listener:
    found = find_listener(tx, call, req["ListenerArn"])
    if not found.is_secure:
        raise UnsupportedProtocol(f"A listener of protocol '{found.protocol}' has no certificates")
    return found


@ops.operation("AddListenerCertificates", resources=arns_in("ListenerArn"))
async def add_listener_certificates(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Add certificates for clients that ask for a name (SNI)."""
    await _check_known(call, elb, req)
    arns = [one.get("CertificateArn", "") for one in req["Certificates"]]

    def work(tx: Tx) -> None:
        repo, found = balancers(tx, call), _secure(tx, call, req)
        added = tuple(dict.fromkeys((*found.certificates, *arns)))
        balancer = repo.get(found.balancer_id)
        others = sum(len(one.certificates) for one in repo.listeners(balancer) if one.id != found.id)
        most = limit("certificates-per-{}-load-balancer", balancer.type)
        if others + len(added) > most:
            raise TooManyCertificates(f"A load balancer has at most {most} certificates beside default ones")
        repo.save_listener(msgspec.structs.replace(found, certificates=added))

    await elb.store.write(work)
    return {"Certificates": [{"CertificateArn": arn, "IsDefault": False} for arn in dict.fromkeys(arns)]}


@ops.operation("RemoveListenerCertificates", resources=arns_in("ListenerArn"))
async def remove_listener_certificates(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Remove certificates other than the default one."""
    arns = {one.get("CertificateArn", "") for one in req["Certificates"]}

    def work(tx: Tx) -> None:
        repo, found = balancers(tx, call), _secure(tx, call, req)
        if found.certificate in arns - set(found.certificates):
            raise OperationNotPermitted("Default certificate cannot be removed")
        kept = tuple(arn for arn in found.certificates if arn not in arns)
        repo.save_listener(msgspec.structs.replace(found, certificates=kept))

    await elb.store.write(work)
    return {}


@ops.operation("DescribeListenerCertificates")
async def describe_listener_certificates(call: Call, elb: Elbv2, req: Request) -> Answer:
    """A listener's certificates, the default one first; one that speaks plainly has none."""
    found = await elb.store.read(lambda tx: find_listener(tx, call, req["ListenerArn"]))
    return paged(elb, call, req, "Certificates", certificates_view(found), lambda one: one)


# Attributes


@ops.operation("DescribeListenerAttributes")
async def describe_listener_attributes(call: Call, elb: Elbv2, req: Request) -> Answer:
    """A listener's attributes, with their defaults."""
    found = await elb.store.read(lambda tx: find_listener(tx, call, req["ListenerArn"]))
    return {"Attributes": attributes_view(effective(listener_attributes(found.protocol), found.attributes))}


@ops.operation("ModifyListenerAttributes", resources=arns_in("ListenerArn"))
async def modify_listener_attributes(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Set attributes of a listener."""

    def work(tx: Tx) -> Listener:
        found = find_listener(tx, call, req["ListenerArn"])
        known = listener_attributes(found.protocol)
        after = changed_attributes(known, found.attributes, req["Attributes"], "Listener")
        saved = balancers(tx, call).save_listener(msgspec.structs.replace(found, attributes=after))
        check_can_be_done(tx, balancers(tx, call).get(found.balancer_id))
        return saved

    saved = await elb.store.write(work)
    return {"Attributes": attributes_view(effective(listener_attributes(saved.protocol), saved.attributes))}
