"""ECS's tables: what is queried as columns, the whole noun as one document.

Row ids are small integers because random text keys cost ten times an append;
ARNs are derived. `uid` is a task's or instance's 16-byte id.
"""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.ecs import model
from homeport.store.schema import metadata
from homeport.store.types import Document, RowId


def _id() -> sa.Column[int]:
    return sa.Column("id", RowId, primary_key=True, autoincrement=True)


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.BigInteger, nullable=False)


clusters = sa.Table(
    "ecs_cluster",
    metadata,
    _id(),
    _version(),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("placement_epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("fleet_epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("body", Document(model.Cluster), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_ecs_cluster_name"),
)

task_families = sa.Table(
    "ecs_task_family",
    metadata,
    _id(),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False, server_default=model.TASK_DEFINITION),
    sa.Column("family", sa.String(255), nullable=False),
    sa.Column("last_revision", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("account_id", "region", "kind", "family", name="uq_ecs_task_family"),
)

task_definitions = sa.Table(
    "ecs_task_definition",
    metadata,
    _id(),
    _version(),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False, server_default=model.TASK_DEFINITION),
    sa.Column("family", sa.String(255), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("body", Document(model.TaskDefinition), nullable=False),
    sa.UniqueConstraint("account_id", "region", "kind", "family", "revision", name="uq_ecs_task_definition"),
)

container_instances = sa.Table(
    "ecs_container_instance",
    metadata,
    _id(),
    _version(),
    sa.Column("cluster_id", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.LargeBinary(16), nullable=False, unique=True),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("changed_epoch", sa.BigInteger, nullable=False),
    sa.Column("payloads", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("body", Document(model.ContainerInstance), nullable=False),
    sa.Index("ix_ecs_container_instance_cluster", "cluster_id", "id"),
    sa.Index("ix_ecs_container_instance_changed", "cluster_id", "changed_epoch"),
)

tasks = sa.Table(
    "ecs_task",
    metadata,
    _id(),
    _version(),
    sa.Column("cluster_id", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.LargeBinary(16), nullable=False, unique=True),
    sa.Column("instance_id", sa.BigInteger),
    sa.Column("service_id", sa.BigInteger),
    sa.Column("daemon_id", sa.BigInteger),
    sa.Column("family", sa.String(255), nullable=False),
    sa.Column("started_by", sa.String(128)),
    sa.Column("launch_type", sa.String(32), nullable=False),
    sa.Column("desired_status", sa.String(16), nullable=False),
    sa.Column("last_status", sa.String(16), nullable=False),
    sa.Column("stopped_at", sa.Float),
    sa.Column("agent_due", sa.Boolean, nullable=False),
    sa.Column("body", Document(model.Task), nullable=False),
)
sa.Index(
    "ix_ecs_task_live",
    tasks.c.cluster_id,
    tasks.c.last_status,
    tasks.c.launch_type,
    sqlite_where=tasks.c.stopped_at.is_(None),
    postgresql_where=tasks.c.stopped_at.is_(None),
)
sa.Index(
    "ix_ecs_task_live_cluster",
    tasks.c.cluster_id,
    tasks.c.id,
    sqlite_where=tasks.c.stopped_at.is_(None),
    postgresql_where=tasks.c.stopped_at.is_(None),
)
sa.Index(
    "ix_ecs_task_agent_due",
    tasks.c.instance_id,
    tasks.c.desired_status,
    tasks.c.id,
    sqlite_where=tasks.c.agent_due,
    postgresql_where=tasks.c.agent_due,
)
sa.Index(
    "ix_ecs_task_live_instance",
    tasks.c.instance_id,
    sqlite_where=tasks.c.stopped_at.is_(None),
    postgresql_where=tasks.c.stopped_at.is_(None),
)
sa.Index(
    "ix_ecs_task_service",
    tasks.c.service_id,
    tasks.c.stopped_at,
    sqlite_where=tasks.c.service_id.is_not(None),
    postgresql_where=tasks.c.service_id.is_not(None),
)
sa.Index(
    "ix_ecs_task_daemon",
    tasks.c.daemon_id,
    tasks.c.stopped_at,
    sqlite_where=tasks.c.daemon_id.is_not(None),
    postgresql_where=tasks.c.daemon_id.is_not(None),
)
sa.Index(
    "ix_ecs_task_stopped",
    tasks.c.stopped_at,
    sqlite_where=tasks.c.stopped_at.is_not(None),
    postgresql_where=tasks.c.stopped_at.is_not(None),
)

services = sa.Table(
    "ecs_service",
    metadata,
    _id(),
    _version(),
    sa.Column("cluster_id", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("launch_type", sa.String(32), nullable=False),
    sa.Column("body", Document(model.Service), nullable=False),
    sa.Index("ix_ecs_service_name", "cluster_id", "name"),
)

service_revisions = sa.Table(
    "ecs_service_revision",
    metadata,
    _id(),
    sa.Column("service_id", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", Document(model.ServiceRevision), nullable=False),
)

service_deployments = sa.Table(
    "ecs_service_deployment",
    metadata,
    _id(),
    _version(),
    sa.Column("service_id", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("body", Document(model.ServiceDeployment), nullable=False),
    sa.Index("ix_ecs_service_deployment_service", "service_id", "id"),
    sa.Index("ix_ecs_service_deployment_created", "created_at"),
)
sa.Index(
    "ix_ecs_service_deployment_open",
    service_deployments.c.service_id,
    sqlite_where=service_deployments.c.is_open,
    postgresql_where=service_deployments.c.is_open,
)

task_sets = sa.Table(
    "ecs_task_set",
    metadata,
    _id(),
    _version(),
    sa.Column("service_id", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("body", Document(model.TaskSet), nullable=False),
    sa.Index("ix_ecs_task_set_service", "service_id", "id"),
)

capacity_providers = sa.Table(
    "ecs_capacity_provider",
    metadata,
    _id(),
    _version(),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("group_name", sa.String(255), nullable=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("body", Document(model.CapacityProvider), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_ecs_capacity_provider_name"),
)
sa.Index(
    "ix_ecs_capacity_provider_group",
    capacity_providers.c.account_id,
    capacity_providers.c.region,
    capacity_providers.c.group_name,
    unique=True,
    sqlite_where=capacity_providers.c.status != "INACTIVE",
    postgresql_where=capacity_providers.c.status != "INACTIVE",
)

targets = sa.Table(
    "ecs_target",
    metadata,
    _id(),
    _version(),
    sa.Column("service_id", sa.BigInteger, nullable=False),
    sa.Column("task_id", sa.BigInteger, nullable=False),
    sa.Column("target_group", sa.String(512), nullable=False),
    sa.Column("target", sa.String(64), nullable=False),
    sa.Column("container_port", sa.Integer, nullable=False),
    sa.Column("body", Document(model.Target), nullable=False),
    sa.UniqueConstraint("task_id", "target_group", "container_port", name="uq_ecs_target_task"),
    sa.Index("ix_ecs_target_service", "service_id", "id"),
    sa.Index("ix_ecs_target_target", "target"),
)

account_settings = sa.Table(
    "ecs_account_setting",
    metadata,
    _id(),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("principal_arn", sa.String(512), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("value", sa.String(64), nullable=False),
    sa.UniqueConstraint("account_id", "region", "principal_arn", "name", name="uq_ecs_account_setting"),
)

client_tokens = sa.Table(
    "ecs_client_token",
    metadata,
    _id(),
    sa.Column("scope", sa.String(128), nullable=False),
    sa.Column("token", sa.String(64), nullable=False),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("scope", "token", name="uq_ecs_client_token"),
)
