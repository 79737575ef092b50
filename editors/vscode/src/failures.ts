/** Requests that failed, told to the user. */
import * as vscode from 'vscode';

const CANCELLED = -32800;
const UNKNOWN = -32601;
/** What the client answers by itself when the connection is gone. */
const GONE = new Set([-32096, -32097, -32099]);

/** Why a request failed, in one line; undefined where it was the user who ended it. */
export function reason(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (error instanceof vscode.CancellationError || code === CANCELLED) {
    return undefined;
  }
  // A command that the server doesn't know is wrong parameters to it.
  if (code === UNKNOWN || /Command name '[\w.]+' is not defined/.test(String(error))) {
    return vscode.l10n.t("the server that runs here can't do this yet. Update midline.");
  }
  if (typeof code === 'number' && GONE.has(code)) {
    return vscode.l10n.t('the server has stopped, and is being started again.');
  }
  return error instanceof Error ? error.message : String(error);
}

export function tellFailure(error: unknown): void {
  const why = reason(error);
  if (why) {
    void vscode.window.showErrorMessage(`midline: ${why}`);
  }
}
