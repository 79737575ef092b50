"""``midline …``: the subcommands. Each prints a result on stdout and everything else on stderr."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lsp import __version__
from lsp.errors import MidlineError
from lsp.sizes import size, sizes

Command = Callable[[argparse.Namespace], int]


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 failed, 2 bad usage."""
    arguments = _parser().parse_args(argv)
    handler: Command = arguments.handler
    try:
        return handler(arguments)
    except MidlineError as error:
        if getattr(arguments, "json", False):
            print(json.dumps({"error": error.message, "cure": error.cure}))
        print(f"midline: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("midline: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; Python would complain at exit
        return 1
    except OSError as error:
        print(f"midline: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    from lsp.models import commands as model_commands

    parser = argparse.ArgumentParser(
        prog="midline", description="Code completion and chat with a model on your own machine."
    )
    parser.add_argument("--version", action="version", version=f"midline {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="the language server, for editors")
    serve.add_argument("--stdio", action="store_true", help="speak on stdin and stdout (the default)")
    serve.add_argument("--tcp", metavar="HOST:PORT", type=_address, help="wait for one client on a TCP address")
    serve.set_defaults(handler=_serve)

    complete = commands.add_parser("complete", help="complete at a place in a file")
    complete.add_argument(
        "place", metavar="FILE:LINE[:COL]", type=_place, help="counted from 1; no COL: the line's end"
    )
    complete.add_argument(
        "--workspace", metavar="DIR", type=Path, help="the folder whose settings and code count (default: the current)"
    )
    complete.add_argument("--n", type=_count, default=1, help="how many different suggestions (1 to 8)")
    complete.add_argument("--json", action="store_true", help="print one JSON document")
    complete.set_defaults(handler=_complete)

    ask = commands.add_parser("ask", help="answer a question about the code, with sources")
    ask.add_argument(
        "question", nargs="?", default="", help="what is piped in follows it; @file, @folder/, @symbol, @diff"
    )
    ask.add_argument("--file", metavar="FILE[:A-B]", help="what it is about: a file, or its lines from A to B")
    ask.add_argument(
        "--workspace", metavar="DIR", type=Path, help="the folder whose settings and code count (default: the current)"
    )
    ask.add_argument("--continue", dest="go_on", action="store_true", help="go on with the latest conversation")
    ask.add_argument("--json", action="store_true", help="print one JSON document")
    ask.set_defaults(handler=_ask)

    commit = commands.add_parser("commit-message", help="write a message for what is staged, for `git commit -F -`")
    commit.add_argument(
        "--workspace", metavar="DIR", type=Path, help="a folder of the repository (default: the current)"
    )
    commit.add_argument("--json", action="store_true", help="print one JSON document")
    commit.set_defaults(handler=_commit_message)

    index = commands.add_parser("index", help="bring the index of a folder up to date")
    index.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: the current one")
    index.add_argument("--rebuild", action="store_true", help="make it anew")
    index.add_argument("--explain", metavar="FILE", type=Path, help="say why a file is in or out, and what is redacted")
    index.add_argument("--json", action="store_true", help="print one JSON document")
    index.set_defaults(handler=_index)

    search = commands.add_parser("search", help="find the places of a folder that answer a question")
    search.add_argument("query", help="in words or in code")
    search.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: the current one")
    search.add_argument("-k", type=_whole, default=10, help="how many places (default 10)")
    search.add_argument("--json", action="store_true", help="print one JSON document")
    search.set_defaults(handler=_search)

    model_commands.add_parser(commands)

    api = commands.add_parser("serve-api", help="let other programs use the model, in OpenAI's and Ollama's ways")
    api.add_argument("--host", default="127.0.0.1", help="the address to listen at (default 127.0.0.1: this machine's)")
    api.add_argument("--port", type=_port, default=6435, help="default 6435; 0: any that is free")
    api.add_argument(
        "--workspace", metavar="DIR", type=Path, action="append", default=[], help="a folder requests may be about"
    )
    api.add_argument("--allow-host", metavar="NAME", action="append", default=[], help="a name clients may ask under")
    api.add_argument("--new-token", action="store_true", help="replace the token: who has the old one is shut out")
    api.add_argument("--json", action="store_true", help="say where it listens in one JSON document")
    api.set_defaults(handler=_serve_api)

    replay = commands.add_parser("replay", help="type real code as a person does, and say what completing it costs")
    replay.add_argument("files", metavar="FILE", nargs="*", type=Path, help="typed into, in turn")
    replay.add_argument("--git", metavar="DIR", type=Path, help="type the latest changes of this repository instead")
    replay.add_argument("--keys", type=_whole, default=600, help="most keystrokes (default 600)")
    replay.add_argument("--seed", type=_whole, default=1, help="chooses what is typed, and how (default 1)")
    replay.add_argument(
        "--speed", type=_speed, default=1.0, help="times faster than a person (default 1); 0: no pauses at all"
    )
    replay.add_argument("--json", action="store_true", help="print one JSON document")
    replay.set_defaults(handler=_replay)

    plan = commands.add_parser("plan", help="where models would go in the memory of this machine or another, and why")
    plan.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="the first completes, others chat (default: those of the settings)",
    )
    plan.add_argument("--vram", metavar="SIZE[,SIZE]", type=sizes, help="as if GPUs had that much free: 8GiB,24GiB")
    plan.add_argument("--ram", metavar="SIZE", type=size, help="as if its main memory had that much free")
    plan.add_argument("--json", action="store_true", help="print one JSON document")
    plan.set_defaults(handler=_plan)

    doctor = commands.add_parser("doctor", help="check that everything works, and say how to cure what doesn't")
    doctor.add_argument("--json", action="store_true", help="print one JSON document")
    doctor.set_defaults(handler=_doctor)

    status = commands.add_parser("status", help="how the running engine is doing")
    status.add_argument("--json", action="store_true", help="print one JSON document")
    status.set_defaults(handler=_status)

    stats = commands.add_parser("stats", help="what became of suggestions: accepted, rejected, and how long they lived")
    stats.add_argument("--erase", action="store_true", help="remove these counts from the disk")
    stats.add_argument("--json", action="store_true", help="print one JSON document")
    stats.set_defaults(handler=_stats)
    return parser


# Imports stand in the commands: `midline --help` and `midline model list` need no language server.


def _serve(arguments: argparse.Namespace) -> int:
    from lsp.server import serve

    serve(arguments.tcp)
    return 0


def _serve_api(arguments: argparse.Namespace) -> int:
    from lsp.api.command import serve_api_command

    return serve_api_command(
        arguments.host,
        arguments.port,
        workspaces=arguments.workspace,
        allowed_hosts=arguments.allow_host,
        new_token=arguments.new_token,
        as_json=arguments.json,
    )


def _complete(arguments: argparse.Namespace) -> int:
    from lsp.complete import complete_command

    path, line, column = arguments.place
    return complete_command(path, line, column, arguments.workspace or Path.cwd(), arguments.n, arguments.json)


def _ask(arguments: argparse.Namespace) -> int:
    from lsp.ask import ask_command

    return ask_command(
        arguments.question,
        arguments.file,
        arguments.workspace or Path.cwd(),
        go_on=arguments.go_on,
        as_json=arguments.json,
    )


def _commit_message(arguments: argparse.Namespace) -> int:
    from lsp.commit import commit_command

    return commit_command(arguments.workspace or Path.cwd(), as_json=arguments.json)


def _index(arguments: argparse.Namespace) -> int:
    from lsp.searching import explain_command, index_command

    if arguments.explain is not None:
        return explain_command(arguments.folder, arguments.explain, as_json=arguments.json)
    return index_command(arguments.folder, rebuild=arguments.rebuild, as_json=arguments.json)


def _search(arguments: argparse.Namespace) -> int:
    from lsp.searching import search_command

    return search_command(arguments.query, arguments.folder, arguments.k, as_json=arguments.json)


def _replay(arguments: argparse.Namespace) -> int:
    from lsp.replay.command import replay_command

    return replay_command(
        arguments.files,
        arguments.git,
        keys=arguments.keys,
        seed=arguments.seed,
        speed=arguments.speed,
        as_json=arguments.json,
    )


def _plan(arguments: argparse.Namespace) -> int:
    from lsp.plan import plan_command

    return plan_command(arguments.models, arguments.vram, arguments.ram, Path.cwd(), as_json=arguments.json)


def _doctor(arguments: argparse.Namespace) -> int:
    from lsp.doctor import doctor_command

    return doctor_command(arguments.json)


def _status(arguments: argparse.Namespace) -> int:
    from lsp.status import status_command

    return status_command(arguments.json)


def _stats(arguments: argparse.Namespace) -> int:
    from lsp.stats import stats_command

    return stats_command(erase_all=arguments.erase, as_json=arguments.json)


def _place(text: str) -> tuple[Path, int, int | None]:
    """``FILE:LINE[:COL]``; the file's name may itself hold colons."""
    numbers: list[int] = []
    rest = text
    while len(numbers) < 2:
        head, _, tail = rest.rpartition(":")
        if not head or not tail.isascii() or not tail.isdigit():
            break
        numbers.insert(0, int(tail))
        rest = head
    if not numbers:
        raise argparse.ArgumentTypeError(f"{text!r} is not FILE:LINE or FILE:LINE:COL")
    return Path(rest), numbers[0], numbers[1] if len(numbers) == 2 else None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 8:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 8")
    return int(text)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1,000,000")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1000")
    return speed


def run() -> NoReturn:
    """The console script."""
    # numpy's products here are small: threads that wait for each other would only take the cores from the model.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    sys.exit(main())


if __name__ == "__main__":
    run()
