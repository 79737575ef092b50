"""How large llama.cpp's compute buffer will be: its allocator, played through on the operations of a model's graph.

ggml computes a graph in one buffer. An operation's result takes the best fitting hole, and leaves one after its last
use; some results take the place of an operand. How much that adds up to depends on the order and the sizes alone, so
a few layers of each kind tell it (ggml/src/ggml-alloc.c; the graphs are in llama.cpp's src/models and llama-graph.cpp).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from lsp.engine.planning.shape import Layer, ModelShape, Parts

_ALIGNMENT = 64
_FLOAT = 4
_INDEX = 8
_ROTATION = 64
# So many layers of a kind show how they follow each other: the first, those between, and the last.
_SAME_LAYERS = 4


@dataclass(frozen=True)
class Batch:
    """What a buffer is reserved for: ``tokens`` at once, attending to ``cells``, of up to ``sequences``.

    ``rotated``: the KV cache is of a quantized type, before which llama.cpp rotates what it keeps.
    """

    tokens: int
    cells: int
    sequences: int
    flash_attention: bool = True
    rotated: bool = False


def compute_bytes(shape: ModelShape, layers: Iterable[Layer], batch: Batch, *, lookup: bool, output: bool) -> int:
    """Bytes of the buffer in which a device computes ``layers``.

    Args:
        shape: the model's.
        layers: those of this device; with neither these nor an end of the model, it computes nothing.
        batch: what the buffer is for.
        lookup: whether the device looks tokens up: the CPU, which has all inputs, whoever needs them.
        output: whether it computes the logits.
    """
    seen: Counter[int] = Counter()
    chosen = []
    for layer in layers:
        seen[layer.kind] += 1
        if layer.parts and seen[layer.kind] <= _SAME_LAYERS:
            chosen.append(layer.kind)
    if not chosen and not output:
        return input_bytes(shape, batch) if lookup else 0
    return _peak(shape, tuple(chosen), batch, lookup, output)


def input_bytes(shape: ModelShape, batch: Batch) -> int:
    """Bytes of a batch's inputs: its tokens as vectors, given or looked up, and who sees what."""
    cell = 2 if batch.flash_attention else _FLOAT
    vectors = 2 * shape.width * _FLOAT
    return batch.tokens * (vectors + _kinds(shape) * (batch.cells * cell + 2 * _INDEX) + 4 * _FLOAT)


def _kinds(shape: ModelShape) -> int:
    """How many kinds of attention there are: of a sliding window's layers, and of those that see all."""
    return 2 if shape.window and not shape.recurrent else 1


@lru_cache(maxsize=512)  # a plan asks for the same again and again
def _peak(shape: ModelShape, kinds: tuple[int, ...], batch: Batch, lookup: bool, output: bool) -> int:
    by_kind = {layer.kind: layer for layer in shape.layers}
    graph = _Graph()
    tokens, width = batch.tokens, shape.width
    hidden_bytes = width * tokens * _FLOAT
    if lookup:
        named = graph.given(tokens * _FLOAT)
        graph.given(hidden_bytes, kept=True)  # for callers that bring embeddings instead of tokens
        hidden = graph.result(hidden_bytes, named)
    else:
        hidden = graph.given(hidden_bytes)
    block = _Block(graph, shape, batch)
    for i, kind in enumerate(kinds, 1):
        hidden = block.add(hidden, by_kind[kind], last=output and i == len(kinds))
    if output:
        # A root mean square takes the place of what it is of, a norm with a mean and a bias doesn't.
        biased = bool(kinds) and "attn_norm.bias" in by_kind[kinds[-1]].parts
        normed = graph.result(hidden_bytes, hidden, in_place=not biased)
        graph.result(shape.vocabulary * tokens * _FLOAT, normed)
    return graph.peak()


