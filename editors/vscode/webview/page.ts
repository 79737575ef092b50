/** What all parts of the page share: the extension on the other end, its words, and a way to make elements. */
import type { ToExtension, Words } from '../src/chat/messages.ts';

interface Kept {
  /** A question that was begun. */
  readonly draft: string;
}
declare function acquireVsCodeApi(): {
  postMessage(message: ToExtension): void;
  getState(): Kept | undefined;
  setState(state: Kept): void;
};

const api = acquireVsCodeApi();

export const words = JSON.parse(document.body.dataset.words ?? '{}') as Words;

/** What outlasts the page, which VS Code drops when it is hidden. */
export const kept = {
  get draft(): string {
    return api.getState()?.draft ?? '';
  },
  set draft(draft: string) {
    api.setState({ draft });
  },
};

export function send(message: ToExtension): void {
  api.postMessage(message);
}

type Properties = Record<string, string | boolean | ((event: Event) => void) | undefined>;

/** An element with attributes, `on…` handlers and children; text is never read as HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Properties = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === 'function') {
      element.addEventListener(key.slice(2), value);
    } else if (value === true) {
      element.setAttribute(key, '');
    } else if (typeof value === 'string') {
      element.setAttribute(key, value);
    }
  }
  element.append(...children);
  return element;
}

export function button(label: string, run: () => void, properties: Properties = {}): HTMLButtonElement {
  return make('button', { type: 'button', onclick: run, ...properties }, label);
}
