"""The command line. Every command is a client of the public API like any other.

Exit status of every command: 0 done, 1 refused or failed (the reason and a
remedy are on stderr), 2 wrong usage, 3 nothing serves here, 130 interrupted.
The overview costs no import at all, and a command is imported when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from homeport import __version__
from homeport.cli.output import explain_failure, tell_error

if TYPE_CHECKING:
    from cyclopts import App

ABOUT = "Run Amazon ECS on your own machines."
WRONG_USAGE = 2
EXIT_STATUS = "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 nothing serves here."
COMMANDS = {
    "up": ("homeport.cli.up:up", "Run everything on this machine; --demo adds a sample service."),
    "down": ("homeport.cli.down:down", "Stop Homeport and remove its containers."),
    "env": ("homeport.cli.env:env", 'Print the exports for AWS tools: eval "$(homeport env)".'),
    "status": ("homeport.cli.status:status", "Show clusters, instances and services."),
    "ps": ("homeport.cli.ps:ps", "List tasks."),
    "url": ("homeport.cli.url:url", "Print where a service or a load balancer answers."),
    "logs": ("homeport.cli.logs:logs", "Print what a task's containers wrote."),
    "events": ("homeport.cli.events:events", "Show what happens to tasks, instances and services."),
    "audit": ("homeport.cli.audit:audit", "Show who did what, and what allowed or denied it."),
    "explain": (
        "homeport.cli.explain:explain",
        "Say why a task, service or deployment is as it is, a request denied.",
    ),
    "spot-interrupt": (
        "homeport.cli.spot:spot_interrupt",
        "Give a task on FARGATE_SPOT the notice that its capacity is taken away.",
    ),
    "doctor": ("homeport.cli.doctor:doctor", "Say what this machine lacks and how to get it."),
    "agent": ("homeport.cli.agent:agent", "Make this machine a node of a Homeport elsewhere."),
    "node": ("homeport.cli.node:app", "Let other machines join."),
}
"""Name: where it lives, and its line in the overview."""


def overview() -> str:
    """What `homeport --help` says."""
    width = max(map(len, COMMANDS))
    lines = [ABOUT, "", "Usage: homeport COMMAND [OPTIONS]", "", "Commands:"]
    lines += [f"  {name.ljust(width)}  {summary}" for name, (_, summary) in COMMANDS.items()]
    lines += ["", "homeport COMMAND --help tells a command's options.", EXIT_STATUS]
    return "\n".join(lines)


def build() -> App:
    """The commands, none of them imported yet."""
    from cyclopts import App, Parameter

    from homeport.cli.help import TwoColumns

    app = App(
        name="homeport",
        help=ABOUT,
        version=__version__,
        # What renders markup in help takes as long to import as all the rest: plain text.
        help_format="plaintext",
        help_formatter=TwoColumns(),
        default_parameter=Parameter(show_default=_worth_showing),
        exit_on_error=False,
        print_error=False,
    )
    for name, (path, _) in COMMANDS.items():
        app.command(path, name=name)
    return app


def _worth_showing(default: object) -> object:
    """What to show of a default; `None` where it says no more than that the option was left out."""
    return None if default in (False, "", None) else default


def run(words: Sequence[str]) -> None:
    """Parse and run one command."""
    from cyclopts import CycloptsError

    try:
        build()(words)
    except CycloptsError as error:
        command = words[0] if words and words[0] in COMMANDS else ""
        tell_error(str(error).rstrip("."), f"See: homeport {f'{command} ' * bool(command)}--help")
        sys.exit(WRONG_USAGE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words in ([], ["--help"], ["-h"], ["help"]):
            print(overview())
        elif words == ["--version"]:
            print(__version__)
        else:
            run(words)
    except BrokenPipeError:
        # Whoever read us has what it wanted (`homeport ps | head -1`); Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        status = explain_failure(error)
        if status is None:
            raise
        sys.exit(status)
