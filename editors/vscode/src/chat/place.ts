/** The code that a question is about: the selection of the editor that was last in front. */
import * as vscode from 'vscode';
import { isOurs, linesOf, placeOf, type PlaceParams } from '../documents.ts';
import type { Place } from './messages.ts';

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
    const name = editor.document.uri.path.split('/').pop() ?? '';
    const [first, last] = linesOf(editor.selection);
    const lines = first === last ? `:${last}` : `:${first}-${last}`;
    const selected = !editor.selection.isEmpty;
    return { label: selected ? name + lines : name, selected };
  }

  get params(): PlaceParams | undefined {
    return this.current && placeOf(this.current);
  }

  dispose(): void {
    this.listeners.dispose();
  }

  /** Output, diffs and the like are no code to ask about; the editor before them stays the one. */
  private take(editor: vscode.TextEditor | undefined): void {
    if (editor && isOurs(editor.document)) {
      this.editor = editor;
    }
  }
}
