"""Chinese questions get the English terms of the code they ask for."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.glossary import alternatives, translated
from indexer.tokens import words

LINES = [
    line.partition("\t")
    for line in files("indexer").joinpath("glossary_zh.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
ENTRIES = {chinese: tuple(english.split()) for chinese, _, english in LINES}
TERMS = sorted(chinese for chinese, english in ENTRIES.items() if english)
STOP_WORDS = sorted(chinese for chinese, english in ENTRIES.items() if not english)

han = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF))
mixed = st.lists(st.one_of(st.text(), han, st.sampled_from(sorted(ENTRIES)))).map("".join)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("重定向", "redirect"),
        ("会话在哪里序列化", "session serialize"),
        ("怎么给日志文件做轮转", "log file rotate"),
        ("如何求两个集合的交集", "set intersection"),
        ("图片缩略图是在哪个函数里生成的", "thumbnail generate"),
        ("套接字读取超时以后会怎样", "socket timeout"),
        ("检测依赖之间的循环引用", "detect dependency circular"),
        ("解压缩归档文件时怎么防止路径穿越", "decompress archive prevent traversal"),
        ("守护线程如何优雅退出", "daemon graceful exit"),
    ],
)
def test_a_question_gets_the_terms_it_is_about(question: str, wanted: str) -> None:
    assert set(wanted.split()) <= set(words(translated(question)))


def test_latin_text_stays_where_it_is_and_is_not_said_twice() -> None:
    query = "Makefile 的 target 怎么解析 (parse)"
    assert translated(query).startswith(query + " ")
    assert translated(query).removeprefix(query).split() == ["parser", "resolve"]


def test_a_name_in_the_query_counts_as_its_parts() -> None:
    assert "session" not in translated("SessionStore 会话").removeprefix("SessionStore").split()


@given(st.text(st.characters(max_codepoint=0x2FFF)))
def test_text_without_chinese_is_unchanged(query: str) -> None:
    assert translated(query) == query


@given(mixed)
def test_any_text_is_kept_and_once_is_enough(query: str) -> None:
    once = translated(query)
    assert once.startswith(query)
    assert translated(once) == once


@given(mixed)
def test_what_is_added_is_english_and_from_the_query(query: str) -> None:
    added = translated(query)[len(query) :].split()
    assert set(added) <= {term for group in alternatives(query) for term in group}
    assert all(term.isascii() for term in added)


@given(st.sampled_from(TERMS))
def test_a_compound_with_an_entry_is_not_taken_apart(term: str) -> None:
    assert alternatives(term) == [ENTRIES[term]]


def test_a_compound_without_an_entry_gives_its_parts() -> None:
    assert "邮件模板缓存" not in ENTRIES
    parts = [("邮件", "模板缓存"), ("邮件", "模板", "缓存")]
    assert alternatives("邮件模板缓存") in [[ENTRIES[part] for part in cut if part in ENTRIES] for cut in parts]


def test_a_word_across_two_others_does_not_hide_them() -> None:
    assert alternatives("在线程中") == [ENTRIES["线程"]]  # not 在线, online
    assert alternatives("从表格式化") == [ENTRIES["表"], ENTRIES["格式化"]]  # not 表格, a table on the screen


@given(st.lists(st.sampled_from(STOP_WORDS), max_size=6).map(" ".join))
def test_words_of_the_question_add_nothing(query: str) -> None:
    assert translated(query) == query


def test_what_the_glossary_does_not_know_adds_nothing() -> None:
    assert translated("魑魅魍魉") == "魑魅魍魉"


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [("資料庫連接池", "数据库连接池"), ("重設密碼", "重设密码"), ("執行緒", "线程"), ("檔案", "文件"), ("圖", "图")],
)
def test_traditional_characters_are_read(traditional: str, simplified: str) -> None:
    assert alternatives(traditional) == alternatives(simplified) != []


def test_the_glossary_is_clean() -> None:
    assert len(LINES) == len(ENTRIES), "a term stands twice"
    assert len(TERMS) >= 1500
    for chinese, english in ENTRIES.items():
        assert all("\u4e00" <= character <= "\u9fff" for character in chinese), chinese
        assert len(english) == len(set(english)) <= 4, chinese
        assert all(term in words(term) for term in english), f"{chinese}: a term that no search can find"
