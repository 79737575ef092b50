/** The status-bar item and its menu. */
import * as vscode from 'vscode';
import type { Cures } from '../cures.ts';
import type { Servers } from '../servers.ts';
import type { Suggestions } from '../suggestions.ts';
import { describe, type Shown } from './describe.ts';

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('midline.status', vscode.StatusBarAlignment.Right, 100);
  private readonly listeners: vscode.Disposable;
  private shown: Shown | undefined;
  private readonly servers: Servers;
  private readonly suggestions: Suggestions;
  private readonly cures: Cures;

  constructor(servers: Servers, suggestions: Suggestions, cures: Cures) {
    this.servers = servers;
    this.suggestions = suggestions;
    this.cures = cures;
    this.item.name = 'midline';
    this.item.command = 'midline.menu';
    const update = () => this.update();
    this.listeners = vscode.Disposable.from(
      servers.onDidChange(update),
      suggestions.onDidChange(update),
      vscode.window.onDidChangeActiveTextEditor(update),
      vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration('midline') && update()),
    );
    this.update();
    this.item.show();
  }

  /** What can be done now, as a list to choose from. */
  async menu(): Promise<void> {
    const t = vscode.l10n.t;
    const editor = vscode.window.activeTextEditor;
    const { enabled, language, snoozed } = this.suggestions.switches(editor?.document);
    const entries: (vscode.QuickPickItem & { run?: () => unknown })[] = [];
    const add = (icon: string, label: string, command: string) =>
      entries.push({ label: `$(${icon}) ${label}`, run: () => vscode.commands.executeCommand(command) });
    if (this.shown?.cure) {
      const cure = this.shown.cure;
      const level = this.shown.level === 'error' ? 'error' : 'warning';
      entries.push({ label: `$(lightbulb) ${t('What is wrong, and the cure')}`, detail: cure, run: () => this.cures.show(this.servers.current, level, cure) });
    }
    add(enabled ? 'circle-slash' : 'check', enabled ? t('Switch suggestions off') : t('Switch suggestions on'), 'midline.toggle');
    if (enabled && editor) {
      const name = editor.document.languageId;
      add('code', language ? t('Switch suggestions off in {0}', name) : t('Switch suggestions on in {0}', name), 'midline.toggleLanguage');
    }
    if (enabled) {
      add(snoozed ? 'bell' : 'bell-slash', snoozed ? t('End the snooze') : t('Snooze suggestions…'), 'midline.snooze');
    }
    add('comment-discussion', t('Open chat'), 'midline.openChat');
    add('question', t('Why this suggestion, or none?'), 'midline.showWhy');
    add('debug-restart', t('Restart the server'), 'midline.restart');
    add('output', t('Show output'), 'midline.showOutput');
    const choice = await vscode.window.showQuickPick(entries, { title: `midline: ${this.shown?.heading ?? ''}` });
    await choice?.run?.();
  }

  dispose(): void {
    this.listeners.dispose();
    this.item.dispose();
  }

  private update(): void {
    const switches = this.suggestions.switches(vscode.window.activeTextEditor?.document);
    const { state, status, folder } = this.servers.current;
    const several = (vscode.workspace.workspaceFolders?.length ?? 0) > 1;
    const shown = describe(state, status, switches, vscode.l10n.t, several ? folder?.name : undefined);
    if (JSON.stringify(shown) === JSON.stringify(this.shown)) {
      return;
    }
    this.shown = shown;
    this.item.text = shown.text;
    this.item.tooltip = hover(shown);
    this.item.accessibilityInformation = { label: `midline: ${shown.heading}` };
    this.item.backgroundColor =
      shown.level === 'normal' ? undefined : new vscode.ThemeColor(`statusBarItem.${shown.level}Background`);
  }
}

function hover(shown: Shown): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendMarkdown('**midline**  \n').appendText(shown.heading);
  if (shown.rows.length) {
    text.appendMarkdown('\n\n| | |\n|---|---|\n');
    for (const [name, value] of shown.rows) {
      text.appendMarkdown(`| ${cell(name)} | ${cell(value)} |\n`);
    }
  }
  return text;
}

/** Text that Markdown leaves as it is, in a table's cell. */
function cell(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+.!|<>~-]/g, '\\$&').replace(/\s+/g, ' ');
}
