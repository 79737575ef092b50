/** Where midline's program is: the setting, the workspace's environment, Python's active one, PATH. */
import * as path from 'node:path';

export interface Places {
  /** The setting `midline.path`; empty if it isn't set. */
  readonly setting: string;
  /** Folders of the workspace. */
  readonly folders: readonly string[];
  /** Whether what lies in the workspace may be run. */
  readonly trusted: boolean;
  /** The PATH that programs are looked for in. */
  readonly searchPath: string;
  readonly home: string;
  readonly windows: boolean;
  /** The folder of the Python extension's active environment; asked only where nothing else comes before it. */
  python(): Promise<string | undefined>;
  /** Whether a path is a file that can be run. */
  runs(file: string): Promise<boolean>;
}

export type Found =
  | { readonly program: string; readonly by: 'setting' | 'workspace' | 'python' | 'path' }
  | { readonly program: undefined; readonly wrongSetting: string };

const ENVIRONMENTS = ['.venv', 'venv'];

/** The first of these places that has midline. A setting that leads nowhere is an error, not a reason to go on. */
export async function find(places: Places): Promise<Found> {
  if (places.setting) {
    const program = expand(places.setting, places);
    return (await places.runs(program)) ? { program, by: 'setting' } : { program: undefined, wrongSetting: program };
  }
  if (places.trusted) {
    const environments = places.folders.flatMap((folder) => ENVIRONMENTS.map((name) => path.join(folder, name)));
    const program = await first(environments.map((environment) => programOf(environment, places)), places);
    if (program) {
      return { program, by: 'workspace' };
    }
  }
  const active = await places.python();
  if (active && (places.trusted || !inside(active, places.folders))) {
    const program = await first([programOf(active, places)], places);
    if (program) {
      return { program, by: 'python' };
    }
  }
  const program = await first(onPath(places), places);
  return program ? { program, by: 'path' } : { program: undefined, wrongSetting: '' };
}

/** `~` and `${workspaceFolder}` as people write them. */
function expand(setting: string, places: Places): string {
  const folder = places.folders[0] ?? '';
  const replaced = setting.replaceAll('${workspaceFolder}', folder);
  return replaced === '~' || /^~[\\/]/.test(replaced) ? path.join(places.home, replaced.slice(1)) : replaced;
}

function programOf(environment: string, places: Places): string {
  return places.windows
    ? path.join(environment, 'Scripts', 'midline.exe')
    : path.join(environment, 'bin', 'midline');
}

/** Relative entries would be looked up in whatever folder is open; so would those that lie in it. */
function onPath(places: Places): string[] {
  const name = places.windows ? 'midline.exe' : 'midline';
  return places.searchPath
    .split(path.delimiter)
    .filter((entry) => path.isAbsolute(entry) && (places.trusted || !inside(entry, places.folders)))
    .map((entry) => path.join(entry, name));
}

async function first(files: string[], places: Places): Promise<string | undefined> {
  for (const file of files) {
    if (await places.runs(file)) {
      return file;
    }
  }
  return undefined;
}

export function inside(file: string, folders: readonly string[]): boolean {
  return folders.some((folder) => {
    const relative = path.relative(folder, file);
    return !relative.startsWith('..') && !path.isAbsolute(relative);
  });
}
