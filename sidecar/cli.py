"""The command line: arguments, exit codes, and one clear message for whatever a user can get wrong.

Exit codes: 0 good, 1 found what it looks for (a failed check or test), 2 cannot run.
"""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sidecar import __version__, settings
from sidecar.errors import SidecarError

_FOUND: Final = 1
_CANNOT_RUN: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and lets no traceback of a user's mistake out."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["wrap"]:
        from sidecar.wrap import command

        return command.main(given[1:])
    args = _parser(given).parse_args(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s", stream=sys.stderr)
    if getattr(args, "lifeline", None) is not None:
        from sidecar.up import watch_lifeline

        watch_lifeline(args.lifeline)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except SidecarError as error:
        sys.stderr.write(f"{error}\n")
        return _CANNOT_RUN
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing is left to be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The commands. Only the one that is ``given`` is asked for options of its own, because asking imports what it needs."""
    wanted = next((word for word in given if not word.startswith("-")), "")
    parser = argparse.ArgumentParser(
        prog="sidecar", description="A sidecar for MCP servers: it judges, acts on and records every call."
    )
    parser.add_argument("--version", action="version", version=f"sidecar {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    for name, text, function in (
        ("up", "proxy, collect and review together", _up),
        ("proxy", "the proxy alone: it listens, judges and writes the outbox", _proxy),
        ("collect", "the collector alone: it ships the outbox into the store, answers reads and alerts", _collect),
        ("review", "the page alone", _review),
    ):
        command = commands.add_parser(name, help=text, description=text)
        _config(command)
        command.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)
        if name == "up":
            command.add_argument("--background", action="store_true", help=argparse.SUPPRESS)
        command.set_defaults(run=function)

    # Here for the list of commands only: it takes its command line apart itself.
    commands.add_parser("wrap", help="a server over stdio through the sidecar")

    check = commands.add_parser("check", help="are the policies valid?")
    check.add_argument("paths", nargs="*", metavar="FILE|FOLDER", help="default: the policy folder of the settings")
    test = commands.add_parser("test", help="do the tests inside the policies pass?")
    test.add_argument("paths", nargs="*", metavar="FILE|FOLDER", help="default: the policy folder of the settings")
    test.add_argument("-k", dest="name", default="", metavar="TEXT", help="only tests whose name contains TEXT")
    for command, function in ((check, _check), (test, _test)):
        _config(command)
        command.add_argument("--format", choices=("text", "json"), default="text")
        command.set_defaults(run=function)

    calls = commands.add_parser("calls", help="what happens, in the terminal")
    _config(calls)
    calls.set_defaults(run=_calls)
    if wanted == "calls":
        from sidecar.review import terminal

        terminal.add_arguments(calls)

    tools = commands.add_parser("tools", help="what servers offer, what changed in it, and approving that")
    _config(tools)
    tools.set_defaults(run=_tools)
    if wanted == "tools":
        from sidecar.review import tools as tools_command

        tools_command.add_arguments(tools)

    kinds = commands.add_parser("kinds", help="what is detected: all kinds, or the page of one")
    kinds.set_defaults(run=_kinds)
    if wanted == "kinds":
        from sidecar.review import kinds as kinds_command

        kinds_command.add_arguments(kinds)

    install = commands.add_parser("install", help="put the sidecar into MCP clients' configurations, and take it out")
    _config(install)
    install.set_defaults(run=_install)
    if wanted == "install":
        from sidecar.install import command as install_command

        install_command.add_arguments(install)

    ca = commands.add_parser("ca", help="the certificate clients of the forward listener trust, and how")
    _config(ca)
    ca.add_argument("--pem", action="store_true", help="print the certificate itself (never the key)")
    ca.set_defaults(run=_ca)

    exact = commands.add_parser("exact", help="lists of values that only you can name")
    build = exact.add_subparsers(metavar="ACTION", required=True).add_parser("build", help="one from a column of a CSV file")
    build.set_defaults(run=_build)
    if wanted == "exact":
        from sidecar import exact as exact_lists

        exact_lists.add_arguments(build)

    dashboards = commands.add_parser("dashboards", help="Grafana boards")
    push = dashboards.add_subparsers(metavar="ACTION", required=True).add_parser("push", help="put them into a Grafana")
    _config(push)
    push.set_defaults(run=_push)
    if wanted == "dashboards":
        from sidecar.grafana import push as grafana_push

        grafana_push.add_arguments(push)
    return parser


def _config(command: argparse.ArgumentParser) -> None:
    default = os.environ.get("SIDECAR_CONFIG", settings.DEFAULT_FILE)
    command.add_argument("-c", "--config", default=default, metavar="FILE", help=f"settings (default: {default})")


def _up(args: argparse.Namespace) -> int:
    from sidecar import up

    loaded = _service_settings(args)
    return up.run_in_background(loaded) if args.background else up.run(loaded)


def _service_settings(args: argparse.Namespace) -> settings.Settings:
    """The settings of a program that goes on running, whose log has the form they ask for."""
    loaded = settings.load(args.config)
    # Not at the top of this file: commands that only show something need not wait for it.
    from sidecar import logs

    logs.configure(loaded.log_format)
    return loaded


def _proxy(args: argparse.Namespace) -> int:
    if __debug__:
        # mitmproxy checks types at run time unless Python is told to optimise, which doubles its cost.
        rest = ["--lifeline", str(args.lifeline)] if args.lifeline is not None else []
        os.execv(sys.executable, [sys.executable, "-O", "-m", "sidecar", "proxy", "-c", args.config, *rest])
    loaded = _service_settings(args)
    from sidecar.proxy import program

    return program.run(loaded)


def _collect(args: argparse.Namespace) -> int:
    import signal

    from sidecar import collect

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return collect.run(_service_settings(args), stop=stop)


def _review(args: argparse.Namespace) -> int:
    from sidecar.review import serve_page

    return serve_page.run(_service_settings(args))


def _check(args: argparse.Namespace) -> int:
    from sidecar.detect.engine import KINDS
    from sidecar.policy import report
    from sidecar.policy.load import check_policies

    paths, servers = _policy_paths(args)
    _, problems = check_policies(paths, KINDS, servers)
    sys.stdout.write(report.check_report(problems, args.format) + "\n")
    return _FOUND if any(not problem.is_warning for problem in problems) else 0


def _test(args: argparse.Namespace) -> int:
    from sidecar.act.redact import redact_value
    from sidecar.detect.engine import Engine
    from sidecar.policy import cases, report
    from sidecar.policy.load import check_policies

    engine = Engine()
    paths, servers = _policy_paths(args)
    policies, problems = check_policies(paths, engine.kinds, servers)
    if policies is None:
        sys.stdout.write(report.check_report(problems, args.format) + "\n")
        return _FOUND
    results = cases.run(policies, engine, redact_value, args.name)
    sys.stdout.write(report.test_report(results, args.format) + "\n")
    return _FOUND if any(not result.has_passed for result in results) else 0


def _policy_paths(args: argparse.Namespace) -> tuple[list[Path], list[str]]:
    """What to check: the named files, else the folder of the settings, whose servers' names then count as known."""
    if args.paths:
        return [Path(path) for path in args.paths], []
    loaded = settings.load(args.config)
    return [loaded.policies_path], [server.name for server in loaded.servers]


def _calls(args: argparse.Namespace) -> int:
    from sidecar.review import terminal

    return terminal.run(args, settings.load(args.config))


def _tools(args: argparse.Namespace) -> int:
    from sidecar.review import tools

    return tools.run(args, settings.load(args.config))


def _kinds(args: argparse.Namespace) -> int:
    from sidecar.review import kinds

    return kinds.run(args)


def _install(args: argparse.Namespace) -> int:
    from sidecar.install import command

    return command.run(args)


def _ca(args: argparse.Namespace) -> int:
    from sidecar.transports.mitm import ca

    return ca.run(args, settings.load(args.config))


def _build(args: argparse.Namespace) -> int:
    from sidecar import exact

    return exact.run(args)


def _push(args: argparse.Namespace) -> int:
    from sidecar.grafana import push

    return push.run(args, settings.load(args.config))
