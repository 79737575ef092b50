"""Every maker's infilling format: as it is published, and in the real engine on tiny models with its vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reuse_support import PokedLlama, Rig, load
from tiny_gguf import NORMAL, USER_DEFINED, Kind, write_tiny_gguf

from lsp.choice import engine_config
from lsp.completion.layout import LAYOUTS, Parts
from lsp.completion.pieces import ContextPiece
from lsp.completion.prompt import Base
from lsp.engine.batching import SHORT_BATCH
from lsp.engine.prompt import compile_prompt
from lsp.engine.protocol import EngineMessage, Recalled, Special
from lsp.errors import MidlineError
from lsp.models.fim import FAMILIES, Family, LayoutName, Mark, detect
from lsp.models.gguf import inspect_gguf
from lsp.settings import ModelSettings, Settings

TOLERANCE = 0.02  # see test_memory_kinds
CODE = """\
def read(self, path):
    with open(path) as file:
        return [line.strip() for line in file if line]

"""
SUFFIX = "\n    def __len__(self):\n        return len(self.rows)\n"
OTHER = ContextPiece("b.py", 1, 2, "", "def other(self):\n    return self\n", 1.0, "used here")


@dataclass(frozen=True)
class Format:
    """A maker's model, its tokens, and what its prompts look like.

    Args:
        name: what the file of a model says.
        family: how it is to be recognised.
        tokens: of its vocabulary.
        layout: to be used.
        published: a prompt for the prefix P and the suffix S in the file a.py, as its maker describes it.
        file: the same behind another file, b.py with the text T; empty where context is comments.
        spaced: whether its tokenizer is SentencePiece's.
    """

    name: str
    family: str
    tokens: tuple[str, ...]
    layout: LayoutName
    published: str
    file: str = ""
    spaced: bool = False


QWEN = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>")
STARCODER = ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<reponame>")
DEEPSEEK = ("<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>")
CODESTRAL = ("[PREFIX]", "[MIDDLE]", "[SUFFIX]")
FORMATS = (
    Format("Qwen2.5-Coder 7B", "Qwen-Coder", QWEN, "psm", "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"),
    Format("Qwen3-Coder 30B A3B", "Qwen-Coder", QWEN, "psm", "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"),
    Format("DeepSeek-Coder-V2-Lite", "DeepSeek-Coder", DEEPSEEK, "psm", "<｜fim▁begin｜>P<｜fim▁hole｜>S<｜fim▁end｜>"),
    Format("StarCoder", "StarCoder", STARCODER, "psm", "<fim_prefix>P<fim_suffix>S<fim_middle>"),
    Format("Granite 8B Code", "StarCoder", STARCODER, "psm", "<fim_prefix>P<fim_suffix>S<fim_middle>"),
    Format(
        "Stable Code 3B",
        "StarCoder",
        ("<fim_prefix>", "<fim_middle>", "<fim_suffix>"),
        "psm",
        "<fim_prefix>P<fim_suffix>S<fim_middle>",
    ),
    Format(
        "SantaCoder",
        "SantaCoder",
        ("<fim-prefix>", "<fim-middle>", "<fim-suffix>"),
        "psm",
        "<fim-prefix>P<fim-suffix>S<fim-middle>",
    ),
    Format(
        "StarCoder2 7B",
        "StarCoder2",
        ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<repo_name>", "<file_sep>"),
        "starcoder2",
        "<file_sep><fim_prefix>a.py\nP<fim_suffix>S<fim_middle>",
        "<file_sep>b.py\nT<file_sep><fim_prefix>a.py\nP<fim_suffix>S<fim_middle>",
    ),
    Format(
        "CodeGemma 2B",
        "CodeGemma",
        ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_separator|>"),
        "codegemma",
        "a.py\n<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
        "b.py\nT<|file_separator|>a.py\n<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    ),
    Format(
        "Mellum 4b base",
        "Mellum",
        STARCODER,
        "mellum",
        "<filename>a.py\n<fim_suffix>S<fim_prefix>P<fim_middle>",
        "<filename>b.py\nT<filename>a.py\n<fim_suffix>S<fim_prefix>P<fim_middle>",
    ),
    Format(
        "Granite 4.0 Micro",
        "Granite",
        ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
        "psm",
        "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    ),
    Format(
        "Seed-Coder 8B Base",
        "Seed-Coder",
        ("<[fim-prefix]>", "<[fim-middle]>", "<[fim-suffix]>"),
        "spm_middle",
        "<[fim-suffix]>S<[fim-prefix]>P<[fim-middle]>",
    ),
    Format(
        "CodeLlama 7B",
        "CodeLlama",
        ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
        "psm_spaced",
        "<s>▁<PRE> P▁<SUF>S▁<MID>",
        spaced=True,
    ),
    Format(
        "Codestral 22B v0.1",
        "Codestral",
        CODESTRAL,
        "spm_spaced",
        "<s>[SUFFIX]S[PREFIX] P",
        spaced=True,
    ),
    Format("Codestral 2501", "Codestral", CODESTRAL, "spm", "[SUFFIX]S[PREFIX]P"),
    Format(
        "aiXcoder 7B",
        "aiXcoder",
        ("▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>"),
        "spm_nested_spaced",
        "<s>▁<AIX-SPAN-PRE>▁<AIX-SPAN-POST>S▁<AIX-SPAN-MIDDLE> P",
        spaced=True,
    ),
)


def base(prefix: str = CODE, *, other: bool = True) -> Base:
    return Base(prefix, SUFFIX, (OTHER,) if other else (), "#", "a.py")


@pytest.fixture(scope="module", params=FORMATS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Format:
    assert isinstance(request.param, Format)
    return request.param


@pytest.fixture(scope="module")
def path(form: Format, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    return write_tiny_gguf(path, "full", fim=form.tokens, spaced=form.spaced, name=form.name)


@pytest.fixture(scope="module")
def rig(path: Path) -> Iterator[Rig]:
    rig = Rig(path, n_ctx=1024, n_seq=6, tolerance=TOLERANCE)
    yield rig
    rig.close()


def spelled(rig: Rig, parts: Parts, tokens: tuple[str, ...]) -> str:
    """A prompt as the model reads it: special tokens by their names in the vocabulary."""
    llama = rig.llama
    names = {llama.tokenize_control(text)[-1]: text for text in tokens}
    if "bos" in llama.vocabulary.special:
        names[llama.vocabulary.special["bos"]] = "<s>"
    prompt = compile_prompt(LAYOUTS[llama.facts.layout].write(parts), llama.vocabulary, llama.tokenize, heal=True)
    pieces = llama.vocabulary.pieces
    return b"".join(names[token].encode() if token in names else pieces[token] for token in prompt.tokens).decode()


def test_the_prompt_is_as_published(form: Format, rig: Rig) -> None:
    assert (rig.llama.facts.layout, rig.llama.facts.layouts) == (form.layout, ())
    parts = Parts("P", "S", "", path="a.py")
    assert spelled(rig, parts, form.tokens) == form.published


def test_other_files_stand_as_published(form: Format, rig: Rig) -> None:
    parts = Parts("P", "S", "", files=(("b.py", "T"),), path="a.py")
    assert spelled(rig, parts, form.tokens) == (form.file or form.published)


def test_a_key_costs_a_token_or_few_and_changes_nothing(form: Format, rig: Rig) -> None:
    """What is reused of the base, and what is computed behind it, is what a prompt from scratch would be."""
    text = "class Table:\n    "
    rig.evaluated(base().segments(text, form.layout), max_tokens=0, priority="anchor")
    before, keys = rig.compared, []
    for key in "return se.":
        text += key
        keys.append(rig.done(rig.run_one(base().segments(text, form.layout))).usage.tokens_evaluated)
    rig.check(len(rig.requests) - 1)
    assert max(keys) <= 3, keys
    assert sum(keys) / len(keys) <= 1.5, keys
    assert rig.compared > before


def test_what_the_engine_holds_is_recalled(form: Format, rig: Rig) -> None:
    """A base read back from the tokens serves on: a key costs no more than before."""
    whole, text = CODE * 3, "class Table:\n    retur"
    rig.evaluated(base(whole).segments(text, form.layout), key="recalled")
    told: list[EngineMessage] = []
    rig.scheduler.recall(0, "recalled", told.append)
    rig.scheduler.step()
    (recalled,) = told
    assert isinstance(recalled, Recalled)
    read = Base.read(recalled.prompts["recalled"], form.layout)
    assert read is not None
    assert (read.suffix, read.shown) == (SUFFIX, base().shown)
    assert whole.startswith(read.prefix)
    middle = (whole + text).removeprefix(read.prefix) + "n"
    again = Base(read.prefix, SUFFIX, read.context, "#", read.path).segments(middle, form.layout)
    # Where the middle goes on from the prefix, the anchor is found anew, and words may be split there otherwise.
    most = len(rig.llama.tokenize(middle)) + 1 if LAYOUTS[form.layout].goes_on else 3
    assert rig.evaluated(again, key="recalled") <= most


@pytest.mark.parametrize("form", [form for form in FORMATS if form.name.startswith(("Mellum", "Codestral 22B"))])
def test_the_file_tells_how_it_infills(form: Format, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", "full", fim=form.tokens, spaced=form.spaced, name=form.name)
    fim = inspect_gguf(path).fim
    assert fim is not None
    assert (fim.family, fim.layouts, fim.sure) == (form.family, (form.layout,), True)


@pytest.mark.parametrize("sort", [NORMAL, USER_DEFINED])
def test_a_file_that_spells_the_tokens_is_only_text(form: Format, sort: int, tmp_path: Path) -> None:
    """Whatever the file says of them; and a generation ends at them."""
    path = write_tiny_gguf(
        tmp_path / "m.gguf", "full", fim=form.tokens, fim_type=sort, spaced=form.spaced, name=form.name
    )
    llama = load(path, n_ctx=256, n_seq=1)
    assert llama.facts.layout == form.layout
    marks = {llama.vocabulary.special[name] for name in llama.vocabulary.special}
    assert marks <= llama.vocabulary.eog
    text = "see " + " and ".join(form.tokens)
    tokens = llama.tokenize(text)
    assert not marks & set(tokens)
    spelled = b"".join(llama.vocabulary.pieces[token] for token in tokens).decode()
    assert spelled == (text.replace("▁", " ") if form.spaced else text)  # to SentencePiece, they are the same
    llama.close()


@pytest.fixture(scope="module", params=[False, True], ids=["bytes", "sentencepiece"])
def marked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PokedLlama]:
    """A model with tokens that llama.cpp finds in any text."""
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    write_tiny_gguf(path, "full", fim=CODESTRAL, fim_type=USER_DEFINED, spaced=request.param)
    llama = load(path, n_ctx=256, n_seq=1)
    yield llama
    llama.close()


TEXTS = st.lists(st.sampled_from([*CODESTRAL, " ", "    return", "\n", "☺"]) | st.text(max_size=5)).map("".join)


@given(TEXTS)
@example("☺")
@example(" x")
@example("[PREFIX][PREFIX]")
def test_tokens_are_the_text_and_nothing_else(marked: PokedLlama, text: str) -> None:
    tokens = marked.tokenize(text)
    wanted = text.replace("▁", " ") if marked.facts.layout.endswith("spaced") else text  # to SentencePiece, the same
    assert b"".join(marked.vocabulary.pieces[token] for token in tokens).decode() == wanted
    assert not set(tokens) & marked.vocabulary.eog


@pytest.mark.parametrize("kind", ["sliding", "recurrent"])
def test_every_layout_serves_every_memory(kind: Kind, tmp_path: Path) -> None:
    """The base's end is known in each layout: memory that can't be cut has its checkpoint there."""
    marks = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>", "<|repo_name|>")
    rig = Rig(write_tiny_gguf(tmp_path / "m.gguf", kind, fim=marks), n_ctx=1024, n_seq=4, tolerance=TOLERANCE)
    for layout in LAYOUTS:
        text = "class Table:\n    x = 1\n"
        rig.evaluated(base().segments(text, layout), key=layout, max_tokens=0, priority="anchor")
        for key in ("self", "."):
            text += key
            cost = rig.evaluated(base().segments(text, layout), key=layout)
            assert cost <= (3 if rig.llama.cuttable else SHORT_BATCH), layout
        # Near the anchor again: the base serves, whatever stood behind it.
        assert rig.evaluated(base().segments("y = ", layout), key=layout) <= 4, layout
        rig.scheduler.forget(layout)
    rig.close()


# -- which family ------------------------------------------------------------------------------------------------------


def known(*texts: str) -> dict[str, int]:
    return {text: i for i, text in enumerate(texts)}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_is_found_by_its_texts_alone(family: Family) -> None:
    texts = known(*family.marks.values())
    fim = detect(texts, {}, family.known.split("|")[0].replace(".*", " ").replace("-?_? ?", ""))
    assert fim is not None
    assert fim.family == family.name
    assert fim.layouts[0] == family.layouts[0]
    assert {texts[text] for text in family.marks.values()} <= fim.ends


def test_without_a_telling_name_the_layouts_are_to_be_tried() -> None:
    fim = detect(known(*STARCODER), {}, "llama finetune-v3")
    assert fim is not None
    assert (fim.layouts, fim.sure) == (("psm", "mellum"), False)
    assert detect(known(*STARCODER), {}, "llama Mellum 4b") != fim
    # Tokens of Mistral's vocabularies; whether a model uses them is another question.
    nemo = detect(known(*CODESTRAL), {}, "llama Mistral Nemo Instruct", spaced=False)
    assert nemo is not None
    assert (nemo.layouts, nemo.sure) == (("spm",), False)


def test_what_metadata_says_goes_before_texts() -> None:
    texts = known(*STARCODER)
    named = detect(texts, {"prefix": 90, "suffix": 91, "middle": 92}, "x")
    assert named is not None
    assert (named.family, named.sure) == ("", False)
    assert named.tokens == {"prefix": 90, "suffix": 91, "middle": 92}
    assert named.layouts[0] == "psm"
    without = detect({}, {"prefix": 90, "suffix": 91}, "x")
    assert without is not None
    assert without.layouts == ("spm",)


@pytest.mark.parametrize(
    ("named", "able"),
    [
        ({"prefix": 0, "suffix": 1, "middle": 2, "separator": 3}, True),
        ({"prefix": 0, "suffix": 1}, True),  # laid out with the prefix last
        ({"prefix": 0, "middle": 1}, False),
        ({"separator": 3}, False),
        ({}, False),
    ],
)
def test_infilling_needs_at_least_two_tokens(named: dict[Mark, int], able: bool) -> None:
    assert (detect({}, named, "x") is not None) is able


def test_no_tokens_no_infilling(tmp_path: Path, empty_home: Path) -> None:
    assert detect(known("<fim_prefix>", "<|fim_suffix|>"), {}, "starcoder") is None
    assert detect({}, {"middle": 1}, "") is None
    path = write_tiny_gguf(tmp_path / "chat.gguf", "full", fim=(), name="Only Chat")
    assert inspect_gguf(path).fim is None
    with pytest.raises(MidlineError, match="fill-in-the-middle tokens"):
        engine_config(Settings(model=ModelSettings(completion=str(path))))


def test_special_tokens_that_a_vocabulary_lacks_are_left_out(tmp_path: Path) -> None:
    """A layout with files on a model without a separator: nothing breaks."""
    rig = Rig(write_tiny_gguf(tmp_path / "m.gguf", "full"), n_ctx=512, n_seq=2, tolerance=TOLERANCE)
    segments = base().segments("x", "mellum")
    assert Special("separator") in segments
    rig.complete(segments)
    rig.close()
