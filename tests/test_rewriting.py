"""Edits on the model's side: the code in its answers, repaired, put in its place, checked, refused, asked for again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chat_support import CHATML, FakeGeneration, flat
from rewriting_support import MEAN, SHOP, TOTAL, Engine, new_text, rewritten, task

from lsp.chat.editing.code_answers import Block, code_in
from lsp.chat.editing.passages import Passage
from lsp.chat.editing.prompts import OPENING
from lsp.chat.editing.rewriting import Task, rewrite
from lsp.chat.templates import ChatTemplate
from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.engine.protocol import ChatFacts, State, Text
from lsp.errors import MidlineError
from lsp.models import store

# -- the prompt ------------------------------------------------------------------------------------------------------


async def test_all_edits_open_alike_and_end_in_a_fence() -> None:
    engine = Engine("def mean(v):\n    return 1\n```", "def total(self):\n    return 2\n```")
    await rewritten(engine, task("return 1"))
    await rewritten(engine, task("return 2", SHOP, TOTAL))
    first, second = (flat(prompt) for prompt in engine.prompts)
    shared = first.index("def mean(values)")
    assert first[:shared] == second[:shared]
    assert OPENING[-1].text in first[:shared]
    assert first.endswith("Instruction: return 1<|im_end|>\n<|im_start|>assistant\n```python\n")
    assert len(set(engine.keys)) == 1


async def test_text_of_the_document_never_becomes_a_special_token() -> None:
    engine = Engine("x = 2\n```")
    await rewritten(engine, task("set <|im_end|> to 2", "x = '<|im_end|>'\n", (1, 1)))
    assert [one.text for one in engine.prompts[0] if isinstance(one, Text) and "im_end" in one.text]
    assert not any("'<|im_end|>'" in text for text in engine.around)


async def test_the_fence_is_longer_than_those_in_the_code() -> None:
    text = 'doc = """\n```\nx\n```\n"""\n'
    engine = Engine('doc = """\n```\ny\n```\n"""\n````')
    made = await rewritten(engine, task("y", text, (1, 5)))
    assert engine.asked.endswith("````python\n")
    assert made.text == text.replace("x", "y")


async def test_a_model_that_thinks_opens_its_fence_itself() -> None:
    facts = replace_template("{% for m in messages %}{{ m.content }}\n{% endfor %}<think>\n")
    engine = Engine("so, hm</think>\nHere:\n```python\ndef mean(v):\n    return 1\n```\nDone.", facts=facts)
    made = await rewritten(engine, task("return 1"))
    assert made.text == "def mean(v):\n    return 1\n"


def replace_template(template: str) -> ChatFacts:
    return ChatFacts(template=template, architecture="deepseek", controls=CHATML.controls)


# -- the code in an answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("x = 1", "x = 1"),
        ("Sure!\n```python\nx = 1\n```\nThis sets x.", "x = 1"),
        ("```\nx = 1\n\ny = 2\n```", "x = 1\n\ny = 2"),
        ("~~~py\nx = 1\n~~~", "x = 1"),
        ("```python\nx = 1", "x = 1"),
        ("```\npip install x\n```\nand\n```python\nlonger = 'than that'\n```", "longer = 'than that'"),
    ],
)
def test_code_of_a_whole_answer(answer: str, code: str) -> None:
    assert code_in(answer) == code


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_block_ends_at_its_fence_however_it_comes(size: int) -> None:
    answer = "def f():\n    `x`\n    return 1\n```\nThat's it.\n```python\nf()\n```"
    block = Block("```")
    shown = "".join(block.feed(answer[i : i + size]) for i in range(0, len(answer), size))
    assert block.closed
    assert block.code == "def f():\n    `x`\n    return 1\n"
    assert shown == block.code


async def test_what_is_streamed_is_the_code() -> None:
    pieces: list[str] = []
    await rewritten(Engine("def mean(v):\n    return 1\n```\nI did it."), task("return 1"), on_text=pieces.append)
    assert "".join(pieces).rstrip() == "def mean(v):\n    return 1"


async def test_what_an_answer_is_begun_with_is_streamed_once() -> None:
    pieces: list[str] = []
    await rewritten(Engine('The mean."""'), task("", command="document"), on_text=pieces.append)
    assert "".join(pieces) == 'def mean(values):\n    """The mean."""'


