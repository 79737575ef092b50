"""What a replay came to: the contract's figures, and where the tokens went. No code, only places."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from lsp.replay.player import Recording, Stroke

COSTLIEST = 12


def distribution(values: Iterable[float]) -> dict[str, float]:
    """Mean, median, 95th and 99th percentile and maximum, to 2 decimals; all 0 where there are no values."""
    ordered = sorted(values) or [0.0]

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    figures = {"mean": statistics.fmean(ordered), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": ordered[-1]}
    return {name: round(float(value), 2) for name, value in figures.items()}


def summary(recording: Recording) -> dict[str, Any]:
    """The figures of a replay, as ``midline replay --json`` prints them.

    Tokens are counted per keystroke: prompt tokens on the critical path; what was computed in the background stands
    in ``tokens_prewarmed``. ``…_computed`` is of requests that the model answered before the next key: those neither
    cancelled nor answered from an earlier suggestion. A cancelled one may have cost no token because its batch was
    interrupted, so these tell more of what a key costs, and the length of their prompts of what a suggestion can be
    worth. Rates are shares of the keystrokes after which something was typed next (all but mistakes).
    """
    strokes = recording.strokes
    judged = [stroke for stroke in strokes if stroke.hit is not None]
    answered = [stroke for stroke in strokes if stroke.answered]
    computed = [stroke for stroke in answered if not stroke.cached]
    grown = {
        name: recording.after["completion"][name] - recording.before["completion"][name]
        for name in ("tokens_evaluated", "tokens_reused", "tokens_generated", "tokens_prewarmed")
    }
    engine = recording.after["engine"]
    return {
        "keystrokes": len(strokes),
        "seconds": round(recording.seconds, 1),
        "tokens_evaluated": distribution(stroke.tokens_evaluated for stroke in strokes),
        "tokens_evaluated_computed": distribution(stroke.tokens_evaluated for stroke in computed),
        "prompt_tokens_computed": distribution(s.tokens_evaluated + s.tokens_reused for s in computed),
        "first_token_ms": distribution(s.first_token_ms for s in answered if s.first_token_ms is not None),
        "first_token_ms_computed": distribution(s.first_token_ms for s in computed if s.first_token_ms is not None),
        "total_ms": distribution(s.total_ms for s in answered if s.total_ms is not None),
        "hit_rate": _share(stroke.hit for stroke in judged),
        "right_line_rate": _share(stroke.right for stroke in judged),
        "answered": len(answered),
        "cached": len(answered) - len(computed),
        "cancelled": len(strokes) - len(answered),
        "accepted": recording.accepted,
        "characters_accepted": recording.characters_accepted,
        "characters_typed": recording.characters_typed,
        "totals": grown,
        "why": dict(sum((Counter(stroke.why) for stroke in strokes), Counter())),
        "by_kind": _by(strokes, lambda stroke: stroke.kind),
        "by_arrival": _by((s for s in strokes if s.after), lambda stroke: stroke.after),
        "costliest": [_shown(s) for s in sorted(strokes, key=lambda s: -s.tokens_evaluated)[:COSTLIEST]],
        "engine": {name: engine.get(name) for name in ("model", "n_ctx", "threads", "gpu_layers")},
    }


def _share(values: Iterable[bool | None]) -> float:
    flags = [bool(value) for value in values]
    return round(sum(flags) / len(flags), 3) if flags else 0.0


def _by(strokes: Iterable[Stroke], key: Any) -> dict[str, dict[str, float]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for stroke in strokes:
        groups[key(stroke)].append(stroke.tokens_evaluated)
    return {
        name: {"keystrokes": len(tokens), "mean": round(statistics.fmean(tokens), 2), "max": max(tokens)}
        for name, tokens in sorted(groups.items())
    }


def _shown(stroke: Stroke) -> dict[str, Any]:
    return {
        "keystroke": stroke.number,
        "kind": stroke.kind,
        "after": stroke.after,
        "file": stroke.path.name,
        "line": stroke.line,
        "column": stroke.column,
        "tokens_evaluated": stroke.tokens_evaluated,
        "answered": stroke.answered,
        "why": stroke.why,
    }


def lines(report: dict[str, Any]) -> Sequence[str]:
    """The report for people."""

    def spread(name: str) -> str:
        return "  ".join(f"{key} {value:g}" for key, value in report[name].items())

    keys = report["keystrokes"]
    kinds = "  ".join(f"{kind} {group['mean']:g}" for kind, group in report["by_kind"].items())
    arrivals = "  ".join(f"{kind} {group['mean']:g}" for kind, group in report["by_arrival"].items())
    totals = report["totals"]
    background = totals["tokens_prewarmed"]
    return [
        f"keystrokes          {keys} in {report['seconds']:g} s, {report['pace']}",
        f"tokens a keystroke  {spread('tokens_evaluated')}",
        f"    of those computed to the end  {spread('tokens_evaluated_computed')}",
        f"    their whole prompts           {spread('prompt_tokens_computed')}",
        f"    by kind         {kinds}",
        f"    first key after {arrivals}",
        f"in the background   {background} tokens, {background / max(1, keys):.1f} a keystroke",
        f"first token         {spread('first_token_ms')} ms, of {report['answered']} requests answered in time, "
        f"{report['cached']} of them by an earlier suggestion",
        f"suggestions         begin with the next key {report['hit_rate']:.1%}, "
        f"right to the line's end {report['right_line_rate']:.1%}",
        f"accepted            {report['accepted']}: {report['characters_accepted']} characters, "
        f"{report['characters_typed']} typed",
    ]
