"""The tables of daemons, of what they were made of, and of how they came to be it."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.ecs import model
from homeport.store.schema import metadata
from homeport.store.types import Document, RowId

daemons = sa.Table(
    "ecs_daemon",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("cluster_id", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("body", Document(model.Daemon), nullable=False),
)
sa.Index(
    "ix_ecs_daemon_name",
    daemons.c.cluster_id,
    daemons.c.name,
    unique=True,
    sqlite_where=daemons.c.status != "DELETED",
    postgresql_where=daemons.c.status != "DELETED",
)

daemon_revisions = sa.Table(
    "ecs_daemon_revision",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("daemon_id", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.String(36), nullable=False, unique=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", Document(model.DaemonRevision), nullable=False),
)

daemon_deployments = sa.Table(
    "ecs_daemon_deployment",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("daemon_id", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", Document(model.DaemonDeployment), nullable=False),
    sa.Index("ix_ecs_daemon_deployment_daemon", "daemon_id", "id"),
    sa.Index("ix_ecs_daemon_deployment_created", "created_at"),
)
