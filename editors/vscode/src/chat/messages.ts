/** What the chat's page and the extension say to each other. */

export interface Citation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  /** Of what the model was shown; citations in the text name it as [number]. */
  readonly number?: number;
  readonly symbol?: string;
}

export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly reasoning?: string;
  readonly citations?: readonly Citation[];
  readonly context?: readonly Citation[];
  /** Why the answer ended, where it isn't complete: `length`, `repetition`, `cancelled`. */
  readonly reason?: string;
  readonly error?: string;
}

export interface Conversation {
  readonly id: string;
  readonly title: string;
  /** When something was said in it last, as ISO 8601 has it. */
  readonly changed: string;
}

/** The code that goes with the next question. */
export interface Place {
  readonly label: string;
  readonly selected: boolean;
}

export interface Completion {
  readonly label: string;
  readonly detail: string;
  readonly insert: string;
}

export type ToPage =
  | { readonly kind: 'state'; readonly title: string; readonly turns: readonly Turn[]; readonly running: boolean }
  | { readonly kind: 'piece'; readonly of: 'answer' | 'reasoning'; readonly text: string }
  | { readonly kind: 'turn'; readonly turn: Turn; readonly title: string; readonly running: boolean }
  | { readonly kind: 'place'; readonly place: Place | undefined }
  | { readonly kind: 'conversations'; readonly list: readonly Conversation[]; readonly current: string }
  | { readonly kind: 'completions'; readonly request: number; readonly items: readonly Completion[] }
  | { readonly kind: 'focus' };

export type ToExtension =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ask'; readonly text: string; readonly withPlace: boolean }
  | { readonly kind: 'stop' }
  | { readonly kind: 'copy' | 'insert' | 'apply'; readonly text: string }
  | { readonly kind: 'open'; readonly citation: Citation }
  | { readonly kind: 'complete'; readonly request: number; readonly query: string }
  | { readonly kind: 'list' | 'begin' }
  | { readonly kind: 'continue' | 'delete' | 'export' | 'rename'; readonly id: string; readonly title: string };

/** The page's own words, translated by the extension. */
export interface Words {
  readonly you: string;
  readonly midline: string;
  readonly ask: string;
  readonly send: string;
  readonly stop: string;
  readonly copy: string;
  readonly insert: string;
  readonly apply: string;
  readonly sources: string;
  readonly shown: string;
  readonly reasoning: string;
  readonly empty: string;
  readonly hint: string;
  readonly include: string;
  readonly answering: string;
  readonly answered: string;
  readonly reading: string;
  readonly cut: string;
  readonly repeated: string;
  readonly stopped: string;
  readonly conversations: string;
  readonly none: string;
  readonly rename: string;
  readonly remove: string;
  readonly export: string;
  readonly back: string;
  readonly suggestions: string;
}
