/** Which documents are the server's, and how its requests name a place in one. */
import type * as vscode from 'vscode';
import type { Position } from './edits/hunks.ts';

/** Files, what was never saved, and cells of notebooks; not output, diffs and the like. */
export const SCHEMES = ['file', 'untitled', 'vscode-notebook-cell'] as const;

export interface PlaceParams {
  readonly textDocument: { readonly uri: string; readonly version?: number | null };
  readonly selection?: { readonly start: Position; readonly end: Position };
}

export function isOurs(document: vscode.TextDocument): boolean {
  return (SCHEMES as readonly string[]).includes(document.uri.scheme);
}

/** The selection of an editor; an empty one stands for the definition around it. */
export function placeOf({ document, selection }: vscode.TextEditor): PlaceParams {
  const position = ({ line, character }: vscode.Position) => ({ line, character });
  return {
    textDocument: { uri: document.uri.toString(), version: document.version },
    selection: { start: position(selection.start), end: position(selection.end) },
  };
}

/** The selected lines, from 1, the last one included. */
export function linesOf({ start, end }: { readonly start: Position; readonly end: Position }): [number, number] {
  return [start.line + 1, end.character === 0 && end.line > start.line ? end.line : end.line + 1];
}
