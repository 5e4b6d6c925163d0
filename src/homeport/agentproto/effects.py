"""What the session machines want done: the only way in which they act."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.agentproto.messages import Frame


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Write this frame to the socket, after everything sent before."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give this frame to whoever works with it, in order."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close the socket; the machine says nothing more about it.

    `clean` says whether the end counts as an orderly one when a client decides
    how soon to come back.
    """

    reason: str
    code: int = 1000
    clean: bool = True


@dataclass(frozen=True, slots=True)
class SaveWatermark:
    """Store a manifest's timeline durably, before the effects that follow it."""

    timeline: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame was ignored, as the real agent ignores it; worth a debug line at most."""

    reason: str


ServerEffect = SendFrame | Deliver | CloseSocket | Dropped
ClientEffect = SendFrame | Deliver | CloseSocket | SaveWatermark | Dropped
