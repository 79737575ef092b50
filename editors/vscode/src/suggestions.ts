/** Which requests for suggestions go to the server, and what the server is told of those that were shown. */
import * as vscode from 'vscode';
import { Partial } from './partial.ts';
import { wants, withLanguage } from './settings.ts';
import type { Servers } from './servers.ts';
import type { Switches } from './status/describe.ts';

type Next = (
  document: vscode.TextDocument,
  position: vscode.Position,
  context: vscode.InlineCompletionContext,
  token: vscode.CancellationToken,
) => vscode.ProviderResult<vscode.InlineCompletionItem[] | vscode.InlineCompletionList>;

/** Who typed so long ago may still wait for a suggestion. */
const TYPING_MS = 60_000;
const SNOOZES_MIN = [5, 15, 60];

export class Suggestions implements vscode.Disposable {
  private snoozedUntil = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly partial = new Partial();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly listener: vscode.Disposable;
  private servers: Servers | undefined;
  private typed: { readonly document: vscode.TextDocument; readonly at: number } | undefined;

  readonly onDidChange = this.changed.event;

  constructor() {
    this.listener = vscode.workspace.onDidChangeTextDocument((event) => this.edited(event));
  }

  attach(servers: Servers): vscode.Disposable {
    this.servers = servers;
    const wereReady = new WeakSet<object>();
    return servers.onDidChange((server) => {
      const state = server.status?.engine.state;
      if (state !== 'ready' && state !== 'busy') {
        wereReady.delete(server);
      } else if (!wereReady.has(server)) {
        wereReady.add(server);
        this.askAgain();
      }
    });
  }

  /** Somebody may have been typing while the model was loaded. */
  private askAgain(): void {
    const document = vscode.window.activeTextEditor?.document;
    if (document && document === this.typed?.document && Date.now() - this.typed.at < TYPING_MS && this.snoozedUntil < Date.now()) {
      void vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
    }
  }

  /** What is switched off, for a document. */
  switches(document: vscode.TextDocument | undefined): Switches {
    const { enabled, languages } = settings(document?.uri);
    const snoozed = Math.max(0, this.snoozedUntil - Date.now());
    return { enabled, language: !document || wants(languages, document.languageId), snoozed };
  }

  /** Middleware of the client. */
  readonly provide = async (
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    token: vscode.CancellationToken,
    next: Next,
  ): Promise<vscode.InlineCompletionItem[] | vscode.InlineCompletionList | null | undefined> => {
    const automatic = context.triggerKind === vscode.InlineCompletionTriggerKind.Automatic;
    if (automatic && this.snoozedUntil > Date.now()) {
      return undefined;
    }
    const answer = await next(document, position, context, token);
    this.servers?.of(document.uri).refresh();
    const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
    const [first] = items;
    const id: unknown = first?.command?.arguments?.[0];
    if (first && typeof id === 'string' && !token.isCancellationRequested) {
      this.partial.show({
        id,
        uri: document.uri.toString(),
        start: document.offsetAt(first.range?.start ?? position),
        texts: items.map(({ insertText }) => (typeof insertText === 'string' ? insertText : insertText.value)),
      });
    }
    return answer;
  };

  async toggle(): Promise<void> {
    const { configuration, enabled } = settings();
    await configuration.update('completion.enabled', !enabled, vscode.ConfigurationTarget.Global);
    this.snoozedUntil = 0;
    this.changed.fire();
  }

  async toggleLanguage(): Promise<void> {
    const language = vscode.window.activeTextEditor?.document.languageId;
    if (!language) {
      return;
    }
    const { configuration, languages } = settings();
    const changed = withLanguage(languages, language, !wants(languages, language));
    await configuration.update('completion.languages', changed.length ? changed : undefined, vscode.ConfigurationTarget.Global);
    this.changed.fire();
  }

  /** Keep quiet for a while, or end that. */
  async snooze(minutes?: number): Promise<void> {
    const t = vscode.l10n.t;
    if (minutes === undefined && this.snoozedUntil > Date.now()) {
      minutes = 0;
    }
    if (minutes === undefined) {
      const choices = SNOOZES_MIN.map((number) => ({ label: t('{0} minutes', number), number }));
      minutes = (await vscode.window.showQuickPick(choices, { title: t('Snooze suggestions for…') }))?.number;
    }
    if (minutes !== undefined) {
      this.snoozedUntil = Date.now() + minutes * 60_000;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.changed.fire(), minutes * 60_000 + 100);
      void vscode.commands.executeCommand('editor.action.inlineSuggest.hide');
      this.changed.fire();
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.listener.dispose();
    this.changed.dispose();
  }

  private edited(event: vscode.TextDocumentChangeEvent): void {
    if (event.contentChanges.length && event.document === vscode.window.activeTextEditor?.document) {
      this.typed = { document: event.document, at: Date.now() };
    }
    const uri = event.document.uri.toString();
    for (const change of event.contentChanges) {
      const taken = this.partial.edited({ uri, offset: change.rangeOffset, replaced: change.rangeLength, text: change.text });
      if (taken) {
        const command = { command: 'midline.partlyAccepted', arguments: [taken.id, taken.characters] };
        this.servers?.of(event.document.uri).running?.sendRequest('workspace/executeCommand', command).catch(() => undefined);
      }
    }
  }
}

function settings(scope?: vscode.Uri): { configuration: vscode.WorkspaceConfiguration; enabled: boolean; languages: string[] } {
  const configuration = vscode.workspace.getConfiguration('midline', scope);
  const languages: unknown = configuration.get('completion.languages');
  return {
    configuration,
    enabled: configuration.get('completion.enabled') !== false,
    languages: Array.isArray(languages) ? languages.filter((entry) => typeof entry === 'string') : [],
  };
}
