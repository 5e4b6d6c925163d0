"""Images that nobody needs any more go: by age, and sooner when they take too much of the disk.

Source: ECS developer guide, "Automated task and image cleanup"; defaults of ECS_IMAGE_* variables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from homeport.core.clock import Clock
from homeport.core.log import get_logger
from homeport.node.ports import DriverError, DriverUnavailableError, ImageDriver, ImageInfo
from homeport.node.settings import ImageGcSettings

log = get_logger("node.images")

NOTE_SECONDS = 60.0
"""How often it is noted what is in use: ended tasks are known for longer, so none escapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedImage:
    """An image that this node's tasks used. `pulled_at`: when the node first had to do with it."""

    info: ImageInfo
    pulled_at: datetime
    last_used_at: datetime


def plan_image_gc(
    images: Iterable[TrackedImage], in_use: Collection[str], now: datetime, settings: ImageGcSettings
) -> tuple[TrackedImage, ...]:
    """Which images to remove, least recently used first.

    `in_use` holds ids and names. Images older than the minimum age go, at most
    `images_per_cycle`; above `disk_bytes_max` further ones go until it fits.
    """
    if not settings.enabled:
        return ()
    everything = sorted(images, key=lambda image: (image.last_used_at, image.info.id))
    free = [i for i in everything if i.info.id not in in_use and not any(n in in_use for n in i.info.names)]
    age = timedelta(seconds=settings.minimum_age_seconds)
    old = [image for image in free if now - image.pulled_at >= age][: settings.images_per_cycle]
    if settings.disk_bytes_max is None:
        return tuple(old)
    chosen = {image.info.id for image in old}
    taken = sum(image.info.size_bytes for image in everything if image.info.id not in chosen)
    for image in free:
        if taken <= settings.disk_bytes_max:
            break
        if image.info.id not in chosen:
            chosen.add(image.info.id)
            taken -= image.info.size_bytes
    return tuple(image for image in free if image.info.id in chosen)


class ImageCleaner:
    """Runs the plan now and then, over images that this node `brought`: others are not ours to remove.

    Somebody may have built them here, and no registry would give them back.
    """

    def __init__(
        self,
        images: ImageDriver,
        *,
        settings: ImageGcSettings,
        clock: Clock,
        in_use: Callable[[], Collection[str]],
        brought: Collection[str],
    ) -> None:
        self._images = images
        self._settings = settings
        self._clock = clock
        self._in_use = in_use
        self._brought = brought
        self._first: dict[str, datetime] = {}
        self._last: dict[str, datetime] = {}

    async def run(self) -> None:
        """Until cancelled."""
        due = self._clock.now()
        while True:
            due += timedelta(seconds=self._settings.interval_seconds)
            while (left := (due - self._clock.now()).total_seconds()) > 0:
                self.note()
                await asyncio.sleep(min(left, NOTE_SECONDS))
            try:
                await self.clean()
            except (DriverError, DriverUnavailableError) as error:
                log.warning("images.not_cleaned", error=str(error))

    def note(self) -> None:
        """What is in use now was used now."""
        now = self._clock.now()
        for name in (name for name in self._in_use() if name in self._brought):
            self._first.setdefault(name, now)
            self._last[name] = now

    async def clean(self) -> None:
        """One cycle."""
        self.note()
        in_use = frozenset(self._in_use())
        known = _tracked(await self._images.images(), self._first, self._last)
        for image in plan_image_gc(known, in_use, self._clock.now(), self._settings):
            for name in image.info.names or (image.info.id,):
                try:
                    await self._images.remove(name)
                except DriverError as error:  # used by a container that is not ours
                    log.info("image.kept", image=name, error=str(error))
                else:
                    self._first.pop(name, None)
                    self._last.pop(name, None)
                    log.info("image.removed", image=name, bytes=image.info.size_bytes)


def _tracked(
    images: Iterable[ImageInfo], first: Mapping[str, datetime], last: Mapping[str, datetime]
) -> list[TrackedImage]:
    tracked: list[TrackedImage] = []
    for info in images:
        ours = [name for name in info.names if name in first]
        if ours:
            tracked.append(
                TrackedImage(
                    info=info,
                    pulled_at=min(first[name] for name in ours),
                    last_used_at=max(last[name] for name in ours),
                )
            )
    return tracked
