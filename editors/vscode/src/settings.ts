/** Which of the editor's settings go to the server: those that the user set. Defaults are the server's own. */

/** How VS Code tells one setting's values; see `WorkspaceConfiguration.inspect`. */
export interface Values {
  readonly globalValue?: unknown;
  readonly workspaceValue?: unknown;
  readonly workspaceFolderValue?: unknown;
}

/** The extension's own settings, which the server doesn't know. */
const OWN = new Set(['path', 'edits.display']);

/**
 * What the server is sent.
 *
 * A default that the editor sent would overrule the workspace's `midline.toml`.
 *
 * @param names of all settings, without `midline.`.
 * @param inspect how each one is set.
 */
export function chosen(names: readonly string[], inspect: (name: string) => Values | undefined): Record<string, unknown> {
  const sent: Record<string, unknown> = {};
  for (const name of names) {
    const values = OWN.has(name) ? undefined : inspect(name);
    const value = values?.workspaceFolderValue ?? values?.workspaceValue ?? values?.globalValue;
    if (value !== undefined && value !== null) {
      sent[name] = value;
    }
  }
  return sent;
}

/** `completion.languages` with a language switched on or off; entries like `!markdown` leave one out. */
export function withLanguage(languages: readonly string[], language: string, on: boolean): string[] {
  const others = languages.filter((entry) => entry !== language && entry !== `!${language}`);
  const listsSome = others.some((entry) => !entry.startsWith('!')) || languages.includes(language);
  if (on) {
    return listsSome ? [...others, language] : others;
  }
  // Where languages are listed, leaving one out is enough, unless it was the only one: an empty list means all.
  const left = others.some((entry) => !entry.startsWith('!'));
  return left ? others : [...languages.filter((entry) => entry !== `!${language}`), `!${language}`];
}

/** Whether `completion.languages` asks for completions in a language. */
export function wants(languages: readonly string[], language: string): boolean {
  const included = languages.filter((entry) => !entry.startsWith('!'));
  return !languages.includes(`!${language}`) && (included.length === 0 || included.includes(language));
}
