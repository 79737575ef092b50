"""Does a question need the repository at all? Decided by its words alone, at no cost.

A greeting, thanks, or a question about programming in general gets no sources; what names something of this code, or
speaks of it (``here``, ``this project``, 这个文件), does; and so does what can't be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Known = Callable[[Iterable[str]], set[str]]

_SMALL_TALK = re.compile(
    r"(?:thanks?|thank you|cheers|you're welcome|谢谢|多谢)\b[^?？]{0,40}|(?:谢谢|多谢|辛苦了)[^?？]{0,20}|"
    r"(?:(?:hi|hello|hey|yo|good (?:morning|afternoon|evening|night)|thanks?(?: you)?|thx|cheers|bye|goodbye|ok(?:ay)?|"
    r"great|nice|cool|perfect|yes|no|got it|well done|never ?mind|how are you|see you|you(?:'re| are) \w+|sorry|"
    r"tell me a joke|help|there|midline|so much|very much|a lot|please|everyone|all|today|tomorrow|later)[\s,.!?]*)+"
    r"|(?:(?:你好|您好|嗨|哈喽|早上好|下午好|晚上好|晚安|早|谢谢(?:你|您)?|多谢|辛苦了|再见|好的|明白了?|知道了|没事|讲个笑话|在吗|"
    r"不错|太好了)[啊呀吗呢了\s,.!?，。！？]*)+",
    re.IGNORECASE,
)
# What asks who answers.
_ABOUT_US = re.compile(
    r"(?:who|what|which|how)\b[^.?]{0,20}\b(?:are|is) (?:you|your \w+)\W*|are you (?:an? )?\w+( \w+)?\W*|"
    r"what(?: else)? can you do\b.*|(?:tell me|say something) about yourself\W*|introduce yourself\W*|"
    r"你(?:是谁|是什么|是哪|叫什么|能做|会做|能帮我做|会什么|可以做).*|.{0,6}介绍.{0,4}你自己\W*",
    re.IGNORECASE,
)
# What speaks of the code at hand.
_HERE = re.compile(
    r"\b(?:our|we|here|codebase|repo(?:sitory)?|workspace|my (?:code|project|app|\w+ file)|"
    r"(?:this|these|those|that|the) (?:\w+ )?(?:code|project|files?|functions?|methods?|class(?:es)?|modules?|"
    r"packages?|tests?|server|client|app|application|program|library|engine|parser|index|settings?|config(?:uration)?|"
    r"selection|lines?|bug|error|commands?|folder)|where (?:is|are|does|do|did|in|can|should)|which (?:\w+ )?"
    r"(?:file|function|class|module|method|test)s?|who calls|what calls|callers? of|defined|implemented|"
    r"is (?:it|there)|does it|what happens (?:when|if|after)|how (?:is|are|does) the|"
    r"(?:overview|summary|outline) of the|the (?:overall )?(?:architecture|structure|design|layout)|"
    r"why (?:is|are|does|do) (?:the|it))\b"
    r"|这个|这里|这段|这些|该|我们|本项目|项目|仓库|代码库|代码中|哪里|在哪|哪个|哪些|何处|怎么实现|如何实现|实现的|定义|调用|当前",
    re.IGNORECASE,
)
_TOOLS = (
    r"(?:python|java|javascript|js|typescript|rust|go(?:lang)?|c\+\+|c#|c|ruby|php|perl|swift|kotlin|bash|shell|sql|html|css|lua|"
    r"git|github|vim|emacs|excel|linux|ubuntu|debian|windows|macos|docker|kubernetes|regex|numpy|pandas|asyncio|programming|"
    r"general|computer science)"
)
_TOOL = rf"(?<![\w.+#-]){_TOOLS}(?![\w+#])"
# What asks for general knowledge.
_GENERAL = re.compile(
    rf"\b(?:in|with|using) {_TOOLS}(?![\w+#])|\bdifferences? between\b|\bcapital of\b|\btranslate\b|"
    rf"\bwhat(?:'s| is| are| does) (?:an? |the (?:acronym|abbreviation|word|term) )?(?!this|that|the )"
    rf"(?:\w+[\s-]?){{1,3}}(?: mean| stand for)?\s*\?*$|"
    rf"\b(?:write(?: me)?|give me|show me|make me) an? (?!overview|summary|outline)|"
    rf"\bexplain (?:the (?:concept|idea|difference)|what an? )|"
    rf"\bhow (?:do|can|would|should|to)\b.*{_TOOL}|{_TOOL} [\w ]*\b(?:syntax|cheat ?sheet|tutorial|example)\b|"
    rf"\b(?:time|space|big.?o) (?:complexity|notation)|\bwho (?:invented|created|wrote|designed) |"
    rf"\bwhen was .*(?:released|invented|born|founded)|\bhow old\b|\bwhich is better\b|\brecommend\b|"
    rf"\bgood names? for\b|\bsynonyms?\b|\bconvert (?:0x[\da-f]+|\d+)\b|"
    rf"\b(?:pros and cons|best practices?|advantages)\b"
    rf"|什么是|是什么意思|区别|有什么不同|[时空]间复杂度|(?:用|在)\s*{_TOOLS}(?![\w+#])|{_TOOL}\s*(?:里|中|语言)|写[一个段]|翻译|"
    r"的概念|首都|优缺点|推荐|谁发明",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"`([^`\n]+)`|\b([A-Za-z_]\w*(?:(?:\.|::)\w+)+|\w+_\w+|_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*)\b(\()?|\b(\w+)\("
)
_FILE = re.compile(
    r"[\w/-]+\.(?:py|pyi|js|ts|tsx|jsx|rs|go|java|c|h|cpp|hpp|rb|php|lua|md|rst|toml|yaml|yml|json|sh|cs|kt|swift)\b"
)


# Maybe a class; the question's first word, too, but then it has to be defined to count.
_CAPITALISED = re.compile(r"\b[A-Z]\w{2,}")
READ = 1_000
"""Whoever writes more characters than this has pasted something."""


def names_in(question: str) -> list[str]:
    """The identifiers in a question: in backticks, called, or with a capital, a dot or an underscore inside."""
    found: dict[str, None] = {}
    for quoted, name, _, called in _NAME.findall(question):
        found |= dict.fromkeys(re.findall(r"[A-Za-z_]\w*", quoted or name or called))
    return list(found)


def named(question: str, known: Known) -> list[str]:
    """The names in a question that the repository defines; words with a capital count where they are."""
    text = question[:READ]
    names = list(dict.fromkeys([*names_in(text), *_CAPITALISED.findall(text)]))
    there = known(names) if names else set()
    return [name for name in names if name in there]


def needs_context(question: str, known: Known, *, follow_up: bool = False) -> bool:
    """Whether to look for sources.

    Args:
        question: the message, mentions taken out.
        known: which of these identifiers the repository defines.
        follow_up: whether it is asked in a conversation: without a word on what, it is about what was said before.
    """
    text = question.strip()[:READ]
    if not text or _SMALL_TALK.fullmatch(text) or _ABOUT_US.fullmatch(text):
        return False
    if _FILE.search(text):
        return True
    if named(text, known):
        return True
    if _HERE.search(text):
        return not (follow_up and _is_bare(text))
    if _GENERAL.search(text):
        return False
    return not (follow_up and _is_bare(text))


_BARE = re.compile(
    r"\b(?:and|but|so|why|how|what|who|when|does|do|did|is|are|was|it|its|that|this|the|they|them|there|not|can|could|you|"
    r"explain|show|me|more|again|shorter|please|an?|example|in|detail|of|for|about|to|go|on|continue|else|sure|really|"
    r"code|line|first|second|last|one|part|ones|mean|then|now|i|don't|understand|happens?|work|works)\b"
    r"|为什么|继续|再|说|详细|一点|例子|举|个|呢|吗|它|那|这|怎么|能|请|解释|一下|更|简单|的|是|你|我|不|懂|什么|意思|还有|然后",
    re.IGNORECASE,
)


def _is_bare(text: str) -> bool:
    """Whether nothing in it names a thing that could be looked for."""
    return not re.search(r"\w", _BARE.sub("", re.sub(r"[^\w\s']", "", text)))
