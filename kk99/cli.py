"""The `kk99` command: composition only; each subcommand's module is imported when it is called.

Operational errors, those of the disk among them, end with one line on standard error and status 1, wrong usage with
status 2, Ctrl-C with 130.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from kk99.errors import KK99Error

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("kk99.up:up", "Start the whole venue: engine, feed, books and live terminal."),
    "engine": ("kk99.engine.cli:engine", "Run the engine daemon."),
    "feed": ("kk99.feed.cli:feed", "Play a file of order flow into a running venue, or convert one."),
    "gateway": ("kk99.gateway:gateway", "Run a gateway: FIX 4.4, settlement and history."),
    "settlement": ("kk99.settlement.cli:settlement", "Look into the books: statements, reconciliation, hash, rebuild."),
    "status": ("kk99.operate.look:status", "Show how the venue stands, also without its engine."),
    "health": ("kk99.operate.health:health", "Say whether all is well, and what to do if not."),
    "logs": ("kk99.operate.logs:logs", "Show what the processes logged."),
    "restart": ("kk99.operate.services:restart", "Restart the services of an installed venue, drained."),
    "set-up": ("kk99.operate.set_up:set_up", "Define what a file has and the venue lacks."),
    "accounts": ("kk99.operate.act:accounts", "List accounts; suspend, kill, deposit, withdraw."),
    "instruments": ("kk99.operate.act:instruments", "List instruments; set reference prices."),
    "halt": ("kk99.operate.act:halt", "Halt markets."),
    "resume": ("kk99.operate.act:resume", "Put halted markets back to work."),
    "trades": ("kk99.operate.act:trades", "Undo or correct trades."),
    "fix": ("kk99.operate.fix:fix", "Look after the FIX sessions: add, change, block, log out, reset."),
    "approvals": ("kk99.operate.act:approvals", "List and approve orders that need a second person."),
    "backup": ("kk99.operate.keep:backup", "Copy the venue while it trades, verified."),
    "restore": ("kk99.operate.keep:restore", "Make a venue of a backup, up to any point, and prove it."),
    "archive": ("kk99.operate.keep:archive", "Move old sealed segments of the journal to another disk."),
    "install": ("kk99.operate.install:install", "Lay out user, folders and systemd units."),
    "deploy": ("kk99.operate.deploy:deploy", "Upgrade an installed venue, with a way back."),
    "vault": ("kk99.operate.vault:vault", "Fetch secrets from HashiCorp Vault."),
    "replay": ("replay.cli:replay", "Replay, verify, compare, inspect and export the journal."),
    "journal": ("journal.cli:journal", "Look after the journal: head, segments, backup, truncate."),
    "exporter": ("kk99.exporter.cli:exporter", "Serve the figures of all processes to Prometheus."),
    "metrics": ("kk99.exporter.cli:metrics", "Print the figures of all processes."),
    "config": ("kk99.configure:config", "Check and show the settings."),
    "bench": ("kk99.bench.cli:bench", "Measure, each figure beside its yardstick."),
    "drill": ("kk99.drill:drill", "Break the venue on purpose and prove that nothing is lost."),
    "docs": ("kk99.docs:docs", "Write or check the generated reference pages."),
}
"""Subcommand: where it is, and its line of help (so that help imports none of them)."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kk99")
def root() -> None:
    """KK99: a trading venue, one totally ordered log of commands and everything else a function of it."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        status = root.main(arguments, prog_name="kk99", standalone_mode=False)
    except click.Abort:  # click's name for Ctrl-C
        sys.exit(130)
    except click.ClickException as error:
        _show(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # who read the output has what he wanted (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered goes nowhere
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be entered
        named = f"{error.filename}: " if error.filename else ""
        click.echo(f"kk99: {_plain(f'{named}{error.strerror or error}')}", err=True)
        sys.exit(1)
    except KK99Error as error:
        click.echo(f"kk99: {_plain(str(error))}", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _plain(text: str) -> str:
    """Return a text without what would steer the terminal: that is written out, as in a literal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)


def _show(error: click.ClickException) -> None:
    """Print an error of usage as all others are printed, with the usage above it."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # no error to name: the help is the answer
        error.show()
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"Try '{error.ctx.command_path} --help' for help."
        click.echo(f"{error.ctx.get_usage()}\n{hint}\n", err=True)
    click.echo(f"kk99: {_plain(error.format_message())}", err=True)


if __name__ == "__main__":
    main()
