/** An edit shown beside what it changes, until the user accepts or discards it. Nothing is changed before. */
import * as vscode from 'vscode';
import { size } from './hunks.ts';
import { existing, fits, outcome, rangeOf, type Proposal } from './proposal.ts';

const SCHEME = 'midline-edit';

interface Open extends Proposal {
  readonly exists: boolean;
  readonly virtual: vscode.Uri;
  readonly text: string;
}

export class Previews implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private open: Open | undefined;
  private count = 0;
  private hint: vscode.Disposable | undefined;
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly registered: vscode.Disposable;
  readonly onDidChange = this.changed.event;

  constructor() {
    this.registered = vscode.Disposable.from(
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => {
        if (this.open && closed.some((tab) => shows(tab, this.open!.virtual))) {
          this.forget();
        }
      }),
    );
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.open && uri.toString() === this.open.virtual.toString() ? this.open.text : '';
  }

  /**
   * Show an edit. One is shown at a time; an earlier one is discarded.
   *
   * @returns false where the text has changed since the edit was made.
   */
  async show(proposal: Proposal): Promise<boolean> {
    await this.discard();
    const { uri, hunks } = proposal;
    const document = await existing(uri);
    const text = outcome(proposal, document);
    if (text === undefined) {
      return false;
    }
    const query = String(++this.count);
    const virtual = uri.with({ scheme: SCHEME, query });
    this.open = { ...proposal, exists: document !== undefined, virtual, text };
    const before = document ? uri : uri.with({ scheme: SCHEME, query: 'nothing' });
    const name = vscode.workspace.asRelativePath(uri).split('/').pop() ?? '';
    await vscode.commands.executeCommand('setContext', 'midline.previewing', true);
    await vscode.commands.executeCommand('vscode.diff', before, virtual, `midline: ${name} ${size(hunks)} (${proposal.title})`, {
      preview: true,
    } satisfies vscode.TextDocumentShowOptions);
    const keys = process.platform === 'darwin' ? ['⌘↩', 'Esc'] : ['Ctrl+Enter', 'Esc'];
    this.hint = vscode.window.setStatusBarMessage(`$(diff) ${vscode.l10n.t('midline: {0} accepts the edit, {1} discards it', ...keys)}`);
    return true;
  }

  get showing(): boolean {
    return this.open !== undefined;
  }

  /** Apply what is shown, unless the text has changed since. */
  async accept(): Promise<void> {
    const open = this.open;
    if (!open) {
      return;
    }
    const document = await existing(open.uri);
    if (!fits(open, document) || (document === undefined) === open.exists) {
      void vscode.window.showWarningMessage(
        vscode.l10n.t('midline: the text has changed since this edit was made, so it is not applied. Ask for it again.'),
      );
      return;
    }
    const edit = new vscode.WorkspaceEdit();
    if (!document) {
      edit.createFile(open.uri, { ignoreIfExists: true });
    }
    for (const hunk of open.hunks) {
      edit.replace(open.uri, rangeOf(hunk), hunk.new_text);
    }
    if (!(await vscode.workspace.applyEdit(edit))) {
      void vscode.window.showWarningMessage(vscode.l10n.t('midline: the edit could not be applied. The text is as it was.'));
      return;
    }
    await this.close(open.virtual);
    const line = open.hunks[0]?.range.start.line ?? 0;
    await vscode.window.showTextDocument(open.uri, { selection: new vscode.Range(line, 0, line, 0) });
  }

  /** Take away what is shown. */
  async discard(): Promise<void> {
    if (this.open) {
      await this.close(this.open.virtual);
    }
  }

  dispose(): void {
    this.registered.dispose();
    this.changed.dispose();
  }

  private async close(virtual: vscode.Uri): Promise<void> {
    this.forget();
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs).filter((tab) => shows(tab, virtual));
    await vscode.window.tabGroups.close(tabs);
  }

  private forget(): void {
    this.open = undefined;
    this.hint?.dispose();
    void vscode.commands.executeCommand('setContext', 'midline.previewing', false);
  }
}

function shows(tab: vscode.Tab, virtual: vscode.Uri): boolean {
  return tab.input instanceof vscode.TabInputTextDiff && tab.input.modified.toString() === virtual.toString();
}
