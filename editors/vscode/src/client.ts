/** The language client: what it sends, what it is told, and which of the server's offers it takes itself. */
import * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  ExecuteCommandRequest,
  LanguageClient,
  MessageType,
  RevealOutputChannelOn,
  ShowMessageNotification,
  type ClientCapabilities,
  type LanguageClientOptions,
  type ShowMessageParams,
  type StaticFeature,
} from 'vscode-languageclient/node';
import { SCHEMES } from './documents.ts';
import type { Status } from './status/describe.ts';

export type Client = LanguageClient;

export interface Handlers {
  status(status: Status): void;
  /** The server wants the user to read something. */
  message(level: 'error' | 'warning' | 'info', text: string): void;
  closed(): void;
  /** Settings as the server shall have them. */
  settings(): Record<string, unknown>;
  /** Whether a document is this server's; another folder's server has the others. */
  owns(uri: vscode.Uri): boolean;
  readonly provideInlineCompletionItems: NonNullable<LanguageClientOptions['middleware']>['provideInlineCompletionItems'];
}

/** A client for one life of a server; it is not started yet. */
export function makeClient(
  program: string,
  output: vscode.LogOutputChannel,
  folder: vscode.WorkspaceFolder | undefined,
  handlers: Handlers,
): LanguageClient {
  const ours = async (uri: vscode.Uri, send: () => Promise<void>) => (handlers.owns(uri) ? send() : undefined);
  const options: LanguageClientOptions = {
    documentSelector: SCHEMES.map((scheme) => ({ scheme })),
    ...(folder && { workspaceFolder: folder }),
    outputChannel: output,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationOptions: { midline: handlers.settings() },
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        handlers.closed();
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    },
    initializationFailedHandler: () => false,
    middleware: {
      didOpen: (document, next) => ours(document.uri, () => next(document)),
      didChange: (event, next) => ours(event.document.uri, () => next(event)),
      didSave: (document, next) => ours(document.uri, () => next(document)),
      didClose: (document, next) => ours(document.uri, () => next(document)),
      notebooks: {
        didOpen: (notebook, cells, next) => ours(notebook.uri, () => next(notebook, cells)),
        didChange: (event, next) => ours(event.notebook.uri, () => next(event)),
        didSave: (notebook, next) => ours(notebook.uri, () => next(notebook)),
        didClose: (notebook, cells, next) => ours(notebook.uri, () => next(notebook, cells)),
      },
      provideCompletionItem: (document, position, context, token, next) =>
        handlers.owns(document.uri) ? next(document, position, context, token) : undefined,
      provideInlineCompletionItems: (document, position, context, token, next) =>
        handlers.owns(document.uri) ? handlers.provideInlineCompletionItems?.(document, position, context, token, next) : undefined,
      // At each move of the cursor, VS Code asks whether to show the lightbulb: where there is nothing to fix, no.
      provideCodeActions: (document, range, context, token, next) =>
        !handlers.owns(document.uri) ||
        (context.triggerKind === vscode.CodeActionTriggerKind.Automatic && context.diagnostics.length === 0)
          ? []
          : next(document, range, context, token),
      workspace: {
        configuration: (params, token, next) =>
          params.items.some((item) => item.section === 'midline')
            ? params.items.map((item) => (item.section === 'midline' ? handlers.settings() : null))
            : next(params, token),
      },
    },
  };
  const client = new QuietClient('midline', 'midline', { command: program, args: ['serve'] }, options);
  client.registerFeature(capabilities);
  client.onNotification('midline/statusChanged', (status: Status) => handlers.status(status));
  client.onNotification(ShowMessageNotification.type, (params: ShowMessageParams) => {
    handlers.message(LEVELS[params.type] ?? 'info', params.message);
  });
  return client;
}

const LEVELS: Partial<Record<MessageType, 'error' | 'warning'>> = {
  [MessageType.Error]: 'error',
  [MessageType.Warning]: 'warning',
};

/** What goes wrong with the connection is told once, by `Server`, with its cure; here it is only logged. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }

  /** VS Code has one command of a name, and each server offers them all: the extension registers them. */
  override registerFeature(feature: Parameters<LanguageClient['registerFeature']>[0]): void {
    if (!('registrationType' in feature && feature.registrationType.method === ExecuteCommandRequest.method)) {
      super.registerFeature(feature);
    }
  }
}

const capabilities: StaticFeature = {
  fillClientCapabilities(announced: ClientCapabilities) {
    // The status bar shows the same progress, and for longer.
    announced.window = { ...announced.window, workDoneProgress: false };
    announced.workspace = { ...announced.workspace, executeCommand: {} };
    announced.experimental = { ...announced.experimental, midline: { askEdit: true } };
  },
  initialize() {},
  getState: () => ({ kind: 'static' }),
  clear() {},
};
