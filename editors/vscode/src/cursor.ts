/** Tells a document's server where the cursor comes to rest, so that it has read that place before anything is typed there. */
import * as vscode from 'vscode';
import { isOurs } from './documents.ts';
import type { Servers } from './servers.ts';

const REST_MS = 150;

export function watchCursor(servers: Servers): vscode.Disposable {
  let timer: NodeJS.Timeout | undefined;
  let typed = false;
  const rest = (editor: vscode.TextEditor | undefined): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const cursorOnly = !typed; // typing asks for suggestions by itself
      typed = false;
      if (cursorOnly && editor && editor === vscode.window.activeTextEditor && isOurs(editor.document)) {
        const { line, character } = editor.selection.active;
        const textDocument = { uri: editor.document.uri.toString() };
        void servers.of(editor.document.uri).running?.sendNotification('midline/cursorMoved', { textDocument, position: { line, character } });
      }
    }, REST_MS);
  };
  return vscode.Disposable.from(
    vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => rest(textEditor)),
    vscode.window.onDidChangeActiveTextEditor(rest),
    vscode.workspace.onDidChangeTextDocument(({ document }) => {
      typed ||= document === vscode.window.activeTextEditor?.document;
    }),
    servers.onDidStart(() => rest(vscode.window.activeTextEditor)),
    { dispose: () => clearTimeout(timer) },
  );
}
