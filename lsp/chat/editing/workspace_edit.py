"""Hunks as the edits that LSP knows, as far as a client takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from lsp.chat.editing.hunks import Hunk
from lsp.documents import Document

_ANNOTATION = "midline"


@dataclass(frozen=True)
class Abilities:
    """What of workspace edits a client takes.

    Args:
        versions: edits of a version of a document, which the client refuses for another.
        confirmation: annotations, with which it asks the user first.
        creation: files that an edit creates.
        applies: ``workspace/applyEdit``.
    """

    versions: bool = False
    confirmation: bool = False
    creation: bool = False
    applies: bool = False

    @classmethod
    def of(cls, client: types.ClientCapabilities) -> Abilities:
        """What a client announces."""
        workspace = client.workspace
        edit = workspace.workspace_edit if workspace else None
        if workspace is None or edit is None:
            return cls(applies=bool(workspace and workspace.apply_edit))
        versions = bool(edit.document_changes)
        return cls(
            versions,
            versions and edit.change_annotation_support is not None,
            versions and types.ResourceOperationKind.Create in (edit.resource_operations or ()),
            bool(workspace.apply_edit),
        )


@dataclass(frozen=True)
class Change:
    """What is to become of a document.

    Args:
        document: as it is; one without text and version where it is to be created.
        hunks: in its text.
        label: what the user is asked to confirm, in few words.
        description: and in more.
        creates: whether there is no such file yet.
    """

    document: Document
    hunks: Sequence[Hunk]
    label: str
    description: str
    creates: bool = False

    def hunks_as_dicts(self) -> list[dict[str, Any]]:
        """As the wire has them, in the client's position encoding."""
        return [{"range": self._range(hunk), "old_text": hunk.old, "new_text": hunk.new} for hunk in self.hunks]

    def as_edit(self, able: Abilities) -> types.WorkspaceEdit:
        """As the best kind of edit that the client takes."""
        uri = self.document.uri
        plain = [types.TextEdit(self._range(hunk), hunk.new) for hunk in self.hunks]
        if not able.versions:
            return types.WorkspaceEdit(changes={uri: plain})
        changes: list[Any] = []
        annotation = _ANNOTATION if able.confirmation else None
        if self.creates:
            changes.append(types.CreateFile(uri, annotation_id=annotation))
        edits: list[Any] = [
            types.AnnotatedTextEdit(annotation, one.range, one.new_text) if annotation else one for one in plain
        ]
        named = types.OptionalVersionedTextDocumentIdentifier(uri, self.document.version)
        changes.append(types.TextDocumentEdit(named, edits))
        annotations = {_ANNOTATION: types.ChangeAnnotation(self.label, True, self.description)}
        return types.WorkspaceEdit(
            document_changes=changes, change_annotations=annotations if able.confirmation else None
        )

    def _range(self, hunk: Hunk) -> types.Range:
        return types.Range(self.document.position_at(hunk.start), self.document.position_at(hunk.end))
