/** The servers of a window: one for each of its folders, with the folder's own settings and index. */
import * as vscode from 'vscode';
import type { Handlers } from './client.ts';
import { isOurs } from './documents.ts';
import { Server } from './server.ts';

export type Hooks = Pick<Handlers, 'provideInlineCompletionItems'> & {
  message(server: Server, ...told: Parameters<Handlers['message']>): void;
};

/**
 * A folder's server is started when a file of it is first in front: a folder that nobody works in costs nothing.
 *
 * What lies in no folder is the first one's; a window without folders has one server.
 */
export class Servers implements vscode.Disposable {
  /** By the URI of their folder. */
  private readonly servers = new Map<string, Server>();
  private readonly changed = new vscode.EventEmitter<Server>();
  private readonly started = new vscode.EventEmitter<Server>();
  private readonly listeners: vscode.Disposable;
  private front: Server;

  /** The state or the status of a server is another one. */
  readonly onDidChange = this.changed.event;
  /** A server answers. */
  readonly onDidStart = this.started.event;

  private readonly output: vscode.LogOutputChannel;
  private readonly names: readonly string[];
  private readonly hooks: Hooks;

  /** @param names of the servers' settings, without `midline.`. */
  constructor(output: vscode.LogOutputChannel, names: readonly string[], hooks: Hooks) {
    this.output = output;
    this.names = names;
    this.hooks = hooks;
    this.front = this.of(vscode.window.activeTextEditor?.document.uri);
    this.listeners = vscode.Disposable.from(
      vscode.window.onDidChangeActiveTextEditor((editor) => this.show(editor)),
      vscode.workspace.onDidChangeWorkspaceFolders(({ removed }) => this.remove(removed)),
      vscode.workspace.onDidChangeConfiguration((event) => this.configure(event)),
      vscode.workspace.onDidGrantWorkspaceTrust(() => {
        for (const server of this.begun()) {
          if (!server.running) {
            void server.start();
          }
        }
      }),
    );
  }

  /** The server of the editor in front, or of the one that was there last. */
  get current(): Server {
    return this.front;
  }

  /** Whose documents are in this folder, or are this document. */
  of(uri: vscode.Uri | undefined): Server {
    const folder = folderOf(uri);
    const key = folder?.uri.toString() ?? '';
    let server = this.servers.get(key);
    if (!server) {
      server = this.make(folder);
      this.servers.set(key, server);
    }
    return server;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.servers.values()].map((server) => server.stop()));
  }

  dispose(): void {
    this.listeners.dispose();
    vscode.Disposable.from(...this.servers.values(), this.changed, this.started).dispose();
  }

  private make(folder: vscode.WorkspaceFolder | undefined): Server {
    const server: Server = new Server(this.output, this.names, folder, {
      message: (level, text) => this.hooks.message(server, level, text),
      provideInlineCompletionItems: this.hooks.provideInlineCompletionItems,
      owns: (uri) => folderOf(uri)?.uri.toString() === folder?.uri.toString(),
    });
    server.onDidChange(() => this.changed.fire(server));
    server.onDidStart(() => this.started.fire(server));
    return server;
  }

  private show(editor: vscode.TextEditor | undefined): void {
    if (!editor || !isOurs(editor.document)) {
      return;
    }
    const server = this.of(editor.document.uri);
    void server.awake();
    if (server !== this.front) {
      this.front = server;
      this.changed.fire(server);
    }
  }

  private remove(folders: readonly vscode.WorkspaceFolder[]): void {
    for (const { uri } of folders) {
      const server = this.servers.get(uri.toString());
      this.servers.delete(uri.toString());
      server?.dispose();
      if (server === this.front) {
        this.front = this.of(vscode.window.activeTextEditor?.document.uri);
        void this.front.start();
      }
    }
  }

  /** All but those of folders that nobody has worked in yet. */
  private begun(): Server[] {
    return [...this.servers.values()].filter(({ state }) => state.state !== 'stopped');
  }

  private configure(event: vscode.ConfigurationChangeEvent): void {
    for (const server of this.begun()) {
      if (event.affectsConfiguration('midline.path', server.folder)) {
        void server.start();
      } else if (event.affectsConfiguration('midline', server.folder)) {
        server.configure();
      }
    }
  }
}

/** The folder that a document belongs to: the innermost that it is in, else the first. */
function folderOf(uri: vscode.Uri | undefined): vscode.WorkspaceFolder | undefined {
  const file = uri?.scheme === 'vscode-notebook-cell' ? uri.with({ scheme: 'file', fragment: '' }) : uri;
  return (file && vscode.workspace.getWorkspaceFolder(file)) ?? vscode.workspace.workspaceFolders?.[0];
}
