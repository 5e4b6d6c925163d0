"""Errors that reach a caller, and errors that never do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class AwsError(Exception):
    """An error with one of AWS's codes; the gateway serialises it.

    `code` is the class's own name where none is written or inherited.
    `fault` is used where the service model does not say which side erred.
    `members` are the error shape's further members (`resourceIds`, ...).
    """

    code: ClassVar[str]
    status: ClassVar[int] = 400
    fault: ClassVar[str] = "Sender"

    def __init_subclass__(cls) -> None:
        if not hasattr(cls, "code"):
            cls.code = cls.__name__

    def __init__(self, message: str = "", **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.members: Mapping[str, Any] = members


class DynamicAwsError(AwsError):
    """An error whose code is data: a service's own word for invalid input."""

    code = "ClientException"

    def __init__(self, code: str, message: str, *, status: int = 400, **members: Any) -> None:
        super().__init__(message, **members)
        self.code = code  # type: ignore[misc]
        self.status = status  # type: ignore[misc]


class StaleWriteError(Exception):
    """Someone else wrote first: read again, decide again. Never reaches a caller."""


class UnavailableError(Exception):
    """What was asked for cannot be done now, and whoever asked is not to blame: it may work later.

    `message` may be told to callers; `remedy` is for those who run the server.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UnstorableError(Exception):
    """A value that no database column takes: a NUL character, a text or number that is too large."""
