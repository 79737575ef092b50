/** Code out of an answer, into the editor: inserted at the cursor, or proposed in the selection's place. */
import * as vscode from 'vscode';
import { linesOf } from '../documents.ts';
import { hunksBetween } from '../edits/lines.ts';
import type { Proposals } from '../edits/proposals.ts';

export async function insertAtCursor(editor: vscode.TextEditor | undefined, code: string): Promise<void> {
  if (!editor) {
    return noEditor();
  }
  await editor.edit((edit) => edit.insert(editor.selection.active, code));
  await vscode.window.showTextDocument(editor.document, editor.viewColumn);
}

/** Show code in the place of the selected lines; without a selection, as new lines above the cursor's. */
export async function proposeCode(editor: vscode.TextEditor | undefined, code: string, proposals: Proposals): Promise<void> {
  if (!editor) {
    return noEditor();
  }
  const { document, selection } = editor;
  const range = selection.isEmpty
    ? new vscode.Range(selection.active.line, 0, selection.active.line, 0)
    : wholeLines(document, selection);
  const newline = document.eol === vscode.EndOfLine.CRLF ? '\r\n' : '\n';
  const old_text = document.getText(range);
  const ends = selection.isEmpty || /[\r\n]$/.test(old_text);
  const new_text = code.replace(/\r\n|\r|\n/g, newline).replace(/[\r\n]+$/, '') + (ends ? newline : '');
  await proposals.show({
    uri: document.uri,
    version: document.version,
    hunks: hunksBetween(old_text, new_text, range.start.line),
    title: vscode.l10n.t('from the chat'),
  });
}

function wholeLines(document: vscode.TextDocument, selection: vscode.Selection): vscode.Range {
  const [first, last] = linesOf(selection);
  return new vscode.Range(new vscode.Position(first - 1, 0), document.lineAt(last - 1).rangeIncludingLineBreak.end);
}

function noEditor(): void {
  void vscode.window.showInformationMessage(vscode.l10n.t('midline: open the file that it belongs in first.'));
}
