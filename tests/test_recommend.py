"""What is recommended for a machine: by what fits, how fast it is, and what it is made for."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models_support import without_other_models
from tiny_gguf import write_tiny_gguf

from lsp.cli import main
from lsp.engine.planning.memory import Gpu, Machine
from lsp.engine.planning.shape import shape_of
from lsp.models import recommend
from lsp.models.adding import add
from lsp.models.benchmark import Device, Measured
from lsp.models.catalogue import CATALOGUE, CatalogueEntry
from lsp.models.dimensions import imagined_header, reckoned_bytes
from lsp.models.discovery.discover import Found
from lsp.models.listing import facts_of_entry
from lsp.models.ranking import Option, Purpose, Ranked, rank
from lsp.sizes import size, sizes

GIB = 1 << 30
LAPTOP = Measured("laptop", "2026-11-22T00:00:00+00:00", Device(20e9, 80e9, 100e9, "some model"))
FAST = Measured("box", LAPTOP.when, LAPTOP.cpu, Device(800e9, 0.0, 30e12, "some model"))


def option(entry: CatalogueEntry) -> Option:
    assert entry.dimensions is not None
    facts = facts_of_entry(entry)
    assert facts is not None
    shape = shape_of(imagined_header(entry.name, entry.dimensions, entry.bytes, entry.quantization))
    return Option(entry.name, "catalogue", None, entry.bytes, entry.about, entry.licence, entry.released, facts, shape)


OPTIONS = [option(entry) for entry in CATALOGUE]


def ranked(
    purpose: Purpose, *, ram: float, vram: float = 0, measured: Measured = LAPTOP, options: list[Option] = OPTIONS
) -> list[Ranked]:
    gpus = (Gpu("the GPU", int(vram * GIB)),) if vram else ()
    return rank(options, purpose, Machine(gpus, int(ram * GIB)), measured)


def find(name: str, ranks: list[Ranked]) -> Ranked:
    return next(one for one in ranks if one.option.name == name)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_what_the_catalogue_says_of_a_model_agrees_with_itself(entry: CatalogueEntry) -> None:
    assert entry.dimensions is not None
    assert abs(entry.dimensions.parameters / entry.parameters - 1) < 0.01
    bits = 8 * entry.bytes / entry.parameters
    least, most = {"Q4_K_M": (4.7, 5.4), "Q8_0": (8.4, 8.7)}[entry.quantization]
    assert least < bits < (6.3 if entry.parameters < 1e9 else most)  # the smallest has rows that K quants can't divide
    assert abs(reckoned_bytes(entry.dimensions, entry.quantization) / entry.bytes - 1) < 0.02
    assert entry.fim == (entry.layout is not None)
    assert entry.fim or entry.chat


def test_the_documents_tell_of_each_model() -> None:
    told = (Path(__file__).parents[1] / "docs/models.md").read_text(encoding="utf-8")
    for entry in CATALOGUE:
        row = next(line for line in told.splitlines() if line.startswith(f"| `{entry.name}` |"))
        size = f"{'≈ ' if entry.about else ''}{entry.bytes / 1e9:.2f} GB {entry.quantization}"
        assert [cell.strip() for cell in row.split("|")][2:5] == [
            size,
            f"{entry.parameters / 1e9:.2f} B",
            entry.licence,
        ]


def test_each_model_takes_about_its_file_of_memory() -> None:
    for one in ranked("completion", ram=256) + ranked("chat", ram=256):
        weights = sum(use.weights for use in one.planned.gpus) + one.planned.cpu.weights
        assert 0.97 < weights / one.option.bytes < 1.03, one.option.name


def test_a_small_machine_gets_what_fits_and_is_fast_enough() -> None:
    ranks = ranked("completion", ram=4)
    assert ranks[0].option.name in ("qwen2.5-coder-1.5b-instruct", "qwen2.5-coder-0.5b-instruct")
    assert ranks[0].speed.per_second > 10
    large = find("codestral-22b", ranks)
    assert not large.fits
    assert large.reason.startswith("It doesn't fit: ")
    assert [one.fits for one in ranks] == sorted((one.fits for one in ranks), reverse=True)


def test_a_fast_gpu_gets_the_largest_that_goes_in() -> None:
    small = ranked("completion", ram=8, vram=8, measured=FAST)[0]
    large = ranked("completion", ram=64, vram=48, measured=FAST)[0]
    assert 6e9 < small.option.facts.parameters < 10e9
    assert large.option.facts.parameters > 30e9
    for one in (small, large):
        assert one.planned.choice.gpu_layers == len(one.option.shape.layers) + 1
        assert one.speed.per_second > 20
        assert "All of it is on the GPU." in one.reason


def test_a_mixture_is_as_fast_as_its_experts_in_use() -> None:
    ranks = ranked("chat", ram=64)
    mixture, dense = (find(name, ranks) for name in ("qwen3-coder-30b-a3b-instruct", "qwen2.5-coder-32b-instruct"))
    assert mixture.speed.per_second > 6 * dense.speed.per_second
    assert mixture.score > dense.score


def test_a_half_fitting_mixture_keeps_its_experts_on_the_cpu() -> None:
    one = find("qwen3-coder-30b-a3b-instruct", ranked("chat", ram=32, vram=8, measured=FAST))
    assert one.fits
    assert one.planned.choice.experts_on_cpu > 0
    assert "stay on the CPU" in one.reason
    on_cpu = find("qwen3-coder-30b-a3b-instruct", ranked("chat", ram=32))
    whole = find("qwen3-coder-30b-a3b-instruct", ranked("chat", ram=32, vram=48, measured=FAST))
    assert on_cpu.speed.per_second < one.speed.per_second < whole.speed.per_second


def test_only_models_made_for_it_are_ranked() -> None:
    completing = {one.option.name for one in ranked("completion", ram=64)}
    chatting = {one.option.name for one in ranked("chat", ram=64)}
    assert "deepseek-r1-distill-qwen-7b" in chatting - completing
    assert "mellum-4b-base" in completing - chatting
    # Qwen's other models have the tokens, too, but never learnt to infill.
    base = option(next(entry for entry in CATALOGUE if entry.name == "deepseek-r1-distill-qwen-7b"))
    with_tokens = replace(base, facts=msgspec.structs.replace(base.facts, fim="psm", fim_sure=False))
    assert not with_tokens.serves("completion")


def test_who_reasons_has_to_be_fast() -> None:
    slow, fast = ranked("chat", ram=64), ranked("chat", ram=64, vram=48, measured=FAST)
    names = ("deepseek-r1-distill-qwen-7b", "qwen2.5-coder-7b-instruct")
    assert find(names[0], slow).score < find(names[1], slow).score
    assert "reasons before it answers" in find(names[0], fast).reason


def test_a_gpu_that_was_not_measured_is_taken_for_a_small_one_and_that_is_said() -> None:
    one = ranked("completion", ram=16, vram=8)[0]
    assert one.speed.assumed
    assert "if the GPU is as fast as a small one" in one.reason
    assert not ranked("completion", ram=16, vram=8, measured=FAST)[0].speed.assumed
    assert not ranked("completion", ram=16)[0].speed.assumed


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(OPTIONS), st.floats(0, 80), st.floats(1, 256), st.floats(1e9, 1e12), st.floats(1.1, 8))
def test_a_faster_machine_is_never_expected_to_be_slower(
    one: Option, vram: float, ram: float, bandwidth: float, times: float
) -> None:
    purpose: Purpose = "completion" if one.serves("completion") else "chat"
    slow, fast = (
        Measured(
            "",
            "",
            Device(rate * bandwidth, 3 * rate * bandwidth, 10 * rate * bandwidth, "x"),
            Device(2 * rate * bandwidth, 0.0, 20 * rate * bandwidth, "x"),
        )
        for rate in (1.0, times)
    )
    (before,) = ranked(purpose, ram=ram, vram=vram, measured=slow, options=[one])
    (after,) = ranked(purpose, ram=ram, vram=vram, measured=fast, options=[one])
    assert after.speed.per_second == pytest.approx(times * before.speed.per_second)
    assert after.speed.first_seconds == pytest.approx(before.speed.first_seconds / times)
    assert after.score >= before.score


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8GiB", 8 << 30),
        ("8 gib", 8 << 30),
        ("8G", 8 << 30),
        ("8GB", 8 * 10**9),
        ("1.5k", 1536),
        ("8589934592", 8 << 30),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert size(text) == count
    assert sizes(f"{text},{text}") == (count, count)


@pytest.mark.parametrize("text", ["", "GiB", "8 potatoes", "-1G", "8iB", "1e9", "8GiB,", "inf"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a size"):
        sizes(text)


def test_a_number_that_can_only_mean_gib_asks_for_its_unit() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="without a unit: write 24GiB"):
        sizes("8GiB,24")


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "midline"))
    return without_other_models(tmp_path / "home", monkeypatch)


FIELDS = {
    *("rank", "name", "source", "path", "bytes", "about", "licence", "fits", "tokens_per_second", "assumed"),
    *("first_token_ms", "cold_ms", "memory_bytes", "gpu_bytes", "gpu_layers", "experts_on_cpu", "n_ctx", "kv_type"),
    *("score", "reason"),
}


def recommended(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[dict[str, object]]]:
    assert main(["model", "recommend", "--json", *arguments]) == 0
    document: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
    return document


def test_without_a_model_speed_is_guessed_from_memorys(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsp.models.benchmark._TRIAL_SECONDS", 0.05)
    document = recommended(capsys, "--ram", "16GiB", "--vram", "0")
    measured = document["machine"]["measured"]  # type: ignore[call-overload]
    assert measured["cpu"]["bytes_per_second"] > 1e8
    assert measured["cpu"]["reading_weights_per_second"] > 1e8
    assert measured["cpu"]["measured_with"] is None
    for purpose in ("completion", "chat"):
        assert [set(row) for row in document[purpose]] == [FIELDS] * len(document[purpose])
        fitting = [row["rank"] for row in document[purpose] if row["fits"]]
        assert fitting == [*range(1, len(fitting) + 1)]
    assert main(["model", "recommend", "--ram", "16GiB"]) == 0
    said = capsys.readouterr().out
    assert "guessed from its memory's: install a model" in said
    assert "For completion" in said


def test_speed_is_measured_once_through_the_engine_and_again_when_asked(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsp.models.benchmark._DECODE_SECONDS", 0.2)
    monkeypatch.setattr("lsp.models.benchmark._PREFILL_SECONDS", 0.2)
    add(write_tiny_gguf(tmp_path / "tiny.gguf", "full"), name="tiny-coder")
    put = home / ".lmstudio/models/me/mine"
    put.mkdir(parents=True)
    shutil.copy(write_tiny_gguf(tmp_path / "other.gguf", "full", seed=1), put / "other-coder.gguf")
    first = recommended(capsys)
    rows = {row["name"]: row for row in first["completion"]}
    assert {"tiny-coder", "lmstudio/me/mine/other-coder"} <= rows.keys()
    assert "It is installed." in str(rows["tiny-coder"]["reason"])
    assert "LM Studio's folder" in str(rows["lmstudio/me/mine/other-coder"]["reason"])
    measured = first["machine"]["measured"]  # type: ignore[call-overload]
    assert measured["cpu"]["measured_with"] == "tiny-coder"
    assert recommended(capsys)["machine"]["measured"] == measured  # type: ignore[call-overload]
    again = recommended(capsys, "--measure")["machine"]["measured"]  # type: ignore[call-overload]
    assert again != measured


def test_a_file_that_somebody_made_of_a_known_model_has_its_age(home: Path, tmp_path: Path) -> None:
    entry = next(entry for entry in CATALOGUE if entry.name == "qwen2.5-coder-7b-instruct")
    facts = facts_of_entry(entry)
    assert facts is not None
    like = recommend._entry_like("lmstudio/me/Qwen2.5-Coder-7B-Instruct-GGUF/q5", facts)
    assert like == entry
    there = Found("ollama/qwen2.5-coder:7b", tmp_path, "ollama", entry.bytes, facts)
    assert recommend._entry_of(there) == entry  # it need not be pulled
    assert recommend._entry_of(replace(there, facts=msgspec.structs.replace(facts, quantization="Q2_K"))) is None
    assert recommend._entry_like("folder/unheard-of", msgspec.structs.replace(facts, title="")) is None
