"""Suggestions as the items of ``textDocument/inlineCompletion``."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from lsprotocol import types

from lsp.completion.completion import Completion
from lsp.completion.feedback import Feedback
from lsp.documents import Cursor, Document

ACCEPTED = "midline.accepted"


class Suggesting(Protocol):
    """What makes suggestions; ``Session`` does."""

    feedback: Feedback

    async def complete(
        self, document: Document | None, cursor: Cursor | None, *, explicit: bool = False
    ) -> Completion | None:
        """A suggestion at a cursor; None where there is nothing to say."""
        ...


async def inline_items(
    session: Suggesting, document: Document | None, cursor: Cursor | None, context: types.InlineCompletionContext
) -> types.InlineCompletionList | None:
    """The suggestion, and its alternatives if the user asked for it; None where midline has nothing to say.

    An empty list takes away what the editor shows; None, which may be the answer to an outdated request, doesn't.
    """
    explicit = context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    selected = context.selected_completion_info
    if document is None or cursor is None:
        await session.complete(document, cursor)  # it knows why nothing can be said
        return None
    if cursor.version == document.version:
        session.feedback.asked(cursor)
    asked = with_selected(document, cursor, selected) if selected else cursor
    completion = await session.complete(document, asked, explicit=explicit)
    if completion is None:
        return None
    session.feedback.shown(completion, asked)
    if not completion.text:
        return types.InlineCompletionList([])
    if selected is None:
        begin, where = "", types.Range(document.position_at(completion.start), document.position_at(completion.end))
    else:
        begin, where = selected.text, _beyond(document, cursor, selected, completion.end - completion.start)
    accepted = types.Command("Accepted", ACCEPTED, arguments=[completion.id])
    texts = (completion.text, *completion.alternatives)
    return types.InlineCompletionList(
        [types.InlineCompletionItem(begin + text, None, where, accepted) for text in texts]
    )


def with_selected(document: Document, cursor: Cursor, selected: types.SelectedCompletionInfo) -> Cursor:
    """The cursor as if the item that is selected in the editor's menu had been accepted."""
    start = document.offset_at_position(selected.range.start)
    end = max(document.offset_at_position(selected.range.end), start, cursor.offset)
    text = cursor.text[:start] + selected.text + cursor.text[end:]
    return replace(cursor, text=text, offset=start + len(selected.text))


def _beyond(document: Document, cursor: Cursor, selected: types.SelectedCompletionInfo, characters: int) -> types.Range:
    """What the selected item replaces, and so many characters behind it."""
    end = max(document.offset_at_position(selected.range.end), cursor.offset)
    return types.Range(selected.range.start, document.position_at(end + characters))
