/** How the pending parts of an edit look: new lines coloured, with what they replace and what to do in rows above them. */
import * as vscode from 'vscode';
import { nearest, rangeIn, type Part } from './parts.ts';

/** Longer lines are cut in their row, so that what stands behind them there is seen. */
const LONGEST = 80;
/** Removed lines that have no new line below them share a row. */
const MOST_IN_ROW = 6;

export class Marks implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly pending: (document: vscode.TextDocument) => Part[];
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly added = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor('diffEditor.insertedLineBackground'),
    overviewRulerColor: new vscode.ThemeColor('diffEditorOverview.insertedForeground'),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    gutterIconPath: icon('M8 3v10M3 8h10', '#4a9e4a'),
    gutterIconSize: '70%',
  });
  private readonly removed = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    borderWidth: '2px 0 0 0',
    borderStyle: 'dashed',
    borderColor: new vscode.ThemeColor('editorGutter.deletedBackground'),
    overviewRulerColor: new vscode.ThemeColor('diffEditorOverview.removedForeground'),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    gutterIconPath: icon('M3 8h10', '#c74e39'),
    gutterIconSize: '70%',
  });
  private readonly item = vscode.window.createStatusBarItem('midline.pending', vscode.StatusBarAlignment.Left, -1);
  private readonly registered: vscode.Disposable;
  /** The files that have marks; nothing is done while there are none. */
  private marked: string[] = [];
  readonly onDidChangeCodeLenses = this.changed.event;

  constructor(pending: (document: vscode.TextDocument) => Part[]) {
    this.pending = pending;
    this.item.name = vscode.l10n.t('midline: edit');
    this.item.command = 'midline.nextChange';
    this.registered = vscode.languages.registerCodeLensProvider([{ scheme: 'file' }, { scheme: 'untitled' }], this);
  }

  /** Show what is pending, as it is now. */
  update(): void {
    const marked = vscode.workspace.textDocuments.filter((document) => this.pending(document).length);
    if (!marked.length && !this.marked.length) {
      return;
    }
    const before = this.marked.join('\n');
    this.marked = marked.map(({ uri }) => uri.fsPath);
    if (this.marked.join('\n') !== before) {
      void vscode.commands.executeCommand('setContext', 'midline.pending', this.marked);
    }
    for (const editor of vscode.window.visibleTextEditors) {
      const parts = this.pending(editor.document);
      const options = parts.map((part) => ({ range: linesOf(editor.document, part), hoverMessage: hover(editor.document, part) }));
      editor.setDecorations(this.added, options.filter((_, index) => parts[index]!.after));
      editor.setDecorations(this.removed, options.filter((_, index) => !parts[index]!.after));
    }
    this.changed.fire();
    this.tell();
  }

  /** Say in the status bar which change the cursor is at, and what decides on it. */
  tell(): void {
    const editor = this.marked.length ? vscode.window.activeTextEditor : undefined;
    const parts = editor ? this.pending(editor.document) : [];
    const part = editor && nearest(editor, parts);
    if (!part) {
      this.item.hide();
      return;
    }
    const key = process.platform === 'darwin' ? '⌘K' : 'Ctrl+K';
    const where = vscode.l10n.t('change {0} of {1}', parts.indexOf(part) + 1, parts.length);
    const how = vscode.l10n.t('{0} Y accepts, {0} X discards', key);
    this.item.text = `$(diff) midline: ${where}; ${how}`;
    this.item.tooltip = vscode.l10n.t('Go to the next change');
    this.item.show();
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const parts = this.pending(document);
    return parts.flatMap((part, index) => [
      ...removedLines(document, part),
      ...buttons(document, part, index === 0 && parts.length > 1),
    ]);
  }

  dispose(): void {
    vscode.Disposable.from(this.registered, this.changed, this.added, this.removed, this.item).dispose();
  }
}

function buttons(document: vscode.TextDocument, part: Part, all: boolean): vscode.CodeLens[] {
  const t = vscode.l10n.t;
  const uri = document.uri.toString();
  const { start } = linesOf(document, part);
  const button = (title: string, command: string, ...rest: unknown[]) =>
    new vscode.CodeLens(new vscode.Range(start, start), { title, command: `midline.${command}`, arguments: [uri, ...rest] });
  return [
    button(`$(check) ${t('Accept')}`, 'acceptChange', part.id),
    button(`$(discard) ${t('Discard')}`, 'discardChange', part.id),
    ...(all ? [button(t('Accept All'), 'acceptAll'), button(t('Discard All'), 'discardAll')] : []),
    button(t('Compare'), 'compareEdit'),
  ];
}

/** A row for each line that is gone, above the line that stands in its place; those that are left over share the last. */
function removedLines(document: vscode.TextDocument, part: Part): vscode.CodeLens[] {
  const { start, end } = linesOf(document, part);
  const gone = lines(part.before);
  const rows = end.line - start.line + 1;
  const shared = gone.length - rows;
  const shown = shared >= MOST_IN_ROW ? gone.slice(0, rows + MOST_IN_ROW - 1) : gone;
  const lens = (index: number, title: string) => {
    const place = new vscode.Position(Math.min(start.line + index, end.line), 0);
    return new vscode.CodeLens(new vscode.Range(place, place), { title, command: '' });
  };
  const lenses = shown.map((line, index) => lens(index, row(line)));
  const left = gone.length - shown.length;
  return left ? [...lenses, lens(rows, vscode.l10n.t('− {0} more lines', left))] : lenses;
}

/** A removed line as a row's text. A row begins where its line's text does; blanks in it would be run together. */
function row(line: string): string {
  const text = line.trimStart();
  const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  return `− ${cut.replace(/\t/g, '    ').replace(/ /g, '\u00a0').replace(/\$\(/g, '$\u200b(')}`;
}

function lines(text: string): string[] {
  return text ? text.replace(/(\r\n|\r|\n)$/, '').split(/\r\n|\r|\n/) : [];
}

/** The lines that a part is in; where it removes only, the one that follows. */
function linesOf(document: vscode.TextDocument, part: Part): vscode.Range {
  const { start, end } = rangeIn(document, part);
  const last = end.character === 0 && end.line > start.line ? end.line - 1 : end.line;
  return new vscode.Range(start.line, 0, last, document.lineAt(last).text.length);
}

function hover(document: vscode.TextDocument, part: Part): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  if (!part.before) {
    return text.appendText(vscode.l10n.t('midline: new lines'));
  }
  text.appendText(part.after ? vscode.l10n.t('midline: in the place of') : vscode.l10n.t('midline: removed above this line'));
  return text.appendCodeblock(part.before, document.languageId);
}

/** A stroke as an icon in the gutter: what is new is told by more than a colour. */
function icon(path: string, colour: string): vscode.Uri {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="${path}" stroke="${colour}" stroke-width="2"/></svg>`;
  return vscode.Uri.parse(`data:image/svg+xml;utf8,${encodeURIComponent(svg)}`);
}
