/** The chat's page: nothing runs in it but the extension's own script, and it reaches no network. */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { Words } from './messages.ts';

export function page(webview: vscode.Webview, extension: vscode.Uri): string {
  const nonce = randomBytes(16).toString('base64url');
  const file = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(extension, 'dist', name)).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'; font-src ${webview.cspSource}`;
  return `<!DOCTYPE html>
<html lang="${vscode.env.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${file('chat.css')}">
<title>midline</title>
</head>
<body data-words="${escaped(JSON.stringify(words()))}">
<script nonce="${nonce}" src="${file('chat.js')}"></script>
</body>
</html>`;
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/"/g, '&quot;').replace(/</g, '&lt;');
}

function words(): Words {
  const t = vscode.l10n.t;
  return {
    you: t('You'),
    midline: 'midline',
    ask: t('Ask about this code'),
    send: t('Send'),
    stop: t('Stop'),
    copy: t('Copy'),
    insert: t('Insert at cursor'),
    apply: t('Apply…'),
    sources: t('Sources'),
    shown: t('What the model was shown'),
    reasoning: t('Reasoning'),
    empty: t('Ask about the code in this folder. The model runs on this machine, and nothing leaves it.'),
    hint: t('Enter sends, Shift+Enter begins a line, @ names a file or symbol'),
    include: t('Include {0}'),
    answering: t('midline is answering'),
    answered: t('The answer is complete'),
    reading: t('reading…'),
    cut: t('The answer has reached its longest length (chat.answer_tokens).'),
    repeated: t('The model began to repeat itself, and was stopped.'),
    stopped: t('Stopped.'),
    conversations: t('Conversations'),
    none: t('There are no conversations in this folder yet.'),
    rename: t('Rename'),
    remove: t('Delete'),
    export: t('Export as Markdown'),
    back: t('Back'),
    suggestions: t('Files and symbols'),
  };
}
