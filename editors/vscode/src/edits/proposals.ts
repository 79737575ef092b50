/** Where an edit is shown: in the text itself, or beside it in a diff editor where that can't be or isn't wanted. */
import * as vscode from 'vscode';
import { InlineEdits } from './inline.ts';
import { Previews } from './preview.ts';
import { existing, type Proposal } from './proposal.ts';

export class Proposals implements vscode.Disposable {
  readonly inline: InlineEdits;
  private readonly previews = new Previews();

  constructor(state: vscode.Memento) {
    this.inline = new InlineEdits(state);
  }

  /** @returns false where the text has changed since the edit was made. */
  async show(proposal: Proposal): Promise<boolean> {
    return (await inPlace(proposal.uri)) ? this.inline.show(proposal) : this.previews.show(proposal);
  }

  async accept(): Promise<void> {
    await (this.isInFront() ? this.inline.decideAll(true) : this.previews.accept());
  }

  async discard(): Promise<void> {
    await (this.isInFront() ? this.inline.decideAll(false) : this.previews.discard());
  }

  dispose(): void {
    this.inline.dispose();
    this.previews.dispose();
  }

  private isInFront(): boolean {
    const document = vscode.window.activeTextEditor?.document;
    return document !== undefined && this.inline.pending(document).length > 0;
  }
}

/** New files have nothing that could be marked, cells of notebooks no room for it, and buttons need CodeLens. */
async function inPlace(uri: vscode.Uri): Promise<boolean> {
  const setting = vscode.workspace.getConfiguration('midline', uri).get('edits.display');
  const lenses = vscode.workspace.getConfiguration('editor', uri).get('codeLens');
  const marked = uri.scheme === 'file' || uri.scheme === 'untitled';
  return setting !== 'diff' && lenses !== false && marked && (await existing(uri)) !== undefined;
}
