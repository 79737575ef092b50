/** Parts of an edit in a document of VS Code. */
import * as vscode from 'vscode';
import type { Region } from './regions.ts';

export interface Part extends Region {
  readonly id: number;
}

export function rangeIn(document: vscode.TextDocument, { start, end }: Region): vscode.Range {
  return new vscode.Range(document.positionAt(start), document.positionAt(end));
}

/** The part at the cursor, else the next one below it, else the first. */
export function nearest({ document, selection }: vscode.TextEditor, parts: readonly Part[]): Part | undefined {
  const { line } = selection.active;
  return parts.find((part) => rangeIn(document, part).end.line > line || rangeIn(document, part).start.line >= line) ?? parts[0];
}
