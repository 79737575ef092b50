/** A message for the staged changes, into the input of the Source Control view. */
import * as vscode from 'vscode';
import { tellFailure } from './failures.ts';
import type { Servers } from './servers.ts';

/** The little of Git's API that is used. */
interface Repository {
  readonly rootUri: vscode.Uri;
  readonly inputBox: { value: string };
}
interface GitApi {
  readonly repositories: readonly Repository[];
}

export async function writeCommitMessage(servers: Servers, source?: { rootUri?: vscode.Uri }): Promise<void> {
  const repository = await repositoryOf(source);
  const client = repository && (await servers.of(repository.rootUri).awake());
  if (!repository || !client) {
    void vscode.window.showInformationMessage(
      repository ? vscode.l10n.t('midline is not running.') : vscode.l10n.t('midline: no Git repository is open.'),
    );
    return;
  }
  const title = vscode.l10n.t('midline: writing a commit message');
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  const params = { command: 'midline.commitMessage', arguments: [{}] };
  const answer = await vscode.window.withProgress(options, async (_, cancel) => {
    try {
      return await client.sendRequest<{ message?: string }>('workspace/executeCommand', params, cancel);
    } catch (error) {
      tellFailure(error);
      return undefined;
    }
  });
  const message = answer?.message?.trim();
  if (message && (await mayReplace(repository.inputBox.value, message))) {
    repository.inputBox.value = message;
  }
}

/** What the user wrote is not overwritten unasked. */
async function mayReplace(written: string, message: string): Promise<boolean> {
  if (!written.trim() || written.trim() === message) {
    return true;
  }
  const replace = vscode.l10n.t('Replace');
  const question = vscode.l10n.t('Replace the commit message that you have written?');
  return (await vscode.window.showWarningMessage(question, { modal: true, detail: message }, replace)) === replace;
}

async function repositoryOf(source?: { rootUri?: vscode.Uri }): Promise<Repository | undefined> {
  const extension = vscode.extensions.getExtension<{ getAPI(version: 1): GitApi }>('vscode.git');
  const git = (await extension?.activate())?.getAPI(1);
  const root = source?.rootUri?.toString();
  return git?.repositories.find((one) => one.rootUri.toString() === root) ?? git?.repositories[0];
}
