"""The command line: arguments, exit codes, and one clear message for whatever a user can get wrong.

Exit codes: 0 good, 1 found what it looks for (a failed check or test), 2 cannot run.
"""

import argparse
import logging
import os
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sidecar import __version__
from sidecar.errors import SettingsError, SidecarError
from sidecar.wrap.running import running
from sidecar.wrap.socket_path import DEFAULT_FILE

if TYPE_CHECKING:
    # Reading settings takes most of a second to import, which nothing that is said before need wait for.
    from sidecar.settings import Settings

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
        prog="sidecar", description="A sidecar for MCP servers: judges every call by your policies, acts on it and records it."
    )
    parser.add_argument("--version", action="version", version=f"sidecar {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")

    init = add("init", "write a sidecar.yaml and a policies folder to start from")
    init.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="where to (default: this folder)")
    init.set_defaults(run=_init)

    for name, text, function in (
        ("up", "start everything: proxy, collector and page", _up),
        ("proxy", "start the proxy alone: it listens, judges and writes the outbox", _proxy),
        ("collect", "start the collector alone: it fills the record from the outbox, serves reads and sends alerts", _collect),
        ("review", "start the page alone", _review),
    ):
        command = add(name, text)
        _config(command, finds_running=name == "review")
        command.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)
        if name == "up":
            command.add_argument("--background", action="store_true", help=argparse.SUPPRESS)
        command.set_defaults(run=function)

    # Here for the list of commands only: it takes its command line apart itself.
    add("wrap", "run an MCP server over stdio through the sidecar")

    check = add("check", "check whether the policies are valid")
    check.add_argument("paths", nargs="*", metavar="FILE|FOLDER", help="default: the policy folders of the settings")
    test = add("test", "run the tests inside the policies")
    test.add_argument("paths", nargs="*", metavar="FILE|FOLDER", help="default: the policy folders of the settings")
    test.add_argument("-k", dest="name", default="", metavar="TEXT", help="only tests whose name contains TEXT")
    for command, function in ((check, _check), (test, _test)):
        _config(command, finds_running=True)
        command.add_argument(
            "--format", choices=("text", "json"), default="text", help="lines for people, or JSON (default: text)"
        )
        command.set_defaults(run=function)

    calls = add("calls", "list recent calls")
    _config(calls, finds_running=True)
    calls.set_defaults(run=_calls)
    if wanted == "calls":
        from sidecar.review import terminal

        terminal.add_arguments(calls)

    tools = add("tools", "list the tools of your servers, show what changed, approve changes")
    _config(tools, finds_running=True)
    tools.set_defaults(run=_tools)
    if wanted == "tools":
        from sidecar.review import tools as tools_command

        tools_command.add_arguments(tools)

    kinds = add("kinds", "list the kinds of data that are detected, or describe one")
    kinds.set_defaults(run=_kinds)
    if wanted == "kinds":
        from sidecar.review import kind_pages as kinds_command

        kinds_command.add_arguments(kinds)

    install = add("install", "add the sidecar to the configurations of MCP clients, or remove it")
    _config(install)
    install.set_defaults(run=_install)
    if wanted == "install":
        from sidecar.install import command as install_command

        install_command.add_arguments(install)

    service = add("service", "start the sidecar at login (systemd user unit, launchd agent)")
    _config(service)
    service.set_defaults(run=_service)
    if wanted == "service":
        from sidecar.install import service as service_command

        service_command.add_arguments(service)

    ca = add("ca", "show the CA certificate and how to install it")
    _config(ca, finds_running=True)
    ca.add_argument("--pem", action="store_true", help="print the certificate itself (never the key)")
    ca.set_defaults(run=_ca)

    exact = add("exact", "make lists of your own values, to be detected exactly")
    build = exact.add_subparsers(metavar="ACTION", required=True).add_parser(
        "build", help="make a list from a column of a CSV file"
    )
    build.set_defaults(run=_build)
    if wanted == "exact":
        from sidecar import exact_lists as exact_lists

        exact_lists.add_arguments(build)

    dashboards = add("dashboards", "manage the Grafana dashboards")
    push = dashboards.add_subparsers(metavar="ACTION", required=True).add_parser(
        "push", help="copy the dashboards into a Grafana"
    )
    _config(push, finds_running=True)
    push.set_defaults(run=_push)
    if wanted == "dashboards":
        from sidecar.grafana import push as grafana_push

        grafana_push.add_arguments(push)
    return parser


def _config(command: argparse.ArgumentParser, *, finds_running: bool = False) -> None:
    """``-c``. A command that ``finds_running`` takes, where no file is named or there, the only sidecar that runs."""
    default = os.environ.get("SIDECAR_CONFIG") or DEFAULT_FILE
    or_else = ", else that of the sidecar that runs" if finds_running else ""
    text = f"settings file (default: $SIDECAR_CONFIG, else ./{DEFAULT_FILE}{or_else})"
    command.add_argument("-c", "--config", default=None if finds_running else default, metavar="FILE", help=text)


