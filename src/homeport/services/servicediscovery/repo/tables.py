"""Cloud Map's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.servicediscovery import model
from homeport.store.schema import metadata
from homeport.store.types import Document, RowId

namespaces = sa.Table(
    "servicediscovery_namespace",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("namespace_id", sa.String(64), nullable=False),
    sa.Column("http_name", sa.String(1100), nullable=False),
    sa.Column("body", Document(model.Namespace), nullable=False),
    sa.UniqueConstraint("namespace_id", name="uq_servicediscovery_namespace_id"),
    sa.UniqueConstraint("account_id", "region", "http_name", name="uq_servicediscovery_namespace_http_name"),
)

services = sa.Table(
    "servicediscovery_service",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("service_id", sa.String(64), nullable=False),
    sa.Column("namespace_id", sa.String(64), nullable=False),
    sa.Column("unique_name", sa.String(127), nullable=False),
    sa.Column("body", Document(model.Service), nullable=False),
    sa.UniqueConstraint("service_id", name="uq_servicediscovery_service_id"),
    sa.UniqueConstraint("namespace_id", "unique_name", name="uq_servicediscovery_service_name"),
)

instances = sa.Table(
    "servicediscovery_instance",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("service_id", sa.String(64), nullable=False),
    sa.Column("instance_id", sa.String(64), nullable=False),
    sa.Column("body", Document(model.Instance), nullable=False),
    sa.UniqueConstraint("service_id", "instance_id", name="uq_servicediscovery_instance_id"),
)

operations = sa.Table(
    "servicediscovery_operation",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("operation_id", sa.String(64), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", Document(model.Operation), nullable=False),
    sa.UniqueConstraint("account_id", "region", "operation_id", name="uq_servicediscovery_operation_id"),
)
sa.Index(
    "ix_servicediscovery_operation_age", operations.c.account_id, operations.c.region, operations.c.created_at
)
