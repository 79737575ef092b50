/** The Python extension's active environment, where that extension is installed. */
import * as path from 'node:path';
import * as vscode from 'vscode';

/** The little of the Python extension's API that is used. */
interface PythonApi {
  readonly environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(environment: { readonly path: string }): Promise<
      { readonly executable: { readonly sysPrefix?: string; readonly uri?: vscode.Uri } } | undefined
    >;
  };
}

const PATIENCE_MS = 5_000;

/** The environment's folder; undefined where there is none, or the extension doesn't say in time. */
export async function activeEnvironment(resource: vscode.Uri | undefined): Promise<string | undefined> {
  const extension = vscode.extensions.getExtension<PythonApi>('ms-python.python');
  if (!extension) {
    return undefined;
  }
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PATIENCE_MS));
  return Promise.race([ask(extension, resource).catch(() => undefined), late]);
}

async function ask(extension: vscode.Extension<PythonApi>, resource: vscode.Uri | undefined): Promise<string | undefined> {
  const { environments } = await extension.activate();
  const found = await environments.resolveEnvironment(environments.getActiveEnvironmentPath(resource));
  const program = found?.executable.uri?.fsPath;
  return found?.executable.sysPrefix ?? (program && path.dirname(path.dirname(program)));
}
