/** What can stand behind `@` in a question: files, folders and symbols, as far as the editor knows them. */
import * as vscode from 'vscode';
import type { Completion } from './messages.ts';

const MOST = 12;
const EXCLUDED = '**/{node_modules,.git,.venv,venv,__pycache__,dist,build}/**';

/** @param folder whose files are meant; without one, those of the window. */
export async function completions(query: string, folder?: vscode.WorkspaceFolder): Promise<Completion[]> {
  if (/[\s*?{}[\]]/.test(query)) {
    return [];
  }
  const [files, symbols] = await Promise.all([filesLike(query, folder), symbolsLike(query)]);
  const fixed = 'diff'.startsWith(query) ? [{ label: '@diff', detail: vscode.l10n.t('what differs from the last commit'), insert: '@diff' }] : [];
  return [...fixed, ...files, ...symbols].slice(0, MOST);
}

async function filesLike(query: string, folder?: vscode.WorkspaceFolder): Promise<Completion[]> {
  const letters = [...query].map((letter) => (/[a-z]/i.test(letter) ? `[${letter.toLowerCase()}${letter.toUpperCase()}]` : letter));
  const pattern = query ? `**/*${letters.join('')}*` : '**/*';
  const glob = query.includes('/') ? `${pattern}*` : pattern;
  const found = await vscode.workspace.findFiles(folder ? new vscode.RelativePattern(folder, glob) : glob, EXCLUDED, 60);
  return found
    .map((uri) => vscode.workspace.asRelativePath(uri, false))
    .filter((path) => !/\s/.test(path))
    .sort((a, b) => rank(a, query) - rank(b, query) || a.length - b.length)
    .slice(0, MOST)
    .map((path) => ({ label: `@${path}`, detail: vscode.l10n.t('file'), insert: `@${path}` }));
}

/** Names that begin with the query first. */
function rank(path: string, query: string): number {
  const name = path.split('/').pop() ?? path;
  return name.toLowerCase().startsWith(query.toLowerCase()) ? 0 : 1;
}

async function symbolsLike(query: string): Promise<Completion[]> {
  const document = vscode.window.activeTextEditor?.document ?? vscode.window.visibleTextEditors[0]?.document;
  const lower = query.toLowerCase();
  const [here, everywhere] = await Promise.all([
    document ? symbols('vscode.executeDocumentSymbolProvider', document.uri) : [],
    query.length > 1 ? symbols('vscode.executeWorkspaceSymbolProvider', query) : [],
  ]);
  const names = [...here, ...everywhere].filter((name) => /^[\w.$]+$/.test(name) && name.toLowerCase().includes(lower));
  return [...new Set(names)]
    .slice(0, MOST)
    .map((name) => ({ label: `@${name}`, detail: vscode.l10n.t('symbol'), insert: `@${name}` }));
}

async function symbols(command: string, argument: unknown): Promise<string[]> {
  try {
    const found = await vscode.commands.executeCommand<(vscode.DocumentSymbol | vscode.SymbolInformation)[]>(command, argument);
    return (found ?? []).flatMap((symbol) =>
      'children' in symbol
        ? [symbol.name, ...symbol.children.map((child) => `${symbol.name}.${child.name}`)]
        : [symbol.containerName ? `${symbol.containerName}.${symbol.name}` : symbol.name],
    );
  } catch {
    return []; // a provider of another extension failed
  }
}
