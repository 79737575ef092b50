/** What differs between lines as they are and as they are to be. */
import type { Hunk } from './hunks.ts';

/** More pairs of lines than this aren't compared: all of the text is one hunk then. */
const MOST_PAIRS = 4_000_000;

/**
 * The hunks that make one text of another, by a longest common subsequence of their lines.
 *
 * @param before whole lines of a document.
 * @param after what is to stand in their place.
 * @param first the line of the document where they begin, from 0.
 */
export function hunksBetween(before: string, after: string, first: number): Hunk[] {
  const [old, fresh] = [linesOf(before), linesOf(after)];
  const common = old.length * fresh.length > MOST_PAIRS ? [] : pairs(old, fresh);
  const hunks: Hunk[] = [];
  let [from, to] = [0, 0];
  for (const [i, j] of [...common, [old.length, fresh.length] as const]) {
    if (i > from || j > to) {
      hunks.push({ range: rangeOf(old, from, i, first), old_text: old.slice(from, i).join(''), new_text: fresh.slice(to, j).join('') });
    }
    [from, to] = [i + 1, j + 1];
  }
  return hunks;
}

/** Lines with their breaks; a last one without a break counts if there is anything in it. */
function linesOf(text: string): string[] {
  return text.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? [];
}

/** Indexes of lines that stay, in order. */
function pairs(old: readonly string[], fresh: readonly string[]): [number, number][] {
  const width = fresh.length + 1;
  const longest = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = fresh.length - 1; j >= 0; j--) {
      const [below, right] = [longest[(i + 1) * width + j]!, longest[i * width + j + 1]!];
      longest[i * width + j] = old[i] === fresh[j] ? longest[(i + 1) * width + j + 1]! + 1 : Math.max(below, right);
    }
  }
  const found: [number, number][] = [];
  for (let i = 0, j = 0; i < old.length && j < fresh.length; ) {
    if (old[i] === fresh[j]) {
      found.push([i++, j++]);
    } else if (longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!) {
      i++;
    } else {
      j++;
    }
  }
  return found;
}

/** The place of lines; behind a last one without a break, it is that line's end. */
function rangeOf(lines: readonly string[], from: number, to: number, first: number): Hunk['range'] {
  const at = (index: number) => {
    const last = lines[index - 1];
    return last !== undefined && !/[\r\n]$/.test(last)
      ? { line: first + index - 1, character: last.length }
      : { line: first + index, character: 0 };
  };
  return { start: at(from), end: at(to) };
}
