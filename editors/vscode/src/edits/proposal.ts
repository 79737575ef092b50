/** An edit that the user has yet to decide on. */
import * as vscode from 'vscode';
import { applied, Stale, type Hunk } from './hunks.ts';

export interface Proposal {
  readonly uri: vscode.Uri;
  /** The version of the document that the hunks are for; undefined where no editor has it open. */
  readonly version: number | undefined;
  readonly hunks: readonly Hunk[];
  /** What was asked for, for the title. */
  readonly title: string;
}

/** Whether the document is still the one that the edit was made for. */
export function fits(proposal: Proposal, document: vscode.TextDocument | undefined): boolean {
  return proposal.version === undefined || proposal.version === document?.version;
}

/** The document's text with the edit in it; undefined where that text has changed since the edit was made. */
export function outcome(proposal: Proposal, document: vscode.TextDocument | undefined): string | undefined {
  if (!fits(proposal, document)) {
    return undefined;
  }
  try {
    return applied(document?.getText() ?? '', proposal.hunks);
  } catch (error) {
    if (error instanceof Stale) {
      return undefined;
    }
    throw error;
  }
}

/** The document; undefined for a file that the edit creates. */
export async function existing(uri: vscode.Uri): Promise<vscode.TextDocument | undefined> {
  try {
    return await vscode.workspace.openTextDocument(uri);
  } catch {
    return undefined;
  }
}

export function rangeOf({ range: { start, end } }: Hunk): vscode.Range {
  return new vscode.Range(start.line, start.character, end.line, end.character);
}
