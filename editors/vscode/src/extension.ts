/** Where VS Code begins: everything is made, joined and registered here, and nothing is waited for. */
import * as vscode from 'vscode';
import { ChatView } from './chat/view.ts';
import { Cures, choosePath, setUp, type } from './cures.ts';
import { writeCommitMessage } from './commit.ts';
import { watchCursor } from './cursor.ts';
import { Edits, type EditParams } from './edits/requests.ts';
import { Proposals } from './edits/proposals.ts';
import { Server } from './server.ts';
import { StatusBar } from './status/bar.ts';
import { Suggestions } from './suggestions.ts';
import { fits, isOlder } from './version.ts';
import { showWhy } from './why.ts';

let running: Server | undefined;

/** VS Code waits for this a little: the server leaves in order, and writes down what it has counted. */
export function deactivate(): Promise<void> | undefined {
  return running?.stop();
}

export function activate(context: vscode.ExtensionContext): void {
  const output = vscode.window.createOutputChannel('midline', { log: true });
  const suggestions = new Suggestions();
  const proposals = new Proposals();
  const server: Server = new Server(output, settingNames(context.extension.packageJSON), {
    message: (level, text) => cures.tell(level, text),
    command: (name, args) => take(name, args),
    provideInlineCompletionItems: suggestions.provide,
  });
  running = server;
  context.subscriptions.push(suggestions.attach(server));
  const cures = new Cures(server);
  const edits = new Edits(server, proposals);
  const chat = new ChatView(context.extensionUri, server, proposals);
  const bar = new StatusBar(server, suggestions, cures);

  /** Commands of the server that show something: the extension has the place for it. */
  function take(name: string, [params]: unknown[]): Thenable<unknown> | undefined {
    switch (name) {
      case 'midline.edit':
        return edits.run(params as EditParams);
      case 'midline.askEdit':
        return edits.ask(params as EditParams);
      case 'midline.explain':
        return chat.explain(params as EditParams);
      default:
        return undefined;
    }
  }

  const commands: Record<string, (...args: never[]) => unknown> = {
    openChat: () => chat.open(),
    newConversation: () => chat.begin(),
    conversations: () => chat.list(),
    ask: () => chat.ask(),
    editSelection: () => edits.ask(),
    acceptEdit: () => proposals.accept(),
    discardEdit: () => proposals.discard(),
    acceptChange: (uri?: string, id?: number) => proposals.inline.decide(true, uri, id),
    discardChange: (uri?: string, id?: number) => proposals.inline.decide(false, uri, id),
    acceptAll: (uri?: string) => proposals.inline.decideAll(true, uri),
    discardAll: (uri?: string) => proposals.inline.decideAll(false, uri),
    nextChange: () => proposals.inline.go(1),
    previousChange: () => proposals.inline.go(-1),
    compareEdit: (uri?: string) => proposals.inline.compare(uri),
    writeCommitMessage: (source?: { rootUri?: vscode.Uri }) => writeCommitMessage(server, source),
    toggle: () => suggestions.toggle(),
    toggleLanguage: () => suggestions.toggleLanguage(),
    snooze: () => suggestions.snooze(),
    menu: () => bar.menu(),
    showWhy: () => showWhy(server),
    restart: () => server.start(),
    setUp,
    choosePath,
    typeInstall: () => type('python3 -m venv ~/.midline && ~/.midline/bin/pip install '),
    typePull: () => cures.inTerminal('model pull'),
    showOutput: () => output.show(),
  };
  context.subscriptions.push(
    output,
    suggestions,
    proposals,
    server,
    bar,
    chat,
    cures.watch(),
    watchCursor(server),
    ...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(`midline.${name}`, run)),
    server.onDidStart(() => {
      const { version } = context.extension.packageJSON as { version: string };
      checkVersion(version, server.version, cures);
      const offered = server.running?.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
      provideAskEdit(offered);
    }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration('midline.path')) {
        void server.start();
      } else if (event.affectsConfiguration('midline')) {
        server.configure();
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      if (!server.running) {
        void server.start();
      }
    }),
  );

  let askEdit: vscode.Disposable | undefined;
  /** Code actions name this command; where the server doesn't offer to carry it out, it is ours alone. */
  function provideAskEdit(offered: readonly string[]): void {
    if (!offered.includes('midline.askEdit')) {
      askEdit ??= vscode.commands.registerCommand('midline.askEdit', (params?: EditParams) => edits.ask(params));
    }
  }
  context.subscriptions.push({ dispose: () => askEdit?.dispose() });

  void server.start();
}

/** The settings in package.json, without `midline.`. */
function settingNames(manifest: { contributes: { configuration: { properties: object }[] } }): string[] {
  return manifest.contributes.configuration
    .flatMap(({ properties }) => Object.keys(properties))
    .map((name) => name.slice('midline.'.length));
}

function checkVersion(mine: string, servers: string | undefined, cures: Cures): void {
  if (fits(mine, servers)) {
    return;
  }
  const t = vscode.l10n.t;
  const cure = isOlder(servers, mine)
    ? t('Update midline, or install the extension that comes with it.')
    : t("Install the extension that comes with that midline: `make vsix` in its folder builds it.");
  cures.tell('warning', `${t('midline {0} runs here, but this extension is made for {1}; some of it may fail.', servers ?? '?', mine)} ${cure}`);
}
