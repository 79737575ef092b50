/** Where VS Code begins: everything is made, joined and registered here, and nothing is waited for. */
import * as vscode from 'vscode';
import { ChatView } from './chat/view.ts';
import { Cures, choosePath, setUp, type } from './cures.ts';
import { writeCommitMessage } from './commit.ts';
import { watchCursor } from './cursor.ts';
import { ServerCommands } from './commands.ts';
import { Edits, type EditParams } from './edits/requests.ts';
import { Proposals } from './edits/proposals.ts';
import type { Server } from './server.ts';
import { Servers } from './servers.ts';
import { StatusBar } from './status/bar.ts';
import { Suggestions } from './suggestions.ts';
import { fits, isOlder } from './version.ts';
import { showWhy } from './why.ts';

let running: Servers | undefined;

/** VS Code waits for this a little: each server leaves in order, and writes down what it has counted. */
export function deactivate(): Promise<void> | undefined {
  return running?.stop();
}

export function activate(context: vscode.ExtensionContext): void {
  const output = vscode.window.createOutputChannel('midline', { log: true });
  const suggestions = new Suggestions();
  const proposals = new Proposals(context.workspaceState);
  const servers: Servers = new Servers(output, settingNames(context.extension.packageJSON), {
    message: (server, level, text) => cures.tell(server, level, text),
    provideInlineCompletionItems: suggestions.provide,
  });
  running = servers;
  context.subscriptions.push(suggestions.attach(servers));
  const cures = new Cures(servers);
  const edits = new Edits(servers, proposals);
  const chat = new ChatView(context.extensionUri, servers, proposals);
  const bar = new StatusBar(servers, suggestions, cures);
  // Commands of the server that show something: the extension has the place for it.
  const offered = new ServerCommands(servers, {
    'midline.edit': (params: EditParams) => edits.run(params),
    'midline.askEdit': (params?: EditParams) => edits.ask(params),
    'midline.explain': (params: EditParams) => chat.explain(params),
  });

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
    writeCommitMessage: (source?: { rootUri?: vscode.Uri }) => writeCommitMessage(servers, source),
    toggle: () => suggestions.toggle(),
    toggleLanguage: () => suggestions.toggleLanguage(),
    snooze: () => suggestions.snooze(),
    menu: () => bar.menu(),
    showWhy: () => showWhy(servers.current),
    restart: () => servers.current.start(),
    setUp,
    choosePath,
    typeInstall: () => type('python3 -m venv ~/.midline && ~/.midline/bin/pip install '),
    typePull: () => cures.inTerminal(servers.current, 'model pull'),
    showOutput: () => output.show(),
  };
  context.subscriptions.push(
    output,
    suggestions,
    proposals,
    servers,
    offered,
    bar,
    chat,
    cures.watch(),
    watchCursor(servers),
    ...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(`midline.${name}`, run)),
    servers.onDidStart((server) => {
      const { version } = context.extension.packageJSON as { version: string };
      checkVersion(version, server, cures);
    }),
  );

  void servers.current.start();
}

/** The settings in package.json, without `midline.`. */
function settingNames(manifest: { contributes: { configuration: { properties: object }[] } }): string[] {
  return manifest.contributes.configuration
    .flatMap(({ properties }) => Object.keys(properties))
    .map((name) => name.slice('midline.'.length));
}

function checkVersion(mine: string, server: Server, cures: Cures): void {
  const theirs = server.version;
  if (fits(mine, theirs)) {
    return;
  }
  const t = vscode.l10n.t;
  const cure = isOlder(theirs, mine)
    ? t('Update midline, or install the extension that comes with it.')
    : t("Install the extension that comes with that midline: `make vsix` in its folder builds it.");
  cures.tell(server, 'warning', `${t('midline {0} runs here, but this extension is made for {1}; some of it may fail.', theirs ?? '?', mine)} ${cure}`);
}
