"""Parameters and their versions."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select, update

from homeport.services.ssm.model import Parameter, ParameterVersion
from homeport.services.ssm.repo.tables import parameters, versions
from homeport.store.rows import all_nouns, first_noun, insert_row, nouns, write_row
from homeport.store.tx import Tx

_P, _V = parameters.c, versions.c


class ParameterRepo:
    """One account's parameters in one region."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._here = (_P.account_id == account_id, _P.region == region)

    def find(self, name: str) -> Parameter | None:
        """The parameter of that name."""
        return first_noun(self._tx, nouns(parameters).where(*self._here, _P.name == name))

    def add(self, parameter: Parameter, first: ParameterVersion) -> Parameter:
        """Insert a parameter with its first version. Raise `DuplicateKeyError` when the name is taken."""
        added = insert_row(
            self._tx,
            parameters,
            parameter,
            account_id=parameter.account_id,
            region=parameter.region,
            name=parameter.name,
        )
        self.add_version(added, first)
        return added

    def save(self, parameter: Parameter) -> Parameter:
        """Raise `StaleWriteError` when someone else wrote first."""
        return write_row(self._tx, parameters, parameter, parameter.arn)

    def delete(self, parameter: Parameter) -> None:
        """Remove the parameter with all its versions."""
        self._tx.execute(delete(versions).where(_V.parameter_id == parameter.id))
        self._tx.execute(delete(parameters).where(_P.id == parameter.id))

    def page(self, *, below: str = "", after: str = "", limit: int | None = None) -> tuple[Parameter, ...]:
        """Parameters by name, `limit` at most; with `below` only those whose names begin so."""
        query = nouns(parameters).where(*self._here, _P.name > after).order_by(_P.name)
        if below:
            query = query.where(_P.name.startswith(below, autoescape=True))
        return tuple(all_nouns(self._tx, query.limit(limit)))

    def add_version(self, parameter: Parameter, version: ParameterVersion) -> None:
        """Insert a version."""
        self._tx.execute(
            versions.insert().values(parameter_id=parameter.id, number=version.number, body=version)
        )

    def save_version(self, parameter: Parameter, version: ParameterVersion) -> None:
        """Write a version's labels; the parameter's own guarded write goes with it."""
        self._tx.execute(
            update(versions)
            .where(_V.parameter_id == parameter.id, _V.number == version.number)
            .values(body=version)
        )

    def drop_version(self, parameter: Parameter, number: int) -> None:
        """Remove a version."""
        self._tx.execute(delete(versions).where(_V.parameter_id == parameter.id, _V.number == number))

    def version(self, parameter: Parameter, number: int) -> ParameterVersion | None:
        """One version."""
        return self._tx.execute(
            select(_V.body).where(_V.parameter_id == parameter.id, _V.number == number)
        ).scalar()

    def versions(self, parameter: Parameter) -> tuple[ParameterVersion, ...]:
        """All versions that are kept, oldest first."""
        rows = self._tx.execute(select(_V.body).where(_V.parameter_id == parameter.id).order_by(_V.number))
        return tuple(row[0] for row in rows)

    def latest(self, found: Iterable[Parameter]) -> dict[int, ParameterVersion]:
        """The newest versions, by parameter row."""
        by_id = {parameter.id: parameter for parameter in found}
        if not by_id:
            return {}
        rows = self._tx.execute(select(_V.parameter_id, _V.body).where(_V.parameter_id.in_(by_id)))
        return {row[0]: row[1] for row in rows if row[1].number == by_id[row[0]].latest}
