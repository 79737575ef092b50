/** `midline/edit`: asked for with an instruction or by a code action, and shown for the user to decide on. */
import * as vscode from 'vscode';
import type { ProgressType } from 'vscode-languageclient/node';
import { linesOf, placeOf, type PlaceParams } from '../documents.ts';
import { tellFailure } from '../failures.ts';
import type { Servers } from '../servers.ts';
import type { Hunk } from './hunks.ts';
import type { Proposals } from './proposals.ts';

/** The parameters of `midline/edit`. */
export interface EditParams extends PlaceParams {
  readonly command?: string;
  readonly message?: string;
  readonly diagnostics?: readonly unknown[];
}

interface Answer {
  readonly uri: string;
  readonly version?: number | null;
  readonly hunks: readonly Hunk[];
}

type Piece = { readonly kind: 'edit'; readonly text: string } | { readonly kind: 'attempt'; readonly number: number };

let tokens = 0;

export class Edits {
  private readonly servers: Servers;
  private readonly proposals: Proposals;

  constructor(servers: Servers, proposals: Proposals) {
    this.servers = servers;
    this.proposals = proposals;
  }

  /** Ask the user what shall change in the selection, or in what `given` names. */
  async ask(given?: EditParams): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const params = given ?? (editor && placeOf(editor));
    if (!params) {
      void vscode.window.showInformationMessage(vscode.l10n.t('midline: open a file and select what shall change.'));
      return;
    }
    const lines = params.selection && told(params.selection);
    const message = await vscode.window.showInputBox({
      title: lines ? vscode.l10n.t('Edit {0} with midline', lines) : vscode.l10n.t('Edit with midline'),
      prompt: vscode.l10n.t('What shall change? You accept or discard each part of it.'),
      placeHolder: vscode.l10n.t('For example: raise a ValueError if the list is empty'),
      ignoreFocusOut: true,
    });
    if (message?.trim()) {
      await this.run({ ...params, command: 'edit', message: message.trim() });
    }
  }

  /** Have an edit made and show it. */
  async run(params: EditParams): Promise<void> {
    const title = params.message || params.command || 'edit';
    const answer = await this.request(params, title);
    if (!answer) {
      return;
    }
    if (answer.hunks.length === 0) {
      void vscode.window.showInformationMessage(vscode.l10n.t('midline: the model would change nothing.'));
      return;
    }
    const proposal = {
      uri: vscode.Uri.parse(answer.uri),
      version: answer.version ?? undefined,
      hunks: answer.hunks,
      title: title.length > 40 ? `${title.slice(0, 39)}…` : title,
    };
    if (!(await this.proposals.show(proposal))) {
      void vscode.window.showWarningMessage(vscode.l10n.t('midline: the text has changed meanwhile. Ask for the edit again.'));
    }
  }

  private async request(params: EditParams, title: string): Promise<Answer | undefined> {
    const client = await this.servers.of(vscode.Uri.parse(params.textDocument.uri)).awake();
    if (!client) {
      void vscode.commands.executeCommand('midline.menu');
      return undefined;
    }
    const token = `midline-edit-${++tokens}`;
    const options = { location: vscode.ProgressLocation.Notification, title: `midline: ${title}`, cancellable: true };
    return vscode.window.withProgress(options, async (progress, cancel) => {
      let lines = 0;
      const listening = client.onProgress(PIECES, token, (piece) => {
        lines = piece.kind === 'attempt' ? 0 : lines + (piece.text.match(/\n/g)?.length ?? 0);
        const again = piece.kind === 'attempt' && piece.number > 1;
        progress.report({ message: again ? vscode.l10n.t('once more') : vscode.l10n.t('{0} lines written', lines) });
      });
      try {
        return await client.sendRequest<Answer>('midline/edit', { ...params, partialResultToken: token }, cancel);
      } catch (error) {
        tellFailure(error);
        return undefined;
      } finally {
        listening.dispose();
      }
    });
  }
}

/** `ProgressType` of the pieces; only its type parameter counts. */
const PIECES = {} as ProgressType<Piece>;

function told(selection: NonNullable<EditParams['selection']>): string {
  const [first, last] = linesOf(selection);
  return first === last ? vscode.l10n.t('line {0}', last) : vscode.l10n.t('lines {0} to {1}', first, last);
}
