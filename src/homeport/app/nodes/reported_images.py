"""Images whose pulls are shown to whoever started this Homeport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from homeport.node.ports import ImageDriver, ImageInfo, PullProgress, RegistryLogin

Report = Callable[[str, Mapping[str, Any]], None]


class ReportedImages:
    """An `ImageDriver` that reports `image.pulling` with every step, and `image.pulled`."""

    def __init__(self, images: ImageDriver, report: Report) -> None:
        self._images = images
        self._report = report

    async def inspect(self, image: str) -> ImageInfo | None:
        return await self._images.inspect(image)

    async def pull(
        self, image: str, *, login: RegistryLogin | None, progress: Callable[[PullProgress], None]
    ) -> None:
        def step(seen: PullProgress) -> None:
            self._tell(image, seen.done_bytes, seen.total_bytes)
            progress(seen)

        self._tell(image, 0, 0)
        await self._images.pull(image, login=login, progress=step)
        self._report("image.pulled", {"image": image})

    async def remove(self, image: str) -> None:
        await self._images.remove(image)

    async def images(self) -> tuple[ImageInfo, ...]:
        return await self._images.images()

    def _tell(self, image: str, done_bytes: int, total_bytes: int) -> None:
        self._report("image.pulling", {"image": image, "done_bytes": done_bytes, "total_bytes": total_bytes})
