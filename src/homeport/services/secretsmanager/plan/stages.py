"""Which version has which staging label. Pure.

Source: Secrets Manager user guide, "What's in a Secrets Manager secret?"; API Reference, PutSecretValue and
UpdateSecretVersionStage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homeport.services.secretsmanager.errors import InvalidParameterException, LimitExceededException
from homeport.services.secretsmanager.model import CURRENT, PREVIOUS

STAGES_MAX = 20
Stages = Mapping[str, str]
"""The version's id, by staging label."""


def staged(old: Stages, version_id: str, labels: Iterable[str]) -> dict[str, str]:
    """The labels moved to the version; the one that was current is the previous one then."""
    new = dict(old)
    before = old.get(CURRENT)
    for label in labels:
        new[label] = version_id
    if before is not None and new[CURRENT] != before:
        new[PREVIOUS] = before
    return _limited(new)


def moved(old: Stages, label: str, *, remove_from: str | None, move_to: str | None) -> dict[str, str]:
    """UpdateSecretVersionStage. Raise when the label is elsewhere than the request says."""
    holder = old.get(label)
    if remove_from is not None and holder != remove_from:
        raise InvalidParameterException(
            f"The staging label {label} isn't currently attached to version {remove_from}."
        )
    if move_to is None:
        if remove_from is None:
            raise InvalidParameterException("Give RemoveFromVersionId, MoveToVersionId or both.")
        if label == CURRENT:
            raise InvalidParameterException(
                f"You can't remove the staging label {CURRENT}: move it to another version."
            )
        return {key: value for key, value in old.items() if key != label}
    if holder is not None and holder != move_to and remove_from is None:
        raise InvalidParameterException(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached "
            f"to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    return staged(old, move_to, (label,))


def _limited(stages: dict[str, str]) -> dict[str, str]:
    held = list(stages.values())
    if any(held.count(version) > STAGES_MAX for version in set(held)):
        raise LimitExceededException(f"A version has at most {STAGES_MAX} staging labels.")
    return stages
