"""Elastic Load Balancing's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.elbv2.model import balancers, groups
from homeport.services.elbv2.model import rules as rule_model
from homeport.store.rows import row_table
from homeport.store.schema import metadata
from homeport.store.types import Document

_ARN_MAX = 256

load_balancers = row_table(
    "elbv2_load_balancer",
    balancers.LoadBalancer,
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_elbv2_load_balancer_name"),
)

listeners = row_table(
    "elbv2_listener",
    balancers.Listener,
    sa.Column("balancer_id", sa.BigInteger, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
    sa.UniqueConstraint("balancer_id", "port", name="uq_elbv2_listener_port"),
    has_home=False,
)

rules = row_table(
    "elbv2_rule",
    rule_model.Rule,
    sa.Column("listener_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
    has_home=False,
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

target_groups = row_table(
    "elbv2_target_group",
    groups.TargetGroup,
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("arn", sa.String(_ARN_MAX), nullable=False, unique=True),
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
