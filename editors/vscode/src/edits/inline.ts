/**
 * Edits shown in the text itself, part by part.
 *
 * An edit is applied at once, as one step of undo, and its parts are marked until the user accepts or discards each.
 * To accept one is to take its mark away; to discard one is to put the text back that was there before. A part that the
 * user changes is the user's from then on.
 */
import * as vscode from 'vscode';
import { Marks } from './marks.ts';
import { nearest, rangeIn, type Part } from './parts.ts';
import { existing, outcome, rangeOf, type Proposal } from './proposal.ts';
import { moved, regionsOf, stateOf } from './regions.ts';

const BEFORE = 'midline-before';
/** Where the workspace's state keeps what is pending: a window that is loaded again forgets how to undo. */
const KEPT = 'pendingEdits';
const KEEP_AFTER_MS = 300;
let ids = 0;

export class InlineEdits implements vscode.Disposable {
  /** By the URI of their document, in the text's order. Those that are decided stay: undo may bring them back. */
  private readonly parts = new Map<string, readonly Part[]>();
  private readonly marks = new Marks((document) => this.pending(document));
  private readonly registered: vscode.Disposable;
  private readonly state: vscode.Memento;
  /** What `state` has, also of files that this window has not opened yet. */
  private readonly kept: Record<string, readonly Part[]>;
  private timer: NodeJS.Timeout | undefined;

  constructor(state: vscode.Memento) {
    this.state = state;
    this.kept = { ...state.get<Record<string, readonly Part[]>>(KEPT) };
    this.registered = vscode.Disposable.from(
      this.marks,
      vscode.workspace.onDidOpenTextDocument((document) => this.recall(document)),
      vscode.workspace.onDidChangeTextDocument((event) => this.changed(event)),
      vscode.workspace.onDidCloseTextDocument((document) => this.forget(document)),
      vscode.window.onDidChangeVisibleTextEditors(() => this.marks.update()),
      vscode.window.onDidChangeActiveTextEditor(() => this.marks.update()),
      vscode.window.onDidChangeTextEditorSelection(() => this.marks.tell()),
      vscode.workspace.registerTextDocumentContentProvider(BEFORE, { provideTextDocumentContent: (uri) => this.before(uri) }),
    );
    vscode.workspace.textDocuments.forEach((document) => this.recall(document));
  }

  /** The parts that are yet to be decided on. */
  pending(document: vscode.TextDocument): Part[] {
    const parts = this.parts.get(document.uri.toString()) ?? [];
    return parts.filter((part) => stateOf(part, document.getText(rangeIn(document, part))) === 'pending');
  }

  /**
   * Apply an edit to an open document, for now.
   *
   * @returns false where the text has changed since the edit was made.
   */
  async show(proposal: Proposal): Promise<boolean> {
    const document = await existing(proposal.uri);
    if (!document || outcome(proposal, document) === undefined) {
      return false;
    }
    const newline = document.eol === vscode.EndOfLine.CRLF ? '\r\n' : '\n';
    const edit = new vscode.WorkspaceEdit();
    const pieces = proposal.hunks.flatMap((hunk) => {
      const range = document.validateRange(rangeOf(hunk));
      const after = hunk.new_text.replace(/\r\n|\r|\n/g, newline);
      const before = document.getText(range);
      if (before === after) {
        return [];
      }
      edit.replace(document.uri, range, after);
      return [{ start: document.offsetAt(range.start), end: document.offsetAt(range.end), before, after }];
    });
    if (pieces.length === 0) {
      void vscode.window.showInformationMessage(vscode.l10n.t('midline: this would change nothing.'));
      return true;
    }
    this.parts.set(document.uri.toString(), this.pending(document));
    if (!(await vscode.workspace.applyEdit(edit))) {
      return false;
    }
    const added = regionsOf(pieces).map((region) => ({ ...region, id: ++ids }));
    const earlier = this.pending(document);
    this.parts.set(document.uri.toString(), [...earlier, ...added].sort((a, b) => a.start - b.start));
    const editor = await vscode.window.showTextDocument(document);
    goTo(editor, added[0]);
    this.shown();
    return true;
  }

  /** Decide on one part: the one of this id, or the one at the cursor. */
  async decide(accept: boolean, uri?: string, id?: number): Promise<void> {
    const editor = editorOf(uri);
    const all = editor ? this.pending(editor.document) : [];
    const part = id === undefined ? editor && nearest(editor, all) : all.find((one) => one.id === id);
    if (editor && part) {
      await this.settle(editor.document, [part], accept);
      goTo(editor, nearest(editor, this.pending(editor.document)));
    }
  }