# -- indentation and line ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("answered", ["", "    ", "        "])
async def test_indentation_is_the_documents_however_it_was_answered(answered: str) -> None:
    answer = "".join(f"{answered}{line}\n" for line in ("def close(self):", "    self.open = None"))
    made = await new_text(f"{answer}```", task("set it to None", SHOP, (13, 14)))
    assert made == "    def close(self):\n        self.open = None\n"


async def test_tabs_stay_tabs() -> None:
    text = "class A:\n\tdef f(self):\n\t\tif self.x:\n\t\t\treturn 1\n"
    made = await new_text("def f(self):\n    if self.x:\n        return 2\n```", task("return 2", text, (2, 4)))
    assert made == "\tdef f(self):\n\t\tif self.x:\n\t\t\treturn 2\n"


async def test_line_ends_and_a_missing_last_one_stay() -> None:
    made = await new_text("def f():\n    return 2\n```", task("return 2", "def f():\r\n    return 1", (1, 2)))
    assert made == "def f():\r\n    return 2"


def test_a_passage_put_back_is_as_it_was() -> None:
    for text in (SHOP, SHOP.replace("\n", "\r\n"), "\tx\n\n\t\ty", "", "  a = '''\nb\n'''\n"):
        for end in range(1, text.count("\n") + 2):
            passage = Passage.of(text, 1, end)
            assert passage.document(passage.text) == text
            if passage.text.strip():
                assert passage.as_here(passage.code) == passage.text


# -- repairs ---------------------------------------------------------------------------------------------------------


async def test_what_got_lost_around_a_definition_is_put_back() -> None:
    answer = "def total(self):\n    return sum(item.price for item in self.items)\n```"
    made = await new_text(answer, task("Use sum().", SHOP, TOTAL))
    assert made == (
        '    @property\n    def total(self):\n        """The sum of all prices."""\n'
        "        return sum(item.price for item in self.items)\n"
    )


async def test_what_was_to_go_is_not_put_back() -> None:
    answer = "def total(self):\n    return 1\n```"
    made = await new_text(answer, task("Drop the decorator and the docstring, return 1.", SHOP, TOTAL))
    assert made == "    def total(self):\n        return 1\n"


async def test_a_class_around_a_method_and_an_example_behind_it_go() -> None:
    answer = "class Shop:\n    def close(self):\n        self.open = None\n\nshop = Shop()\nshop.close()\n```"
    made = await new_text(answer, task("set it to None", SHOP, (13, 14)))
    assert made == "    def close(self):\n        self.open = None\n"


async def test_a_helper_stays_and_tests_behind_it_go() -> None:
    answer = (
        "def mean(values):\n    return _sum(values) / 2\n\ndef _sum(values):\n    return 1\n\n"
        "def test_mean():\n    assert mean([1]) == 1\n\nif __name__ == '__main__':\n    test_mean()\n```"
    )
    made = await new_text(answer, task("use a helper"))
    assert made == "def mean(values):\n    return _sum(values) / 2\n\n\ndef _sum(values):\n    return 1\n"


async def test_a_rename_is_completed() -> None:
    answer = "def mean(numbers):\n    return sum(numbers) / len(values)\n```"
    made = await new_text(answer, task("rename values to numbers"))
    assert made == "def mean(numbers):\n    return sum(numbers) / len(numbers)\n"


async def test_a_new_name_may_stand_in_the_docstring_already() -> None:
    text = 'def f(L):\n    """Take the left one."""\n    return L\n'
    made = await new_text(
        'def f(left):\n    """Take the left one."""\n    return L\n```', task("Rename L to left", text, (1, 3))
    )
    assert made == text.replace("(L)", "(left)").replace("return L", "return left")


async def test_a_rename_leaves_attributes_and_named_arguments_alone() -> None:
    text = "def f(x):\n    return g(x, x=x.x)\n"
    made = await new_text("def f(y):\n    return g(y, x=x.x)\n```", task("Rename `x` to `y`.", text))
    assert made == "def f(y):\n    return g(y, x=y.x)\n"


# -- another attempt -------------------------------------------------------------------------------------------------


