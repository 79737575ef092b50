/** Messages with their cures, each told once until it changes; terminals get commands typed, never run. */
import * as vscode from 'vscode';
import { commandIn } from './status/describe.ts';
import type { Server } from './server.ts';

export class Cures {
  private readonly told = new Set<string>();
  private readonly server: Server;

  constructor(server: Server) {
    this.server = server;
  }

  /** Tell what the server's own state is, where that is a fault. */
  watch(): vscode.Disposable {
    return vscode.Disposable.from(
      this.server.onDidStart(() => this.told.clear()),
      this.server.onDidChange(() => {
        const state = this.server.state;
        if ('message' in state) {
          this.tell('error', state.message);
        }
      }),
    );
  }

  /** Show a message, unless it is the one shown before, with buttons for what can be done about it. */
  tell(level: 'error' | 'warning' | 'info', message: string): void {
    if (!this.told.has(message)) {
      this.told.add(message);
      void this.show(level, message);
    }
  }

  /** The buttons that a fault wants. */
  async show(level: 'error' | 'warning' | 'info', message: string): Promise<void> {
    const t = vscode.l10n.t;
    const cures = new Map<string, () => unknown>();
    const command = commandIn(message);
    if (this.server.state.state === 'missing') {
      cures.set(t('Set Up…'), () => vscode.commands.executeCommand('midline.setUp'));
      cures.set(t('Choose Program…'), () => vscode.commands.executeCommand('midline.choosePath'));
    } else if (this.server.state.state === 'crashed') {
      cures.set(t('Show Output'), () => vscode.commands.executeCommand('midline.showOutput'));
      cures.set(t('Restart'), () => vscode.commands.executeCommand('midline.restart'));
    } else if (command) {
      cures.set(t('Open Terminal'), () => this.inTerminal(command));
      cures.set(t('Copy Command'), () => vscode.env.clipboard.writeText(this.commandLine(command)));
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
  inTerminal(command: string): void {
    type(this.commandLine(command));
  }

  private commandLine(command: string): string {
    return `${quoted(this.server.program || 'midline')} ${command}`;
  }
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