  /** Decide on all parts in the document in front. */
  async decideAll(accept: boolean, uri?: string): Promise<void> {
    const document = editorOf(uri)?.document;
    if (document) {
      await this.settle(document, this.pending(document), accept);
    }
  }

  /** Move the cursor to the next part, or the one before, round the end. */
  go(step: 1 | -1): void {
    const editor = vscode.window.activeTextEditor;
    const all = editor ? this.pending(editor.document) : [];
    if (editor && all.length) {
      const lines = all.map((part) => rangeIn(editor.document, part).start.line);
      const { line } = editor.selection.active;
      const index = step > 0 ? lines.findIndex((one) => one > line) : lines.findLastIndex((one) => one < line);
      goTo(editor, index < 0 ? all.at(step > 0 ? 0 : -1) : all[index]);
    }
  }

  /** The text without what is pending, beside the text as it stands. */
  async compare(uri?: string): Promise<void> {
    const document = editorOf(uri)?.document;
    if (document) {
      const name = document.uri.path.split('/').pop() ?? '';
      const left = document.uri.with({ scheme: BEFORE, query: `${document.uri.scheme} ${document.version}` });
      await vscode.commands.executeCommand('vscode.diff', left, document.uri, `midline: ${name}`);
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.registered.dispose();
  }

  private async settle(document: vscode.TextDocument, parts: readonly Part[], accept: boolean): Promise<void> {
    const key = document.uri.toString();
    if (accept) {
      const taken = new Set(parts.map(({ id }) => id));
      this.parts.set(key, (this.parts.get(key) ?? []).map((part) => (taken.has(part.id) ? { ...part, accepted: true } : part)));
    } else if (parts.length) {
      const edit = new vscode.WorkspaceEdit();
      for (const part of parts) {
        edit.replace(document.uri, rangeIn(document, part), part.before);
      }
      if (!(await vscode.workspace.applyEdit(edit))) {
        void vscode.window.showWarningMessage(vscode.l10n.t('midline: the edit could not be taken back. Undo does so.'));
      }
    }
    this.shown();
  }

  private changed({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    const key = document.uri.toString();
    let parts = this.parts.get(key);
    if (parts && contentChanges.length) {
      for (const { rangeOffset, rangeLength, text } of contentChanges) {
        parts = parts.map((part) => moved(part, { offset: rangeOffset, length: rangeLength, text }));
      }
      this.parts.set(key, parts);
      this.shown();
    }
  }

  private forget(document: vscode.TextDocument): void {
    const key = document.uri.toString();
    if (this.parts.delete(key)) {
      delete this.kept[key];
      this.shown();
    }
  }

  private shown(): void {
    this.marks.update();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), KEEP_AFTER_MS);
  }

  private keep(): void {
    for (const document of vscode.workspace.textDocuments) {
      this.kept[document.uri.toString()] = this.pending(document);
    }
    void this.state.update(KEPT, Object.fromEntries(Object.entries(this.kept).filter(([, parts]) => parts.length)));
  }

  /** Mark what was pending in a document when its window was closed; the text tells whether it still is. */
  private recall(document: vscode.TextDocument): void {
    const key = document.uri.toString();
    const kept = this.kept[key];
    if (kept?.length && !this.parts.has(key)) {
      this.parts.set(key, kept.map((part) => ({ ...part, id: ++ids })));
      this.shown();
    }
  }

  private before(uri: vscode.Uri): string {
    const scheme = uri.query.split(' ')[0] ?? '';
    const original = uri.with({ scheme, query: '' }).toString();
    const document = vscode.workspace.textDocuments.find((one) => one.uri.toString() === original);
    let text = document?.getText() ?? '';
    for (const { start, end, before } of document ? this.pending(document).reverse() : []) {
      text = text.slice(0, start) + before + text.slice(end);
    }
    return text;
  }
}

function editorOf(uri: string | undefined): vscode.TextEditor | undefined {
  const active = vscode.window.activeTextEditor;
  return uri === undefined || active?.document.uri.toString() === uri
    ? active
    : vscode.window.visibleTextEditors.find(({ document }) => document.uri.toString() === uri);
}

function goTo(editor: vscode.TextEditor, part: Part | undefined): void {
  if (part) {
    const { start } = rangeIn(editor.document, part);
    editor.selection = new vscode.Selection(start, start);
    editor.revealRange(new vscode.Range(start, start), vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }
}
