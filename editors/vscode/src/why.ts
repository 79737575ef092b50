/** All about the last suggestion, or why there was none, as a document. */
import * as vscode from 'vscode';
import { tellFailure } from './failures.ts';
import type { Server } from './server.ts';

export async function showWhy(server: Server): Promise<void> {
  try {
    const why = await server.running?.sendRequest<Record<string, unknown>>('workspace/executeCommand', { command: 'midline.why' });
    if (why) {
      const content = `${JSON.stringify(why, null, 2)}\n`;
      await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: 'json', content }));
    } else {
      await vscode.commands.executeCommand('midline.menu');
    }
  } catch (error) {
    tellFailure(error);
  }
}