class _Block:
    """Adds layers' operations to a graph; numbers are 32-bit floats."""

    def __init__(self, graph: _Graph, shape: ModelShape, batch: Batch) -> None:
        self._graph = graph
        self._shape = shape
        self._batch = batch
        tokens = batch.tokens
        self._positions = graph.given(tokens * _FLOAT)
        mask_bytes = batch.cells * tokens * (2 if batch.flash_attention else _FLOAT)
        # For each kind of attention: where keys go, where values go, and who sees what.
        sizes = (tokens * _INDEX, tokens * _INDEX, mask_bytes)
        self._kinds = [tuple(graph.given(size) for size in sizes) for _ in range(_kinds(shape))]
        self._rotation = graph.given(shape.head_key**2 * _FLOAT)
        self._rows = graph.given(tokens * _FLOAT)
        self._states = graph.given(batch.sequences * _FLOAT)
        self._attention_layers = 0

    def add(self, hidden: int, layer: Layer, *, last: bool) -> int:
        """A layer's operations behind ``hidden``; of the ``last``, only the rows whose logits are wanted go on."""
        parts = layer.parts
        if layer.state:
            hidden = self._joined(self._recurrent(hidden, layer), hidden, last)
        if layer.key:
            hidden = self._joined(self._attention(hidden, layer), hidden, last)
        if any(name.startswith("ffn_") and not name.startswith("ffn_norm") for name in parts):
            hidden = self._feed_forward(hidden, parts)
        return hidden

    def _joined(self, mixed: int, hidden: int, last: bool) -> int:
        width = self._shape.width
        if last:
            mixed, hidden = self._op(width, mixed, self._rows), self._op(width, hidden, self._rows)
        return self._op(width, mixed, hidden, in_place=True)

    def _op(self, numbers: int, *sources: int, in_place: bool = False) -> int:
        return self._graph.result(numbers * self._batch.tokens * _FLOAT, *sources, in_place=in_place)

    def _attention(self, hidden: int, layer: Layer) -> int:
        parts, graph = layer.parts, self._graph
        keys, values, mask = self._kinds[self._attention_layers % len(self._kinds)]
        self._attention_layers += 1
        normed = self._op(self._shape.width, hidden)
        if "attn_k_b.weight" in parts and "attn_kv_a_mqa.weight" in parts:
            attended = self._latent(normed, layer, keys, mask)
        else:
            queries = _query_width(layer)
            source = self._op(parts["attn_qkv.weight"][1], normed) if "attn_qkv.weight" in parts else normed
            query = self._rotated(self._op(queries, source, self._positions), queries)
            value = self._rotated(self._op(layer.value, source), layer.value)
            key = self._rotated(self._op(layer.key, source, self._positions), layer.key)
            graph.result(0, key, keys)
            graph.result(0, value, values)
            attended = self._rotated(self._attend(query, layer, mask), queries)
        return self._op(self._shape.width, attended)

    def _rotated(self, source: int, width: int) -> int:
        """``source`` as it is kept in a quantized cache."""
        if not self._batch.rotated or self._shape.head_key % _ROTATION:
            return source
        return self._op(width, source, self._rotation)

    def _attend(self, query: int, layer: Layer, mask: int) -> int:
        width = layer.parts.get("attn_output.weight", (self._shape.width,))[0]
        if self._batch.flash_attention:
            return self._op(width, query, mask)
        scores = self._op(self._shape.heads * self._batch.cells, query)
        weights = self._op(self._shape.heads * self._batch.cells, scores, mask, in_place=True)
        return self._op(width, self._op(width, weights))

    def _latent(self, normed: int, layer: Layer, keys: int, mask: int) -> int:
        """Multi-head latent attention (DeepSeek-V2's), with the up-projections absorbed into the queries."""
        parts, heads = layer.parts, self._shape.heads
        plain, rank = parts["attn_k_b.weight"][:2]
        turned = layer.key - rank
        source = normed
        if "attn_q_a.weight" in parts:
            source = self._op(parts["attn_q_a.weight"][1], normed)
        query = self._op(heads * (plain + turned), source)
        absorbed = self._op(heads * rank, query)
        positioned = self._op(heads * turned, query, self._positions)
        query = self._op(heads * layer.key, absorbed, positioned)
        latent = self._op(layer.key, normed)
        compressed = self._op(rank, latent)
        key = self._op(layer.key, compressed, self._op(turned, latent, self._positions))
        self._graph.result(0, key, keys)
        attended = self._op(heads * rank, query, mask)
        values = heads * parts["attn_v_b.weight"][1]
        return self._op(values, self._op(values, attended))

    def _feed_forward(self, hidden: int, parts: Parts) -> int:
        width = self._shape.width
        normed = self._op(width, hidden)
        if "ffn_gate_inp.weight" in parts:
            out = self._experts(normed, parts)
            if "ffn_up_shexp.weight" in parts:
                shared = self._dense(normed, parts, "_shexp")
                out = self._op(width, out, shared, in_place=True)
        else:
            out = self._dense(normed, parts, "")
        return self._op(width, out, hidden, in_place=True)

    def _dense(self, normed: int, parts: Parts, suffix: str) -> int:
        inner = parts[f"ffn_down{suffix}.weight"][0]
        up_width = parts[f"ffn_up{suffix}.weight"][1]
        if f"ffn_gate{suffix}.weight" in parts:
            gate = self._op(inner, normed)
            active = self._op(inner, gate, self._op(inner, normed))
        elif up_width == 2 * inner:  # gate and up in one matrix
            active = self._op(inner, self._op(up_width, normed))
        else:
            active = self._op(inner, self._op(up_width, normed), in_place=True)
        return self._op(self._shape.width, active)

    def _experts(self, normed: int, parts: Parts) -> int:
        used, width = self._shape.experts_used, self._shape.width
        count = parts["ffn_gate_inp.weight"][1]
        inner = parts["ffn_down_exps.weight"][0]
        probabilities = self._op(count, normed)
        order = self._op(count, probabilities)
        weights = self._op(used, probabilities, order)
        if "ffn_gate_up_exps.weight" in parts:
            active = self._op(used * inner, self._op(2 * used * inner, normed, order))
        else:
            gate = self._op(used * inner, normed, order)
            active = self._op(used * inner, gate, self._op(used * inner, normed, order))
        outputs = self._op(used * width, active, order)
        weighted = self._op(used * width, outputs, weights, in_place=True)
        return self._op(width, weighted)

    def _recurrent(self, hidden: int, layer: Layer) -> int:
        parts, width = layer.parts, self._shape.width
        normed = self._op(width, hidden)
        states = self._batch.sequences * layer.state
        if "shortconv.in_proj.weight" in parts:
            kept = self._graph.result(states, self._states)
            projected = self._op(3 * width, normed)
            gated = self._op(width, projected)
            window = self._graph.result(width * self._batch.tokens * _FLOAT + states, kept, gated)
            mixed = self._op(width, projected, self._op(width, window), in_place=True)
        else:
            mixed = self._scan(normed, layer)
        return self._op(width, mixed)

    def _scan(self, normed: int, layer: Layer) -> int:
        """A state space layer (Mamba's), near enough for its kin."""
        parts, graph, tokens = layer.parts, self._graph, self._batch.tokens
        conv = parts.get("ssm_conv1d.weight", (1, self._shape.width))
        inner = parts["ssm_out.weight"][0] or self._shape.width
        history = (conv[0] - 1) * prod(conv[1:]) * self._batch.sequences * _FLOAT
        states = self._batch.sequences * layer.state - history
        kept = graph.result(history, self._states)
        projected_width = max(
            (parts[name][1] for name in ("ssm_in.weight", "attn_qkv.weight") if name in parts), default=0
        )
        projected = self._op(projected_width or 2 * inner, normed)
        window = graph.result(prod(conv[1:]) * tokens * _FLOAT + history, kept, projected)
        convolved = self._op(prod(conv[1:]), window)
        sources = [convolved, self._op(inner, convolved)]
        if "ssm_x.weight" in parts:
            sources.append(self._op(parts["ssm_x.weight"][1], convolved))
        scanned = graph.result(inner * tokens * _FLOAT + max(states, 0), *sources, self._states)
        gate = self._op(inner, projected)
        summed = self._op(inner, scanned, self._op(inner, convolved, in_place=True))
        return self._op(inner, gate, summed)


