"""Whether a question needs the repository: over questions as people ask them, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lsp.chat.need import names_in, needs_context

DEFINED = {"Session", "complete", "read_line", "EngineClient", "MAX_TOKENS", "tokenize", "getUser"}

NEEDED = """
where is the retry logic?
What does Session.complete do?
how does `tokenize` treat newlines
explain EngineClient
what is MAX_TOKENS
What does the Ledger do?
What is a Session?
what does the scheduler do
what is the debounce
Why does read_line() return None?
Which file handles cancellation?
how do we restart the engine after a crash?
what happens if the database is locked?
How is the cache invalidated?
what does lsp/server.py do
fix the bug in this function
write a test for getUser
does it support windows?
Is there a setting for the debounce?
How are secrets redacted?
Explain the architecture of this project
who calls getUser
what is the purpose of the ledger?
list the commands this program has
where are conversations stored?
why is the first token slow
document this class
debounce and cancellation of requests
How does KV reuse work across edits?
这个函数做什么？
配置在哪里读取？
重试逻辑在哪个文件？
我们怎么处理超时？
Session 类的作用
补全请求是怎么取消的？
如何实现增量索引
""".strip().splitlines()

NOT_NEEDED = """
hi
Hello there!
thanks a lot
Thank you so much!
good morning, how are you?
who are you?
what can you do?
ok
tell me a joke
What is the capital of France?
what is a monad?
What is dependency injection?
what's the difference between a list and a tuple in python
How do I reverse a string in Python?
how to undo the last commit in git
write a haiku about autumn
Write me a function that adds two numbers in Rust
explain the concept of recursion
what does SOLID stand for?
What are closures?
translate "good evening" into German
how can I sort a dict by value using python
pros and cons of microservices
give me a regex for phone numbers
你好
谢谢！
你是谁？
thank you, that helped
cheers mate
谢谢你的帮助
什么是递归？
Python 和 Java 的区别
用 Python 写一个快速排序
法国的首都是哪座城市
单例模式是什么意思
""".strip().splitlines()


def known(names: Iterable[str]) -> set[str]:
    return set(names) & DEFINED


def test_the_cheap_decision_is_right_nearly_always() -> None:
    wrong = [question for question in NEEDED if not needs_context(question, known)]
    wrong += [question for question in NOT_NEEDED if needs_context(question, known)]
    assert wrong == []


@pytest.mark.parametrize(
    "question", ["why?", "and why does it do that?", "explain it again, shorter please", "继续", "为什么？"]
)
def test_a_bare_follow_up_is_about_what_was_said(question: str) -> None:
    assert not needs_context(question, known, follow_up=True)


@pytest.mark.parametrize("question", ["and where is the cache?", "what about getUser", "那配置呢？"])
def test_a_follow_up_that_names_something_new_is_looked_up(question: str) -> None:
    assert needs_context(question, known, follow_up=True)


def test_names_are_found() -> None:
    found = names_in("does `a b` or Session.complete, getUser, read_line or call(x) work, as Plain words e.g. do?")
    assert [name for name in found if name not in ("e", "g")] == [
        *["a", "b", "Session", "complete", "getUser", "read_line", "call"]
    ]
