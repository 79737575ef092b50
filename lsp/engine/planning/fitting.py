"""One model into the room that is left: as much of it on the GPUs as goes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lsp.engine.planning.memory import Choice, gpu_use
from lsp.engine.planning.shape import ModelShape


def fit_whole(shape: ModelShape, choice: Choice, rooms: Sequence[int]) -> Choice | None:
    """``choice`` with all layers on GPUs that have ``rooms`` bytes left, or None where they don't go in."""
    return fit_layers(shape, choice, rooms, len(shape.layers) + 1)


def fit_experts(shape: ModelShape, choice: Choice, rooms: Sequence[int]) -> Choice | None:
    """All layers on GPUs, but the experts of as few of them as goes on the CPU; None where even that is too much.

    An expert is used by few tokens, attention and shared weights by all: those gain the most from a GPU.
    """
    mixed = sum(1 for layer in shape.layers if layer.experts)
    fits = [replace(choice, experts_on_cpu=count) for count in range(1, mixed + 1)]
    first = bisect_left(fits, True, key=lambda one: fit_whole(shape, one, rooms) is not None)
    return fit_whole(shape, fits[first], rooms) if first < len(fits) else None


def fit_most(shape: ModelShape, choice: Choice, rooms: Sequence[int]) -> Choice | None:
    """As many layers on GPUs as go in, the rest on the CPU; None where not one does."""
    counts = range(len(shape.layers), 0, -1)
    first = bisect_left(counts, True, key=lambda count: fit_layers(shape, choice, rooms, count) is not None)
    return fit_layers(shape, choice, rooms, counts[first]) if first < len(counts) else None


def fit_layers(shape: ModelShape, choice: Choice, rooms: Sequence[int], count: int) -> Choice | None:
    """The last ``count`` layers on GPUs, on as few of these as goes."""
    for split in _splits(shape, choice, rooms, count):
        fitting = replace(choice, split=split)
        if all(use.total <= room for use, room in zip(gpu_use(shape, fitting), rooms, strict=True)):
            return fitting
    return None


def _splits(shape: ModelShape, choice: Choice, rooms: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """All on one GPU, the roomiest first; then over all of them, filled one after the other from the last layer on."""
    for index in sorted(range(len(rooms)), key=lambda i: -rooms[i]):
        yield tuple(count if i == index else 0 for i in range(len(rooms)))
    if len(rooms) < 2:
        return
    split = [0] * len(rooms)
    left = count
    for index in reversed(range(len(rooms))):
        behind = split[index + 1 :]

        def too_much(size: int, index: int = index, behind: list[int] = behind) -> bool:
            # What stands before these layers doesn't matter to what this GPU holds.
            trial = replace(choice, split=(*([0] * index), size, *behind))
            return gpu_use(shape, trial)[index].total > rooms[index]

        split[index] = max(bisect_left(range(left + 1), True, key=too_much) - 1, 0)
        left -= split[index]
    if not left:
        yield tuple(split)
