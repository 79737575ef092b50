/** The conversations of this folder, to go on with or put in order. */
import type { Conversation } from '../src/chat/messages.ts';
import { button, make, send, words } from './page.ts';

export function conversations(list: readonly Conversation[], current: string, back: () => void): HTMLElement {
  const rows = list.map(({ id, title, changed }) => {
    const act = (kind: 'continue' | 'rename' | 'delete' | 'export') => () => send({ kind, id, title });
    const when = new Date(changed).toLocaleString(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'short' });
    const name = button(title, act('continue'), { class: 'title', 'aria-current': id === current ? 'true' : undefined });
    const tools = make(
      'div',
      { class: 'tools' },
      button(words.rename, act('rename')),
      button(words.export, act('export')),
      button(words.remove, act('delete')),
    );
    return make('li', {}, name, make('span', { class: 'detail' }, when), tools);
  });
  const content = rows.length ? make('ul', { class: 'conversations' }, ...rows) : make('p', { class: 'empty' }, words.none);
  const heading = make('h2', {}, words.conversations);
  return make('section', { 'aria-label': words.conversations }, make('header', {}, button(words.back, back), heading), content);
}