def _query_width(layer: Layer) -> int:
    """Numbers of all heads' queries."""
    parts = layer.parts
    if "attn_q.weight" in parts:
        return parts["attn_q.weight"][1]
    if "attn_output.weight" in parts:
        return parts["attn_output.weight"][0]
    return layer.key


@dataclass
class _Node:
    """A result of ``bytes``, made of the results at ``sources``, perhaps in the place of the first that ends there."""

    bytes: int
    sources: tuple[int, ...]
    in_place: bool


class _Graph:
    """Operations in the order in which they are computed."""

    def __init__(self) -> None:
        self._nodes: list[_Node] = []
        self._given: set[int] = set()
        self._kept: set[int] = set()

    def given(self, count: int, *, kept: bool = False) -> int:
        """An input of ``count`` bytes, which is there from the beginning until its last use, or ``kept`` to the end."""
        self._given.add(len(self._nodes))
        if kept:
            self._kept.add(len(self._nodes))
        return self.result(count)

    def result(self, count: int, *sources: int, in_place: bool = False) -> int:
        """An operation whose result takes ``count`` bytes; what it returns names it."""
        self._nodes.append(_Node(count, sources, in_place))
        return len(self._nodes) - 1

    def peak(self) -> int:
        """Bytes of the buffer in which all of it can be computed."""
        uses = Counter(source for node in self._nodes for source in set(node.sources))
        uses.update(self._kept)
        arena = _Arena()
        places: dict[int, tuple[int, int]] = {
            index: arena.take(self._nodes[index].bytes) for index in sorted(self._given) if uses[index]
        }
        for index, node in enumerate(self._nodes):
            if index in self._given:
                continue
            heir = next(
                (s for s in node.sources if node.in_place and uses[s] == 1 and places[s][1] == node.bytes), None
            )
            heir = heir if node.bytes else None
            places[index] = places[heir] if heir is not None else arena.take(node.bytes)
            for source in set(node.sources):
                uses[source] -= 1
                if not uses[source] and source != heir:
                    arena.give(*places[source])
        return arena.size


