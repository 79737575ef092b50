/** Messages with their cures, each told once until it changes; terminals get commands typed, never run. */
import * as vscode from 'vscode';
import { commandIn } from './status/describe.ts';
import type { Server } from './server.ts';
import type { Servers } from './servers.ts';

export class Cures {
  private readonly told = new Set<string>();
  private readonly servers: Servers;

  constructor(servers: Servers) {
    this.servers = servers;
  }

  /** Tell what a server's own state is, where that is a fault. */
  watch(): vscode.Disposable {
    return vscode.Disposable.from(
      this.servers.onDidStart(() => this.told.clear()),
      this.servers.onDidChange((server) => {
        if ('message' in server.state) {
          this.tell(server, 'error', server.state.message);
        }
      }),
    );
  }

  /** Show a message, unless it is the one shown before, with buttons for what can be done about it. */
  tell(server: Server, level: 'error' | 'warning' | 'info', message: string): void {
    if (!this.told.has(message)) {
      this.told.add(message);
      void this.show(server, level, message);
    }
  }

  /** The buttons that a fault wants. */
  async show(server: Server, level: 'error' | 'warning' | 'info', message: string): Promise<void> {
    const t = vscode.l10n.t;
    const cures = new Map<string, () => unknown>();
    const command = commandIn(message);
    if (server.state.state === 'missing') {
      cures.set(t('Set Up…'), () => vscode.commands.executeCommand('midline.setUp'));
      cures.set(t('Choose Program…'), () => vscode.commands.executeCommand('midline.choosePath'));
    } else if (server.state.state === 'crashed') {
      cures.set(t('Show Output'), () => vscode.commands.executeCommand('midline.showOutput'));
      cures.set(t('Restart'), () => vscode.commands.executeCommand('midline.restart'));
    } else if (command) {
      cures.set(t('Open Terminal'), () => this.inTerminal(server, command));
      cures.set(t('Copy Command'), () => vscode.env.clipboard.writeText(commandLine(server, command)));
    }
    const shows = {
      error: vscode.window.showErrorMessage,
      warning: vscode.window.showWarningMessage,
      info: vscode.window.showInformationMessage,
    };
    const answer = await shows[level](message, ...cures.keys());
    await cures.get(answer ?? '')?.();
  }

  /** Type one of midline's commands in a terminal. It is the user who runs it: it may use the network. */
  inTerminal(server: Server, command: string): void {
    type(commandLine(server, command));
  }
}

function commandLine(server: Server, command: string): string {
  return `${quoted(server.program || 'midline')} ${command}`;
}

/** Type a command in midline's terminal, without running it. */
export function type(command: string): void {
  const terminal = vscode.window.terminals.find((one) => one.name === 'midline') ?? vscode.window.createTerminal('midline');
  terminal.show();
  terminal.sendText(command, false);
}

function quoted(program: string): string {
  return /^[\w@%+=:,./-]+$/.test(program) ? program : `"${program}"`;
}

/** The walkthrough of the first minute. */
export async function setUp(): Promise<void> {
  await vscode.commands.executeCommand('workbench.action.openWalkthrough', 'midline.midline#start', false);
}

/** Have the user choose the program. */
export async function choosePath(): Promise<void> {
  const [file] = (await vscode.window.showOpenDialog({ title: vscode.l10n.t("Where is midline's program?") })) ?? [];
  if (file) {
    await vscode.workspace.getConfiguration('midline').update('path', file.fsPath, vscode.ConfigurationTarget.Global);
  }
}
