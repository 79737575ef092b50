/** One conversation with the server: its turns, the answer that is coming, and what the page is told of both. */
import * as vscode from 'vscode';
import type { ProgressType } from 'vscode-languageclient/node';
import type { PlaceParams } from '../documents.ts';
import { reason } from '../failures.ts';
import type { Server } from '../server.ts';
import type { Servers } from '../servers.ts';
import type { Citation, Conversation, ToPage, Turn } from './messages.ts';

interface Answer {
  readonly answer: string;
  readonly reasoning: string;
  readonly citations: readonly Citation[];
  readonly context: readonly Citation[];
  readonly conversation: string;
  readonly reason: string;
}

type Piece =
  | ({ readonly kind: 'conversation' } & Conversation)
  | { readonly kind: 'answer' | 'reasoning'; readonly text: string };

interface Kept extends Conversation {
  readonly history: readonly (Turn & { readonly role: Turn['role'] })[];
}

/** `ProgressType` of the pieces; only its type parameter counts. */
const PIECES = {} as ProgressType<Piece>;
const COMPLETE = new Set(['eog', 'stop', '']);
let tokens = 0;

export class Talk {
  private cancel: vscode.CancellationTokenSource | undefined;
  /** What has come of the answer. */
  private coming = { answer: '', reasoning: '' };
  private readonly servers: Servers;
  /** Whose conversation this is: it stays its folder's, whatever is in front. */
  private server: Server;
  /** Whose conversations were listed last. */
  private listed: Server;
  private readonly post: (message: ToPage) => void;

  id = '';
  title = '';
  turns: Turn[] = [];

  constructor(servers: Servers, post: (message: ToPage) => void) {
    this.servers = servers;
    this.server = servers.current;
    this.listed = servers.current;
    this.post = post;
  }

  /** The folder that it is about. */
  get folder(): vscode.WorkspaceFolder | undefined {
    return (this.turns.length ? this.server : this.servers.current).folder;
  }

  get running(): boolean {
    return this.cancel !== undefined;
  }

  /** All there is, for a page that was just made. */
  show(): void {
    this.post({ kind: 'state', title: this.title, turns: this.turns, running: this.running });
    for (const of of ['reasoning', 'answer'] as const) {
      if (this.running && this.coming[of]) {
        this.post({ kind: 'piece', of, text: this.coming[of] });
      }
    }
  }

  /** Leave this conversation and begin a new one with the next question. */
  begin(): void {
    this.stop();
    this.cancel = undefined; // what still comes of an answer belongs to the conversation that is left
    [this.id, this.title, this.turns] = ['', '', []];
    this.show();
  }

  stop(): void {
    this.cancel?.cancel();
  }

  /**
   * Ask, and show the answer while it comes.
   *
   * @param shown what the page shows as the question, where that isn't the message.
   */
  async ask(message: string, place: PlaceParams | undefined, command = '', shown = message): Promise<void> {
    if (this.running) {
      return;
    }
    const cancel = new vscode.CancellationTokenSource();
    this.cancel = cancel;
    if (this.turns.length === 0) {
      this.server = this.servers.current;
    }
    this.coming = { answer: '', reasoning: '' };
    this.turns.push({ role: 'user', text: shown });
    this.show();
    const turn = await this.answer(message, place, command, cancel.token);
    if (this.cancel === cancel) {
      this.cancel = undefined;
      this.turns.push(turn);
      this.post({ kind: 'turn', turn, title: this.title, running: false });
    }
    cancel.dispose();
  }

  async list(): Promise<Conversation[]> {
    this.listed = this.servers.current;
    return (await this.request<Conversation[]>({ action: 'list' })) ?? [];
  }

  async resume(id: string): Promise<void> {
    this.begin();
    const kept = await this.request<Kept>({ action: 'get', conversation: id });
    if (kept) {
      this.server = this.listed;
      [this.id, this.title, this.turns] = [kept.id, kept.title, [...kept.history]];
      this.show();
    }
  }

  async rename(id: string, title: string): Promise<void> {
    await this.request({ action: 'rename', conversation: id, title });
    if (id === this.id) {
      this.title = title;
      this.show();
    }
  }

  async remove(id: string): Promise<void> {
    if (id === this.id) {
      this.begin();
    }
    await this.request({ action: 'delete', conversation: id });
  }

  async markdown(id: string): Promise<string | undefined> {
    return (await this.request<{ markdown: string }>({ action: 'export', conversation: id }))?.markdown;
  }

  private async answer(message: string, place: PlaceParams | undefined, command: string, cancel: vscode.CancellationToken): Promise<Turn> {
    const client = await this.server.awake();
    if (!client) {
      return { role: 'assistant', text: '', error: vscode.l10n.t('midline is not running.') };
    }
    const token = `midline-chat-${++tokens}`;
    const mine = this.cancel;
    const listening = client.onProgress(PIECES, token, (piece) => {
      if (this.cancel === mine) {
        this.take(piece);
      }
    });
    const params = { message, command, conversation: this.id, ...place, partialResultToken: token };
    try {
      const answer = await client.sendRequest<Answer>('midline/chat', params, cancel);
      if (this.cancel === mine) {
        this.id = answer.conversation;
      }
      return {
        role: 'assistant',
        text: answer.answer,
        reasoning: answer.reasoning,
        citations: answer.citations,
        context: answer.context,
        reason: COMPLETE.has(answer.reason) ? '' : answer.reason,
      };
    } catch (error) {
      const why = cancel.isCancellationRequested ? undefined : (reason(error) ?? vscode.l10n.t('the answer was broken off.'));
      return { role: 'assistant', text: this.coming.answer, reasoning: this.coming.reasoning, reason: 'cancelled', error: why };
    } finally {
      listening.dispose();
    }
  }

  private take(piece: Piece): void {
    if (piece.kind === 'conversation') {
      [this.id, this.title] = [piece.id, piece.title];
    } else {
      this.coming[piece.kind] += piece.text;
      this.post({ kind: 'piece', of: piece.kind, text: piece.text });
    }
  }

  private async request<T>(params: { action: string; conversation?: string; title?: string }): Promise<T | undefined> {
    try {
      return await this.listed.running?.sendRequest<T>('midline/conversations', params);
    } catch (error) {
      const why = reason(error);
      if (why) {
        void vscode.window.showErrorMessage(`midline: ${why}`);
      }
      return undefined;
    }
  }
}
