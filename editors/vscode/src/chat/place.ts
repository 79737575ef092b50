/** The code that a question is about: the selection of the editor that was last in front. */
import * as vscode from 'vscode';
import type { EditParams } from '../edits/requests.ts';
import type { Place } from './messages.ts';

const SCHEMES = new Set(['file', 'untitled', 'vscode-notebook-cell']);

export class CurrentPlace implements vscode.Disposable {
  private editor: vscode.TextEditor | undefined;
  private readonly listeners: vscode.Disposable;

  constructor(changed: () => void) {
    this.take(vscode.window.activeTextEditor);
    this.listeners = vscode.Disposable.from(
      vscode.window.onDidChangeActiveTextEditor((editor) => {
        this.take(editor);
        changed();
      }),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
        if (textEditor === this.editor) {
          changed();
        }
      }),
    );
  }

  /** The editor, also while the chat has the focus; undefined once it is gone. */
  get current(): vscode.TextEditor | undefined {
    return this.editor && vscode.window.visibleTextEditors.includes(this.editor) ? this.editor : undefined;
  }

  get shown(): Place | undefined {
    const editor = this.current;
    if (!editor) {
      return undefined;
    }
    const { start, end, isEmpty } = editor.selection;
    const name = editor.document.uri.path.split('/').pop() ?? '';
    const last = end.character === 0 && end.line > start.line ? end.line : end.line + 1;
    const lines = isEmpty ? '' : start.line + 1 === last ? `:${last}` : `:${start.line + 1}-${last}`;
    return { label: name + lines, selected: !isEmpty };
  }

  get params(): EditParams | undefined {
    const editor = this.current;
    if (!editor) {
      return undefined;
    }
    const { document, selection } = editor;
    const position = ({ line, character }: vscode.Position) => ({ line, character });
    return {
      textDocument: { uri: document.uri.toString(), version: document.version },
      selection: { start: position(selection.start), end: position(selection.end) },
    };
  }

  dispose(): void {
    this.listeners.dispose();
  }

  /** Output, diffs and the like are no code to ask about; the editor before them stays the one. */
  private take(editor: vscode.TextEditor | undefined): void {
    if (editor && SCHEMES.has(editor.document.uri.scheme)) {
      this.editor = editor;
    }
  }
}