async def test_an_error_is_told_once_and_corrected() -> None:
    engine = Engine("def mean(v:\n    return 1\n```", "def mean(v):\n    return 1\n```")
    attempts: list[int] = []
    made = await rewritten(engine, task("return 1"), on_attempt=attempts.append)
    assert made.text == "def mean(v):\n    return 1\n"
    assert (made.attempts, attempts, made.reason) == (2, [1, 2], "")
    assert "def mean(v:" in engine.asked
    assert "syntax error at `def mean(v:`" in engine.asked
    assert made.usage.tokens_generated > 8


async def test_code_that_is_only_repeated_is_gone_on_with_otherwise() -> None:
    engine = Engine(f"{MEAN}```", "1\n```")
    engine.make = _Unsure
    made = await rewritten(engine, task("return one"))
    assert engine.branches[1] == 2
    assert flat(engine.prompts[1]).endswith("```python\ndef mean(values):\n    return ")
    assert made.text == "def mean(values):\n    return 1\n"


class _Unsure(FakeGeneration):
    """Is not sure of the word behind ``return``, and quite sure of all others."""

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        before = ""
        async for token in super().__aiter__():
            token.logprob = -1.0 if before.endswith("return ") else -0.01
            before = token.text
            yield token


async def test_what_was_named_and_is_missing_is_told() -> None:
    engine = Engine("def mean(values):\n    return 1\n```", "def mean(values, start=0):\n    return start\n```")
    made = await rewritten(engine, task("Add a parameter `start`."))
    assert "`start` is missing" in engine.asked
    assert made.text == "def mean(values, start=0):\n    return start\n"


async def test_a_doubt_that_stays_is_said() -> None:
    engine = Engine(*["def mean(values):\n    return 1\n```"] * 2)
    made = await rewritten(engine, task("Add a parameter `start`."))
    assert made.reason == "`start` is missing."
    assert made.text == "def mean(values):\n    return 1\n"


async def test_a_definition_left_out_is_begun_for_the_model() -> None:
    engine = Engine("HALF = 2\n```", "    return sum(values) / HALF\n```")
    made = await rewritten(engine, task("Divide by a constant HALF above the function."))
    assert engine.asked.endswith("HALF = 2\n\n\ndef mean(values):\n")
    assert made.text == "HALF = 2\n\n\ndef mean(values):\n    return sum(values) / HALF\n"


async def test_an_error_that_is_complained_of_need_not_be_raised() -> None:
    made = await rewritten(
        Engine("def mean(values):\n    return 1\n```"), task("mean([]) raises a ValueError. Fix it.")
    )
    assert (made.attempts, made.reason) == (1, "")


@pytest.mark.parametrize(
    ("instruction", "first", "told"),
    [
        ("Raise a ValueError if it is empty.", "return 1", "`ValueError` is missing"),
        ("Use a for loop.", "return 1", "no for loop yet"),
        ("Use math.", "return math.fsum(values)", "`math` is not defined"),
    ],
)
async def test_what_can_be_told_of_an_instruction(instruction: str, first: str, told: str) -> None:
    engine = Engine(*[f"def mean(values):\n    {first}\n```"] * 2)
    await rewritten(engine, task(instruction))
    assert told in engine.asked


async def test_a_condition_that_is_not_there_is_begun_for_the_model() -> None:
    engine = Engine("def mean(values):\n    return 1\n```", "not values:\n        return 0\n    return 1\n```")
    made = await rewritten(engine, task("Return 0 if values is empty."))
    assert engine.asked.endswith("```python\ndef mean(values):\n    if ")
    assert made.text == "def mean(values):\n    if not values:\n        return 0\n    return 1\n"


async def test_lines_that_nobody_wanted_gone_are_told() -> None:
    text = "def f(x):\n    if x:\n        x = 2\n    y = x < 1\n    return y\n"
    engine = Engine("def f(x):\n    y = x <= 1\n    return y\n```", text.replace("<", "<=") + "```")
    made = await rewritten(engine, task("1 should count too. Fix it.", text, (1, 5)))
    assert "2 lines less" in engine.asked
    assert made.text == text.replace("<", "<=")


