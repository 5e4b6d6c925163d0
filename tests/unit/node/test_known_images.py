"""What is kept of the daemon's answers about images."""

from __future__ import annotations

from homeport.node.drivers.known_images import KnownImages
from homeport.node.ports import ImageInfo

INFO = ImageInfo(id="sha256:a", digest=None)


def test_nothing_is_kept_while_nobody_hears_of_changes() -> None:
    known = KnownImages()
    known.keep("app:1", INFO, known.generation)
    assert known.find("app:1") is None


def test_an_answer_is_kept_until_an_image_changes() -> None:
    known = KnownImages()
    with known.watched():
        known.keep("app:1", INFO, known.generation)
        assert known.find("app:1") is INFO
        known.changed()
        assert known.find("app:1") is None


def test_an_answer_that_was_overtaken_by_a_change_is_not_kept() -> None:
    known = KnownImages()
    with known.watched():
        asked = known.generation
        known.changed()
        known.keep("app:1", INFO, asked)
        assert known.find("app:1") is None


def test_when_the_events_end_everything_is_forgotten() -> None:
    known = KnownImages()
    with known.watched():
        with known.watched():
            known.keep("app:1", INFO, known.generation)
        assert known.find("app:1") is None, "one of two listeners was away: a change may have been missed"
        known.keep("app:1", INFO, known.generation)
    assert known.find("app:1") is None
