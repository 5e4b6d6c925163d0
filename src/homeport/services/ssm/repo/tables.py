"""Parameter Store's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.ssm import model
from homeport.store.rows import row_table
from homeport.store.schema import metadata
from homeport.store.types import Document

parameters = row_table(
    "ssm_parameter",
    model.Parameter,
    sa.Column("name", sa.String(2048), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_ssm_parameter_name"),
)

versions = sa.Table(
    "ssm_parameter_version",
    metadata,
    sa.Column("parameter_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", Document(model.ParameterVersion), nullable=False),
)
