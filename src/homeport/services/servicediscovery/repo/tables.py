"""Cloud Map's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.servicediscovery import model
from homeport.store.rows import row_table

namespaces = row_table(
    "servicediscovery_namespace",
    model.Namespace,
    sa.Column("namespace_id", sa.String(64), nullable=False),
    sa.Column("http_name", sa.String(1100), nullable=False),
    sa.UniqueConstraint("namespace_id", name="uq_servicediscovery_namespace_id"),
    sa.UniqueConstraint("account_id", "region", "http_name", name="uq_servicediscovery_namespace_http_name"),
)

services = row_table(
    "servicediscovery_service",
    model.Service,
    sa.Column("service_id", sa.String(64), nullable=False),
    sa.Column("namespace_id", sa.String(64), nullable=False),
    sa.Column("unique_name", sa.String(127), nullable=False),
    sa.UniqueConstraint("service_id", name="uq_servicediscovery_service_id"),
    sa.UniqueConstraint("namespace_id", "unique_name", name="uq_servicediscovery_service_name"),
)

instances = row_table(
    "servicediscovery_instance",
    model.Instance,
    sa.Column("service_id", sa.String(64), nullable=False),
    sa.Column("instance_id", sa.String(64), nullable=False),
    sa.UniqueConstraint("service_id", "instance_id", name="uq_servicediscovery_instance_id"),
    has_home=False,
)

operations = row_table(
    "servicediscovery_operation",
    model.Operation,
    sa.Column("operation_id", sa.String(64), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("account_id", "region", "operation_id", name="uq_servicediscovery_operation_id"),
)
sa.Index(
    "ix_servicediscovery_operation_age", operations.c.account_id, operations.c.region, operations.c.created_at
)
