"""What the daemon said about images, kept for as long as somebody would hear of a change.

A task's image is looked at before each of its containers is made: with fifty
tasks of one image that would be fifty calls for one answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeport.node.ports import ImageInfo


class KnownImages:
    """Answers by image name. Without a watcher nothing is known: every question goes to the daemon."""

    def __init__(self) -> None:
        self.generation = 0
        self._known: dict[str, ImageInfo] = {}
        self._watchers = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The daemon's events are heard while the block runs, and `changed` is called for those on images."""
        self._watchers += 1
        self.changed()
        try:
            yield
        finally:
            self._watchers -= 1
            self.changed()

    def changed(self) -> None:
        """An image came, went or got another name. Answers that are on their way count no more."""
        self.generation += 1
        self._known.clear()

    def find(self, image: str) -> ImageInfo | None:
        """What is known of it; `None`: ask."""
        return self._known.get(image)

    def keep(self, image: str, info: ImageInfo, generation: int) -> None:
        """An answer to a question that was asked in `generation`."""
        if self._watchers and generation == self.generation:
            self._known[image] = info
