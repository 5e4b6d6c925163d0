"""How `--help` looks: two aligned columns of plain text, the same on a terminal and in a file."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cyclopts.help.formatters.plain import PlainFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

NAMES_WIDTH = 22
"""The left column, in characters. Longer names have a line of their own."""
WIDTH_MAX = 100


class TwoColumns(PlainFormatter):
    """cyclopts' plain help, with its options and commands in columns."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one block."""
        del options
        if not panel.entries:
            return
        width = min(shutil.get_terminal_size().columns, WIDTH_MAX)
        print(f"{'Options' if panel.title == 'Parameters' else panel.title}:")
        for entry in panel.entries:
            for line in entry_lines(names_of(entry), about(entry, console), width):
                print(line)
        print()

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Print what a command does, wrapped here and not by the console, which leaves spaces."""
        del options
        width = min(shutil.get_terminal_size().columns, WIDTH_MAX)
        for paragraph in plain(description, console).split("\n\n"):
            if paragraph.strip():
                print(textwrap.fill(" ".join(paragraph.split()), width), end="\n\n")


def names_of(entry: HelpEntry) -> str:
    """An option's names and what it takes."""
    return ", ".join(entry.display_labels_with_metavar)


def about(entry: HelpEntry, console: Console) -> str:
    """What an entry is for, and its default."""
    parts = [plain(entry.description, console)]
    if entry.choices:
        parts.append(f"One of: {', '.join(entry.choices)}.")
    if entry.default is not None:
        parts.append(f"Default: {entry.default}.")
    return " ".join(part for part in parts if part)


def plain(text: Any, console: Console) -> str:
    """A renderable without its styles."""
    if text is None:
        return ""
    if hasattr(text, "plain"):
        return str(text.plain).rstrip()
    with console.capture() as captured:
        console.print(text, end="", highlight=False)
    return captured.get().rstrip()


def entry_lines(names: str, text: str, width: int) -> Iterator[str]:
    """`names` on the left, `text` wrapped on the right."""
    gap = " " * (NAMES_WIDTH + 2)
    lines = textwrap.wrap(text, max(width - len(gap), 20)) or [""]
    if len(names) + 4 > len(gap):
        yield f"  {names}"
        names = ""
    yield (f"  {names}".ljust(len(gap)) + lines[0]).rstrip()
    yield from (gap + line for line in lines[1:])
