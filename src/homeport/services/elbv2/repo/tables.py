"""Elastic Load Balancing's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.elbv2.model import balancers, groups
from homeport.services.elbv2.model import rules as rule_model
from homeport.store.schema import metadata
from homeport.store.types import Document, RowId

_ARN_MAX = 256

load_balancers = sa.Table(
    "elbv2_load_balancer",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
    sa.Column("body", Document(balancers.LoadBalancer), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_elbv2_load_balancer_name"),
)

listeners = sa.Table(
    "elbv2_listener",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("balancer_id", sa.BigInteger, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
    sa.Column("body", Document(balancers.Listener), nullable=False),
    sa.UniqueConstraint("balancer_id", "port", name="uq_elbv2_listener_port"),
)

rules = sa.Table(
    "elbv2_rule",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("listener_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
    sa.Column("body", Document(rule_model.Rule), nullable=False),
)

uses = sa.Table(
    "elbv2_use",
    metadata,
    sa.Column("rule_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("group_arn", sa.String(_ARN_MAX), primary_key=True),
    sa.Column("balancer_id", sa.BigInteger, nullable=False, index=True),
    sa.Index("ix_elbv2_use_group_arn", "group_arn"),
)
"""Which rules forward to which target groups; written with the rules."""

target_groups = sa.Table(
    "elbv2_target_group",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
    sa.Column("body", Document(groups.TargetGroup), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_elbv2_target_group_name"),
)

targets = sa.Table(
    "elbv2_target",
    metadata,
    sa.Column("group_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("target_id", sa.String(64), primary_key=True),
    sa.Column("port", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", Document(groups.Target), nullable=False),
)
