/** The servers' commands as VS Code's: each is registered once, whichever servers offer it. */
import * as vscode from 'vscode';
import { tellFailure } from './failures.ts';
import type { Servers } from './servers.ts';

type Run = (...args: never[]) => unknown;

export class ServerCommands implements vscode.Disposable {
  private readonly registered = new Map<string, vscode.Disposable>();
  private readonly listener: vscode.Disposable;
  private readonly servers: Servers;

  /** @param own those that the extension carries out itself. */
  constructor(servers: Servers, own: Record<string, Run>) {
    this.servers = servers;
    for (const [name, run] of Object.entries(own)) {
      this.register(name, run);
    }
    this.listener = servers.onDidStart((server) => {
      for (const name of server.running?.initializeResult?.capabilities.executeCommandProvider?.commands ?? []) {
        this.register(name, (...args: unknown[]) => this.execute(name, args));
      }
    });
  }

  dispose(): void {
    vscode.Disposable.from(this.listener, ...this.registered.values()).dispose();
  }

  private register(name: string, run: Run): void {
    if (!this.registered.has(name)) {
      this.registered.set(name, vscode.commands.registerCommand(name, run));
    }
  }

  /** Those of a suggestion are for the server of the document in front, in which it was accepted. */
  private async execute(command: string, args: unknown[]): Promise<unknown> {
    try {
      return await this.servers.current.running?.sendRequest('workspace/executeCommand', { command, arguments: args });
    } catch (error) {
      tellFailure(error);
      return undefined;
    }
  }
}
