/** One server's life: found, started, watched, started again, given up. */
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as vscode from 'vscode';
import type { Client, Handlers } from './client.ts';
import { find, type Found } from './find.ts';
import { activeEnvironment } from './python.ts';
import { Restarts } from './restarts.ts';
import { chosen, type Values } from './settings.ts';
import type { Server as State, Status } from './status/describe.ts';

type Hooks = Pick<Handlers, 'message' | 'owns' | 'provideInlineCompletionItems'>;

const REFRESH_MS = 1_500;

export class Server implements vscode.Disposable {
  private client: Client | undefined;
  private readonly restarts = new Restarts();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly started = new vscode.EventEmitter<Client>();
  private timer: NodeJS.Timeout | undefined;
  private refreshing: NodeJS.Timeout | undefined;
  /** Counts starts and stops: a start that was overtaken ends itself. */
  private life = 0;
  private settled: Promise<unknown> = Promise.resolve();

  /** The state or the status is another one. */
  readonly onDidChange = this.changed.event;
  /** A server answers. */
  readonly onDidStart = this.started.event;
  state: State = { state: 'stopped' };
  status: Status | undefined;
  /** The program that runs, or ran last. */
  program = '';
  /** What the server calls its version. */
  version: string | undefined;

  private readonly output: vscode.LogOutputChannel;
  private readonly hooks: Hooks;
  private readonly names: readonly string[];
  /** The one that it serves; undefined where the window has none. */
  readonly folder: vscode.WorkspaceFolder | undefined;

  /**
   * @param names of the server's settings, without `midline.`.
   */
  constructor(output: vscode.LogOutputChannel, names: readonly string[], folder: vscode.WorkspaceFolder | undefined, hooks: Hooks) {
    this.output = output;
    this.names = names;
    this.folder = folder;
    this.hooks = hooks;
  }

  /** The client, once its server answers. */
  get running(): Client | undefined {
    return this.state.state === 'running' ? this.client : undefined;
  }

  /** Start the server, anew if it runs. */
  async start(): Promise<void> {
    this.restarts.reset();
    await this.begin();
  }

  /** The client, once the server answers, which is started if it has not been yet; undefined where it can't be. */
  async awake(): Promise<Client | undefined> {
    if (this.state.state === 'stopped') {
      await this.start();
    }
    while (this.state.state === 'starting') {
      await new Promise<void>((resolve) => {
        const listener = this.onDidChange(() => {
          listener.dispose();
          resolve();
        });
      });
    }
    return this.running;
  }

  async stop(): Promise<void> {
    this.life++;
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined;
    this.set({ state: 'stopped' });
    // One after the other: commands that the old server registered must be gone before the new one brings its own.
    this.settled = this.settled.then(() => client?.dispose().catch(() => undefined));
    await this.settled;
  }

  /** Ask for the figures before long: the server tells them by itself only when the engine's state changes. */
  refresh(): void {
    this.refreshing ??= setTimeout(() => {
      this.refreshing = undefined;
      const life = this.life;
      this.running?.sendRequest<Status>('midline/status', {}).then((status) => this.told(life, status), () => undefined);
    }, REFRESH_MS);
  }

  /** The settings have changed. */
  configure(): void {
    const settings = { midline: this.settings() };
    void this.running?.sendNotification('workspace/didChangeConfiguration', { settings });
  }

  dispose(): void {
    void this.stop();
    clearTimeout(this.refreshing);
    this.changed.dispose();
    this.started.dispose();
  }

  private async begin(): Promise<void> {
    const stopped = this.stop();
    const life = this.life;
    await stopped;
    this.set({ state: 'starting' });
    const found = await this.find();
    if (life !== this.life) {
      return;
    }
    if (found.program === undefined) {
      this.set({ state: 'missing', message: missing(found) });
      return;
    }
    this.program = found.program;
    const where = this.folder ? ` for ${this.folder.name}` : '';
    this.output.info(`starting ${found.program} serve${where} (found by: ${found.by})`);
    const { makeClient } = await import('./client.ts');
    const began = Date.now();
    const ended = once(() => this.ended(life, Date.now() - began));
    const client = makeClient(found.program, this.output, this.folder, {
      ...this.hooks,
      status: (status) => this.told(life, status),
      closed: ended,
      settings: () => this.settings(),
    });
    this.client = client;
    try {
      await client.start();
    } catch (error) {
      this.output.error(`the server did not start: ${String(error)}`);
      ended();
      return;
    }
    if (life === this.life) {
      this.version = client.initializeResult?.serverInfo?.version;
      this.set({ state: 'running' });
      this.started.fire(client);
    }
  }

  private ended(life: number, ranMs: number): void {
    if (life !== this.life) {
      return; // it was asked to
    }
    const delay = this.restarts.next(ranMs);
    if (delay === undefined) {
      this.life++;
      this.client = undefined;
      const message = vscode.l10n.t('midline has stopped five times in a row, and is not started again. Its output says why.');
      this.set({ state: 'crashed', message });
      return;
    }
    this.output.warn(`the server has stopped; it is started again in ${delay / 1000} s`);
    this.set({ state: 'starting' });
    this.timer = setTimeout(() => void this.begin(), delay);
  }

  private told(life: number, status: Status): void {
    if (life === this.life) {
      this.status = status;
      this.changed.fire();
    }
  }

  private set(state: State): void {
    this.state = state;
    if (state.state !== 'running') {
      this.status = undefined;
    }
    this.changed.fire();
  }

  private find(): Promise<Found> {
    // Its own folder first: its environment comes before those of others.
    const own = this.folder ? [this.folder] : [];
    const others = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.toString() !== this.folder?.uri.toString());
    const folders = [...own, ...others].filter((folder) => folder.uri.scheme === 'file');
    return find({
      setting: vscode.workspace.getConfiguration('midline', this.folder).get('path', '').trim(),
      folders: folders.map((folder) => folder.uri.fsPath),
      trusted: vscode.workspace.isTrusted,
      searchPath: process.env.PATH ?? '',
      home: os.homedir(),
      windows: process.platform === 'win32',
      python: () => activeEnvironment(folders[0]?.uri),
      runs,
    });
  }

  private settings(): Record<string, unknown> {
    const configuration = vscode.workspace.getConfiguration('midline', this.folder);
    return chosen(this.names, (name) => configuration.inspect(name) as Values | undefined);
  }
}

function missing(found: Extract<Found, { program: undefined }>): string {
  return found.wrongSetting
    ? vscode.l10n.t('midline.path names {0}, which is no program that can be run. Correct the setting, or empty it.', found.wrongSetting)
    : vscode.l10n.t("midline's program is not on this machine, or not where it is looked for. Set it up, or say where it is.");
}

async function runs(file: string): Promise<boolean> {
  try {
    await fs.access(file, fs.constants.X_OK);
    return (await fs.stat(file)).isFile();
  } catch {
    return false;
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) {
      done = true;
      work();
    }
  };
}
