/** The chat's page: puts its parts together and hands them what the extension says. */
import type { ToPage } from '../src/chat/messages.ts';
import { Composer } from './composer.ts';
import { conversations } from './list.ts';
import { make, send } from './page.ts';
import { Turns } from './turns.ts';

const turns = new Turns();
const composer = new Composer();
const title = make('h1', { hidden: true });
let listing: HTMLElement | undefined;

function closeList(): void {
  listing?.remove();
  listing = undefined;
  turns.element.hidden = composer.element.hidden = false;
  title.hidden = !title.textContent;
}

function received(message: ToPage): void {
  switch (message.kind) {
    case 'state':
      closeList();
      turns.show(message.turns, message.running);
      name(message.title);
      return composer.setRunning(message.running);
    case 'piece':
      return turns.piece(message.of, message.text);
    case 'turn':
      turns.end(message.turn);
      name(message.title);
      return composer.setRunning(message.running);
    case 'place':
      return composer.setPlace(message.place);
    case 'completions':
      return composer.complete(message.request, message.items);
    case 'conversations':
      closeList();
      listing = conversations(message.list, message.current, closeList);
      turns.element.hidden = composer.element.hidden = title.hidden = true;
      document.body.append(listing);
      return listing.querySelector('button')?.focus();
    case 'focus':
      return composer.focus();
  }
}

function name(text: string): void {
  title.textContent = text;
  title.hidden = !text;
}

document.body.append(title, turns.element, turns.announcer, composer.element);
window.addEventListener('message', (event: MessageEvent<ToPage>) => received(event.data));
send({ kind: 'ready' });
