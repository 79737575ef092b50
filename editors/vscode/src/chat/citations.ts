/** Which places the page may have opened: those that the server named in this conversation, and no others. */
import type { Citation, Turn } from './messages.ts';

/** The citation among the turns' that a page's message means; undefined where the server has named no such place. */
export function cited(asked: Citation, turns: readonly Turn[]): Citation | undefined {
  return turns
    .flatMap((turn) => [...(turn.citations ?? []), ...(turn.context ?? [])])
    .find((one) => one.path === asked.path && asked.start_line >= one.start_line && asked.start_line <= one.end_line);
}