class _Arena:
    """A buffer that grows at its end, and reuses the smallest hole that is large enough, of equal ones the last."""

    def __init__(self) -> None:
        self.size = 0
        self._end = 0
        self._holes: list[tuple[int, int]] = []  # where, and how large; in their order

    def take(self, count: int) -> tuple[int, int]:
        """A place for ``count`` bytes: where it is, and ``count``."""
        needed = -(-count // _ALIGNMENT) * _ALIGNMENT
        fitting = [hole for hole in self._holes if hole[1] >= needed]
        if not needed:
            return 0, 0
        if fitting:
            start, room = min(reversed(fitting), key=lambda hole: hole[1])
            self._holes.remove((start, room))
            if room > needed:
                self._holes.append((start + needed, room - needed))
                self._holes.sort()
        else:
            start, self._end = self._end, self._end + needed
            self.size = max(self.size, self._end)
        return start, count

    def give(self, start: int, count: int) -> None:
        """Make a place a hole, one with its neighbours'."""
        if not count:
            return
        room = -(-count // _ALIGNMENT) * _ALIGNMENT
        for hole in list(self._holes):
            if hole[0] + hole[1] == start:
                start, room = hole[0], room + hole[1]
                self._holes.remove(hole)
            elif start + room == hole[0]:
                room += hole[1]
                self._holes.remove(hole)
        if start + room == self._end:
            self._end = start
        else:
            self._holes.append((start, room))
            self._holes.sort()
