/** The parts of an edit that stands in the text for now: where each one is while the text changes, and what became of it. */

/** Offsets are in UTF-16 units. */
export interface Region {
  readonly start: number;
  readonly end: number;
  /** The text before the edit, and by it; line breaks are the document's. */
  readonly before: string;
  readonly after: string;
  readonly accepted: boolean;
}

export interface Change {
  readonly offset: number;
  /** How much was replaced. */
  readonly length: number;
  readonly text: string;
}

/** `own`: the user has changed it since, so it is not ours to take away. */
export type State = 'pending' | 'accepted' | 'discarded' | 'own';

/** What a region with this text is. The text alone tells, so that undo and redo need no care. */
export function stateOf(region: Region, here: string): State {
  if (here === region.after) {
    return region.accepted ? 'accepted' : 'pending';
  }
  return here === region.before ? 'discarded' : 'own';
}

/** The regions of an edit, as they will stand in the text once it is applied. */
export function regionsOf(parts: readonly { start: number; end: number; before: string; after: string }[]): Region[] {
  let shift = 0;
  return parts.map(({ start, end, before, after }) => {
    const region = { start: start + shift, end: start + shift + after.length, before, after, accepted: false };
    shift += after.length - (end - start);
    return region;
  });
}

/** A region after a change of the text. What is inserted right before or behind one is not in it, unless it is empty. */
export function moved<R extends Region>(region: R, { offset, length, text }: Change): R {
  const [end, grown] = [offset + length, text.length - length];
  const empty = region.start === region.end;
  const inserted = length === 0;
  const [before, behind] = [end <= region.start, offset >= region.end];
  if (before && !(empty && inserted && behind)) {
    return { ...region, start: region.start + grown, end: region.end + grown };
  }
  if (behind && !(empty && inserted && before)) {
    return region;
  }
  return { ...region, start: Math.min(region.start, offset), end: Math.max(region.end, end) + grown };
}
