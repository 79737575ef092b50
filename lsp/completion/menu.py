"""Suggestions as an item of the editor's own completion menu, for editors that have no inline completion."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from lsprotocol import types

from lsp.completion.completion import Completion
from lsp.completion.inline import ACCEPTED, Suggesting
from lsp.documents import Cursor, Document
from lsp.settings import CompletionSettings

TRIGGERS = (" ", ".", "(", "[", "{", "=", ",", ":")
"""Besides letters, which editors ask at anyhow."""

_WORD = re.compile(r"\w*\Z")
_FENCE = re.compile(r"`{3,}")
_LABEL_CHARS = 60
# Servers' sort texts are letters and digits: these stand before and behind them.
_FIRST, _LAST = "!", "~~"


@dataclass(frozen=True)
class Look:
    """How the editor shows the items of its menu.

    Args:
        markdown: whether it shows documentation in Markdown.
        label_details: whether it shows ``labelDetails``.
        as_is: whether it can be told to leave indentation alone.
        cuts_plain_text: whether it inserts no more of a plain text than its beginning, and only snippets whole.
    """

    markdown: bool = False
    label_details: bool = False
    as_is: bool = False
    cuts_plain_text: bool = False

    @classmethod
    def of(cls, client: types.InitializeParams) -> Look:
        """How a client that introduces itself does it."""
        document = client.capabilities.text_document
        item = document.completion.completion_item if document and document.completion else None
        if item is None:
            return cls()
        modes = item.insert_text_mode_support
        # Neovim's own completion inserts the first word of a plain text (0.11), or its first line (0.12).
        neovim = client.client_info is not None and client.client_info.name == "Neovim"
        return cls(
            markdown=types.MarkupKind.Markdown in (item.documentation_format or ()),
            label_details=bool(item.label_details_support),
            as_is=modes is not None and types.InsertTextMode.AsIs in modes.value_set,
            cuts_plain_text=neovim and bool(item.snippet_support),
        )


class Menu:
    """The menu of one editor.

    Args:
        client: the editor as it introduced itself.
    """

    def __init__(self, client: types.InitializeParams) -> None:
        document = client.capabilities.text_document
        self._look = Look.of(client)
        self._inline = bool(document and document.inline_completion)

    def inline_asked(self) -> None:
        """The editor has asked for inline completions, whether it had announced that or not."""
        self._inline = True

    def wanted(self, setting: str) -> bool:
        """Whether suggestions go into the menu where ``completion.menu`` is ``setting``."""
        return setting == "always" or (setting == "auto" and not self._inline)

    async def items(
        self,
        session: Suggesting,
        document: Document | None,
        cursor: Cursor | None,
        context: types.CompletionContext | None,
        options: CompletionSettings,
    ) -> types.CompletionList | None:
        """The suggestion as a menu of one item, which is incomplete: the editor shall ask again while one types.

        After ``completion.menu_wait_ms`` an empty menu is answered; what comes later is there for the next key.

        Args:
            session: makes suggestions.
            document: where to complete.
            cursor: the place.
            context: why the editor asks.
            options: the settings in force.
        """
        if document is None or cursor is None or not self.wanted(options.menu) or not worth_asking(cursor, context):
            return None
        making = asyncio.ensure_future(session.complete(document, cursor))
        try:
            done, _ = await asyncio.wait({making}, timeout=options.menu_wait_ms / 1000)
        except asyncio.CancelledError:
            making.cancel()
            raise
        if not done:
            making.add_done_callback(lambda late: late.cancelled() or late.exception())  # it has been answered
            return types.CompletionList(is_incomplete=True, items=[])
        completion = making.result()
        if completion is None:
            return None
        session.feedback.shown(completion, cursor, "menu")
        items = []
        if completion.text:
            items.append(item_of(completion, cursor, document, self._look, first=options.menu_first))
        return types.CompletionList(is_incomplete=True, items=items)


def worth_asking(cursor: Cursor, context: types.CompletionContext | None) -> bool:
    """Whether a menu is of use: anywhere for who calls for it, else behind something that isn't blank."""
    if context is None or context.trigger_kind == types.CompletionTriggerKind.Invoked:
        return True
    line = cursor.text[cursor.line_start : cursor.offset]
    return bool(line.strip()) and not line.endswith(("  ", "\t"))


def item_of(
    completion: Completion, cursor: Cursor, document: Document, look: Look, *, first: bool = False
) -> types.CompletionItem:
    """A suggestion as an item that stands in for the word before the cursor, and that filters keep while one types."""
    found = _WORD.search(cursor.text, cursor.line_start, cursor.offset)
    start = min(completion.start, found.start() if found else cursor.offset)
    text = cursor.text[start : completion.start] + completion.text
    snippet = _snippet(text, cursor.indent) if look.cuts_plain_text else None
    line = text.split("\n", 1)[0].rstrip()
    where = types.Range(document.position_at(start), document.position_at(min(completion.end, cursor.line_end)))
    return types.CompletionItem(
        label=_label(text),
        label_details=types.CompletionItemLabelDetails(description="midline") if look.label_details else None,
        kind=types.CompletionItemKind.Snippet,
        detail="midline",
        documentation=_documentation(text, cursor.language, look),
        preselect=False,
        sort_text=_FIRST if first else _LAST,
        filter_text=line or _label(text),
        insert_text_format=types.InsertTextFormat.Snippet if snippet else types.InsertTextFormat.PlainText,
        insert_text_mode=types.InsertTextMode.AsIs if look.as_is and not snippet else None,
        text_edit=types.TextEdit(where, snippet or text),
        command=types.Command("Accepted", ACCEPTED, arguments=[completion.id]),
    )


def _label(text: str) -> str:
    """The first line that isn't blank, cut short."""
    lines = text.strip().splitlines() or [""]
    line = lines[0].strip()
    cut = len(line) > _LABEL_CHARS or len(lines) > 1
    return line[: _LABEL_CHARS - 1].rstrip() + "…" if cut else line


def _documentation(text: str, language: str, look: Look) -> types.MarkupContent | str:
    """The whole text, as code."""
    if not look.markdown:
        return text
    ticks = "`" * max(3, *(len(run) + 1 for run in _FENCE.findall(text)), 3)
    return types.MarkupContent(types.MarkupKind.Markdown, f"{ticks}{language}\n{text.strip(chr(10))}\n{ticks}")


def _snippet(text: str, indent: str) -> str | None:
    """``text`` as a snippet, to whose lines the editor adds the first one's indentation; None where that is wrong."""
    first, *others = text.split("\n")
    if any(line.strip() and not line.startswith(indent) for line in others):
        return None
    lines = [first, *(line.removeprefix(indent) if line.strip() else "" for line in others)]
    return re.sub(r"([\\$}])", r"\\\1", "\n".join(lines))