# -- lines within a definition ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "for item in self.items:\n    total -= item.price\n```",
        '@property\ndef total(self):\n    """The sum of all prices."""\n    total = 0\n    for item in self.items:\n'
        "        total -= item.price\n    return total\n```",
        'def total(self):\n    """The sum of all prices."""\n    total = 0\n    for item in self.items:\n'
        "        total -= item.price\n    return total\n```",
    ],
)
async def test_what_is_around_the_lines_is_shown_and_left_alone(answer: str) -> None:
    engine = Engine(answer)
    made = await rewritten(engine, task("Subtract the prices.", SHOP, (9, 10)))
    assert "stands in this" in engine.asked
    assert "def total(self):" in engine.asked
    assert made.text == "        for item in self.items:\n            total -= item.price\n"


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (f"{MEAN}```", "changed nothing"),
        ("```", "no code"),
        ("def mean(values:\n    return 1\n```", "doesn't parse: line 1: def mean"),
        ("def mean(values):\n    # ... rest of the code unchanged\n```", "left code out"),
        ("result = 1\n```", "left the definition out"),
        ("def mean(values):\n" + "    a_long_enough_line = 1\n" * 40, "didn't come to an end"),
    ],
)
async def test_what_cannot_be_used_is_refused(answer: str, said: str) -> None:
    with pytest.raises(MidlineError, match=said) as refused:
        await rewritten(Engine(answer, *["((\n```"] * 6), task("return one"))
    assert refused.value.cure


async def test_errors_that_were_there_before_do_not_count() -> None:
    made = await new_text("def mean(values):\n    return 1\n```", task("return 1", f"{MEAN}\ndef broken(:\n"))
    assert made == "def mean(values):\n    return 1\n"


async def test_an_answer_cut_at_its_limit_is_refused() -> None:
    engine = Engine(*["def mean(values):\n    x = 1"] * 2)
    engine.make = _Cut
    with pytest.raises(MidlineError, match="didn't come to an end"):
        await rewritten(engine, task("return 1"))


class _Cut(FakeGeneration):
    async def __aiter__(self):  # type: ignore[no-untyped-def]
        async for token in super().__aiter__():
            yield token
        self.reason = "length"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (task(" "), "instruction is empty"),
        (task("x", command="dance"), "no command 'dance'"),
        (task("x" * 9_000), "9,000 characters"),
        (task("x", "x = 1\n" * 9_000, (1, 9_000)), "9,000 lines are too long"),
    ],
)
async def test_what_cannot_be_asked_is_refused_before_the_model_is(asked: Task, said: str) -> None:
    engine = Engine()
    with pytest.raises(MidlineError, match=said):
        await rewritten(engine, asked)
    assert not engine.prompts


async def test_lines_that_are_not_there_are_the_nearest_ones() -> None:
    assert await new_text("x = 1\n```", task("x = 1", "", (1, 1))) == "x = 1"


async def test_cancelling_stops_the_model() -> None:
    engine = Engine("def mean(values): ")
    made: list[FakeGeneration] = []
    asked = asyncio.Event()

    def endless(pieces: list[str]) -> FakeGeneration:
        made.append(FakeGeneration(pieces, forever=True))
        asked.set()
        return made[-1]

    engine.make = endless
    running = asyncio.create_task(rewritten(engine, task("return 1")))
    await asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert made[0].cancelled.is_set()


# -- the real model --------------------------------------------------------------------------------------------------


@pytest.mark.model
async def test_the_real_model_carries_out_an_easy_edit(
    midline_home: Path, installed_model: store.InstalledModel
) -> None:
    engine = EngineClient(EngineConfig(str(midline_home / "data" / "models" / installed_model.path.name), threads=1))
    engine.start()
    try:
        state: State = await engine.ready()
        template = ChatTemplate(await engine.describe(), state.model.name if state.model else "")
        made = await rewrite(engine, template, task("Rename the parameter `values` to `numbers`."))
        again = await rewrite(engine, template, task("Raise a ValueError if values is empty."))
    finally:
        await engine.close()
    assert made.text == MEAN.replace("values", "numbers")
    assert "raise ValueError" in again.text
    assert again.usage.tokens_evaluated < 60
    assert again.usage.tokens_reused > 400
