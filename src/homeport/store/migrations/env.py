"""Run by alembic: applies the versions on the connection that the store hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator, TypeEngine

from homeport.store.schema import metadata


def _render(kind: str, value: Any, _: Any) -> str | Literal[False]:
    """Write our own column types as what they are in the database: a version must not change with us."""
    if kind == "type" and isinstance(value, TypeDecorator):
        impl: TypeEngine[Any] = value.impl_instance
        return f"sa.{impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
