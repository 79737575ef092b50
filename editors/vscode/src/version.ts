/** Whether this extension and a server fit together. */

/** As semantic versioning has it, before 1.0 the minor version counts; what can't be read fits nothing. */
export function fits(extension: string, server: string | undefined): boolean {
  const mine = significant(extension);
  return mine !== undefined && mine === significant(server ?? '');
}

/** Whether `server` is older than `extension`; only meaningful where they don't fit. */
export function isOlder(server: string | undefined, extension: string): boolean {
  const [a, b] = [numbers(server ?? ''), numbers(extension)];
  for (let index = 0; index < 3; index++) {
    const difference = (a?.[index] ?? 0) - (b?.[index] ?? 0);
    if (difference !== 0) {
      return difference < 0;
    }
  }
  return false;
}

function significant(version: string): string | undefined {
  const found = numbers(version);
  return found && (found[0] === 0 ? `0.${found[1]}` : `${found[0]}`);
}

function numbers(version: string): number[] | undefined {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version);
  return match ? match.slice(1).map((part) => Number(part ?? 0)) : undefined;
}
