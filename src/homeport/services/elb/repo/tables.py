"""Classic Load Balancing's table."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.elb import model
from homeport.store.rows import row_table

load_balancers = row_table(
    "elb_load_balancer",
    model.LoadBalancer,
    sa.Column("name", sa.String(32), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_elb_load_balancer_name"),
)
