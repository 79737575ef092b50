"""Where a completion's context comes from, in the variants that have one."""

from __future__ import annotations

from typing import Any

from bench.quality.places import Place


class Contexts:
    """The sources of context by variant and place; none as long as only variants without context are run."""

    def source(self, place: Place, variant: str) -> Any:
        """The source for a place; None for a variant without context."""
        return None
