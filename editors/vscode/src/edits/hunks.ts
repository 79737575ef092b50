/** An edit as `midline/edit` gives it, applied to text. Positions are LSP's: lines and UTF-16 units, from 0. */

export interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Hunk {
  readonly range: { readonly start: Position; readonly end: Position };
  readonly old_text: string;
  readonly new_text: string;
}

/** The text is not the one that the edit was made for. */
export class Stale extends Error {}

/**
 * The text with all hunks in it.
 *
 * @throws Stale where a hunk's old text doesn't stand in its range.
 */
export function applied(text: string, hunks: readonly Hunk[]): string {
  const starts = lineStarts(text);
  const parts: string[] = [];
  let end = 0;
  for (const hunk of hunks) {
    const [from, to] = [offsetOf(hunk.range.start, starts, text), offsetOf(hunk.range.end, starts, text)];
    if (from < end || sameLines(text.slice(from, to)) !== sameLines(hunk.old_text)) {
      throw new Stale();
    }
    parts.push(text.slice(end, from), hunk.new_text);
    end = to;
  }
  return parts.join('') + text.slice(end);
}

/** How many lines go and come, for titles: `+3 −1`. */
export function size(hunks: readonly Hunk[]): string {
  const lines = (text: string) => (text ? text.split(/\r\n|\r|\n/).length - (/[\r\n]$/.test(text) ? 1 : 0) : 0);
  const sum = (key: 'old_text' | 'new_text') => hunks.reduce((total, hunk) => total + lines(hunk[key]), 0);
  return `+${sum('new_text')} −${sum('old_text')}`;
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (const match of text.matchAll(/\r\n|\r|\n/g)) {
    starts.push(match.index + match[0].length);
  }
  return starts;
}

function offsetOf(position: Position, starts: readonly number[], text: string): number {
  const start = starts[position.line];
  return start === undefined ? text.length : Math.min(start + position.character, starts[position.line + 1] ?? text.length);
}

function sameLines(text: string): string {
  return text.replace(/\r\n?/g, '\n');
}