def _load(args: argparse.Namespace) -> "Settings":
    from sidecar import settings

    return settings.load(args.config)


def _loaded(args: argparse.Namespace) -> "Settings":
    """The settings of a command that looks at a sidecar.

    Raises:
        SettingsError: they cannot be read, or it is not clear whose they are to be; then the running ones are listed.
    """
    args.config = args.config or os.environ.get("SIDECAR_CONFIG") or _found()
    return _load(args)


def _found() -> str:
    """The settings file in this folder, else that of the only sidecar that runs, which is then named on stderr."""
    if os.path.lexists(DEFAULT_FILE):
        return DEFAULT_FILE
    found = running()
    if len(found) == 1:
        file, process = found[0]
        sys.stderr.write(f"using {file} (the sidecar that runs, process {process})\n")
        return file
    none_here = f"{DEFAULT_FILE}: error[no-file]: there is none in this folder"
    if not found:
        start = "start one with 'sidecar up' ('sidecar init' writes its settings), or name a settings file with -c FILE"
        raise SettingsError(f"{none_here}, and no sidecar runs; {start}")
    lines = [f"  -c {shlex.quote(file)}   (process {process})" for file, process in found]
    raise SettingsError("\n".join([f"{none_here}, and {len(found)} sidecars run; name one of them:", *lines]))


def _init(args: argparse.Namespace) -> int:
    from sidecar import init

    return init.run(args)


def _up(args: argparse.Namespace) -> int:
    if os.path.isfile(args.config):
        sys.stdout.write(f"sidecar  starting with {args.config}\n")
        sys.stdout.flush()
    loaded = _load(args)
    from sidecar import up

    _configure_logs(loaded)
    return up.run_in_background(loaded) if args.background else up.run(loaded)


def _configure_logs(loaded: "Settings") -> "Settings":
    """Give the log of a program that goes on running the form that its settings ask for."""
    # Not at the top of this file: commands that only show something need not wait for it.
    from sidecar import logs

    logs.configure(loaded.log_format)
    return loaded


def _proxy(args: argparse.Namespace) -> int:
    if __debug__:
        # mitmproxy checks types at run time unless Python is told to optimise, which doubles its cost.
        rest = ["--lifeline", str(args.lifeline)] if args.lifeline is not None else []
        os.execv(sys.executable, [sys.executable, "-O", "-m", "sidecar", "proxy", "-c", args.config, *rest])
    loaded = _configure_logs(_load(args))
    from sidecar.proxy import program

    return program.run(loaded, is_supervised=args.lifeline is not None)


def _collect(args: argparse.Namespace) -> int:
    import signal

    from sidecar import collect

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return collect.run(_configure_logs(_load(args)), stop=stop)


def _review(args: argparse.Namespace) -> int:
    from sidecar.review import serve_page

    return serve_page.run(_configure_logs(_loaded(args)))


def _check(args: argparse.Namespace) -> int:
    from sidecar.detect import KINDS
    from sidecar.policy import report
    from sidecar.policy.load import check_policies

    paths, servers = _policy_paths(args)
    _, problems = check_policies(paths, KINDS, servers)
    sys.stdout.write(report.check_report(problems, args.format) + "\n")
    return _FOUND if any(not problem.is_warning for problem in problems) else 0


def _test(args: argparse.Namespace) -> int:
    from sidecar.act.redact import redact_value
    from sidecar.detect import Engine
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
    loaded = _loaded(args)
    return list(loaded.policies_paths), [server.name for server in loaded.servers]


def _calls(args: argparse.Namespace) -> int:
    from sidecar.review import terminal

    return terminal.run(args, _loaded(args))


def _tools(args: argparse.Namespace) -> int:
    from sidecar.review import tools

    return tools.run(args, _loaded(args))


def _kinds(args: argparse.Namespace) -> int:
    from sidecar.review import kind_pages

    return kind_pages.run(args)


def _install(args: argparse.Namespace) -> int:
    from sidecar.install import command

    return command.run(args)


def _service(args: argparse.Namespace) -> int:
    from sidecar.install import service

    return service.run(args)


def _ca(args: argparse.Namespace) -> int:
    from sidecar.transports.mitm import ca

    return ca.run(args, _loaded(args))


def _build(args: argparse.Namespace) -> int:
    from sidecar import exact_lists

    return exact_lists.run(args)


def _push(args: argparse.Namespace) -> int:
    from sidecar.grafana import push

    return push.run(args, _loaded(args))
