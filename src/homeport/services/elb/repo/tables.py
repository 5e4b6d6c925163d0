"""Classic Load Balancing's table."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.elb import model
from homeport.store.schema import metadata
from homeport.store.types import Document, RowId

load_balancers = sa.Table(
    "elb_load_balancer",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("body", Document(model.LoadBalancer), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_elb_load_balancer_name"),
)
