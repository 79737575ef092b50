"""``python -m bench.chat questions | edits | followup | drafting | packages``: each has options (``--help``)."""

from __future__ import annotations

import sys
from importlib import import_module

from lsp.errors import MidlineError

BENCHES = ("questions", "edits", "followup", "drafting", "packages")


def main(arguments: list[str]) -> int:
    """Run the bench that the first argument names; returns the exit code."""
    if not arguments or arguments[0] not in BENCHES:
        print(f"usage: python -m bench.chat {{{','.join(BENCHES)}}} …", file=sys.stderr)
        return 2
    bench = import_module(f"bench.chat.{arguments[0]}")
    try:
        return int(bench.main(arguments[1:]))
    except MidlineError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
