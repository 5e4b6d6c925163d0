"""What can be wrong with a request, or with an answer, before any service has seen it."""

from __future__ import annotations


class WireError(Exception):
    """Something does not fit the wire."""


class UnroutableError(WireError):
    """No operation of any known service was asked for."""

    def __init__(self, protocol: str, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.protocol = protocol
        self.code = code
        self.message = message
        self.status = status


class MalformedRequestError(WireError):
    """The bytes are not what the protocol calls for."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInputError(WireError):
    """The bytes were read, but the model does not allow what they say.

    `message` counts and joins the problems as AWS's services do.
    """

    def __init__(self, problems: tuple[str, ...], missing: tuple[str, ...] = ()) -> None:
        """`missing`: the paths of members that are needed and not there; they are among the problems."""
        noun = "error" if len(problems) == 1 else "errors"
        self.message = f"{len(problems)} validation {noun} detected: {'; '.join(problems)}"
        super().__init__(self.message)
        self.problems = problems
        self.missing = missing


class UnsupportedOperationError(WireError):
    """The operation needs something that this wire does not speak (event streams)."""


class OutputShapeError(WireError):
    """A handler returned what its output shape does not know: a programming error."""
