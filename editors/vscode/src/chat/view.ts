/** The chat in the side bar: carries messages between its page, the editor and the conversation. */
import * as path from 'node:path';
import * as vscode from 'vscode';
import type { PlaceParams } from '../documents.ts';
import type { Proposals } from '../edits/proposals.ts';
import type { Servers } from '../servers.ts';
import { cited } from './citations.ts';
import { insertAtCursor, proposeCode } from './code.ts';
import { page } from './html.ts';
import { completions } from './mentions.ts';
import type { Citation, ToExtension, ToPage } from './messages.ts';
import { CurrentPlace } from './place.ts';
import { Talk } from './talk.ts';

const VIEW = 'midline.chat';

export class ChatView implements vscode.WebviewViewProvider, vscode.Disposable {
  private view: vscode.WebviewView | undefined;
  private readonly talk: Talk;
  private readonly place: CurrentPlace;
  private readonly registered: vscode.Disposable;
  private focusWhenReady = false;
  private readonly extension: vscode.Uri;
  private readonly proposals: Proposals;

  constructor(extension: vscode.Uri, servers: Servers, proposals: Proposals) {
    this.extension = extension;
    this.proposals = proposals;
    this.talk = new Talk(servers, (message) => this.post(message));
    this.place = new CurrentPlace(() => this.post({ kind: 'place', place: this.place.shown }));
    this.registered = vscode.window.registerWebviewViewProvider(VIEW, this);
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    view.webview.options = { enableScripts: true, localResourceRoots: [vscode.Uri.joinPath(this.extension, 'dist')] };
    view.webview.onDidReceiveMessage((message: ToExtension) => this.received(message));
    view.onDidDispose(() => {
      this.view = undefined;
    });
    view.webview.html = page(view.webview, this.extension);
  }

  /** Show the chat, ready to be typed into. */
  async open(): Promise<void> {
    this.focusWhenReady = true;
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    this.post({ kind: 'focus' });
  }

  async begin(): Promise<void> {
    this.talk.begin();
    await this.open();
  }

  /** Ask about the selection: the chat shows what the question will be about, and waits for it. */
  async ask(): Promise<void> {
    await this.open();
    this.post({ kind: 'place', place: this.place.shown });
  }

  /** Carry out the server's code action "Explain". */
  async explain(params: PlaceParams & { message?: string }): Promise<void> {
    await this.open();
    const start = params.selection?.start.line;
    const name = path.posix.basename(vscode.Uri.parse(params.textDocument.uri).path);
    const shown = vscode.l10n.t('Explain {0}', start === undefined ? name : `${name}:${start + 1}`);
    await this.talk.ask(params.message ?? '', params, 'explain', shown);
  }

  async list(): Promise<void> {
    await this.open();
    await this.postList();
  }

  dispose(): void {
    this.talk.stop();
    this.place.dispose();
    this.registered.dispose();
  }

  private post(message: ToPage): void {
    void this.view?.webview.postMessage(message);
  }

  private async postList(): Promise<void> {
    this.post({ kind: 'conversations', list: await this.talk.list(), current: this.talk.id });
  }

  private async received(message: ToExtension): Promise<void> {
    switch (message.kind) {
      case 'ready':
        this.talk.show();
        this.post({ kind: 'place', place: this.place.shown });
        if (this.focusWhenReady) {
          this.post({ kind: 'focus' });
        }
        return;
      case 'ask':
        return this.talk.ask(message.text, message.withPlace ? this.place.params : undefined);
      case 'stop':
        return this.talk.stop();
      case 'copy':
        return void vscode.env.clipboard.writeText(message.text);
      case 'insert':
        return insertAtCursor(this.place.current, message.text);
      case 'apply':
        return proposeCode(this.place.current, message.text, this.proposals);
      case 'open':
        return this.show(message.citation);
      case 'complete':
        return this.post({ kind: 'completions', request: message.request, items: await completions(message.query, this.talk.folder) });
      case 'list':
        return this.postList();
      case 'begin':
        return this.talk.begin();
      case 'continue':
        return this.talk.resume(message.id);
      case 'rename':
        return this.rename(message.id, message.title);
      case 'delete':
        return this.remove(message.id, message.title);
      case 'export':
        return this.export(message.id);
    }
  }

  /** Open the file that the server cited, at the lines; the page can have nothing else opened. */
  private async show(asked: Citation): Promise<void> {
    const citation = cited(asked, this.talk.turns);
    const { folder } = this.talk;
    if (!citation || (!folder && !path.isAbsolute(citation.path))) {
      return;
    }
    const uri = path.isAbsolute(citation.path) || !folder ? vscode.Uri.file(citation.path) : vscode.Uri.joinPath(folder.uri, citation.path);
    const first = asked.start_line - 1;
    const last = Math.max(first, Math.min(asked.end_line, citation.end_line) - 1);
    try {
      const document = await vscode.workspace.openTextDocument(uri);
      const selection = new vscode.Range(first, 0, last, document.lineAt(Math.min(last, document.lineCount - 1)).text.length);
      await vscode.window.showTextDocument(document, { selection });
    } catch {
      void vscode.window.showWarningMessage(vscode.l10n.t('midline: {0} is not there any more.', citation.path));
    }
  }

  private async rename(id: string, before: string): Promise<void> {
    const title = await vscode.window.showInputBox({ title: vscode.l10n.t('Rename the conversation'), value: before });
    if (title?.trim()) {
      await this.talk.rename(id, title.trim());
      await this.postList();
    }
  }

  private async remove(id: string, title: string): Promise<void> {
    const remove = vscode.l10n.t('Delete');
    const question = vscode.l10n.t('Delete the conversation “{0}”? It is gone for good.', title);
    if ((await vscode.window.showWarningMessage(question, { modal: true }, remove)) === remove) {
      await this.talk.remove(id);
      await this.postList();
    }
  }

  private async export(id: string): Promise<void> {
    const content = await this.talk.markdown(id);
    if (content !== undefined) {
      await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: 'markdown', content }));
    }
  }
}
