/** The conversation: questions and answers, the last of which may be coming. */
import type { Citation, Turn } from '../src/chat/messages.ts';
import { named, render } from './markdown.ts';
import { button, make, send, words } from './page.ts';

const open = (citation: Citation) => send({ kind: 'open', citation });

export class Turns {
  readonly element = make('main', { role: 'log', 'aria-label': words.conversations, 'aria-live': 'off', tabindex: '0' });
  /** Tells screen readers when an answer begins and is complete, not each word of it. */
  readonly announcer = make('div', { role: 'status', class: 'hidden' });
  private known: Citation[] = [];
  private coming: { element: HTMLElement; answer: string; reasoning: string } | undefined;
  private scheduled = false;

  show(turns: readonly Turn[], running: boolean): void {
    this.coming = undefined;
    this.known = [];
    this.element.replaceChildren();
    if (!turns.length) {
      this.element.append(make('p', { class: 'empty' }, words.empty));
    }
    for (const turn of turns) {
      this.add(turn);
    }
    if (running) {
      this.begin();
    }
    this.element.scrollTop = this.element.scrollHeight;
  }

  piece(of: 'answer' | 'reasoning', text: string): void {
    const coming = this.coming ?? this.begin();
    coming[of] += text;
    if (!this.scheduled) {
      this.scheduled = true;
      requestAnimationFrame(() => this.draw());
    }
  }

  end(turn: Turn): void {
    this.coming?.element.remove();
    this.coming = undefined;
    this.following(() => this.add(turn));
    this.announcer.textContent = turn.error ?? (turn.reason === 'cancelled' ? words.stopped : words.answered);
  }

  private begin() {
    const element = make('article', { class: 'assistant', 'aria-busy': 'true' }, heading(words.midline), make('p', { class: 'reading' }, words.reading));
    this.coming = { element, answer: '', reasoning: '' };
    this.element.append(element);
    this.announcer.textContent = words.answering;
    return this.coming;
  }

  private draw(): void {
    this.scheduled = false;
    const coming = this.coming;
    if (coming) {
      this.following(() => {
        const parts = this.parts({ role: 'assistant', text: coming.answer, reasoning: coming.reasoning });
        coming.element.replaceChildren(heading(words.midline), ...parts);
      });
    }
  }

  private add(turn: Turn): void {
    this.known.push(...(turn.context ?? []), ...(turn.citations ?? []));
    if (turn.role === 'user') {
      this.element.append(make('article', { class: 'user' }, heading(words.you), make('div', { class: 'text' }, turn.text)));
      return;
    }
    this.element.append(make('article', { class: 'assistant' }, heading(words.midline), ...this.parts(turn)));
  }

  private parts(turn: Turn): HTMLElement[] {
    const parts: HTMLElement[] = [];
    if (turn.reasoning) {
      const text = make('div', { class: 'text' }, turn.reasoning);
      parts.push(make('details', { class: 'reasoning', open: !turn.text }, make('summary', {}, words.reasoning), text));
    }
    const body = make('div', { class: 'body' });
    render(body, turn.text, this.known, open);
    for (const block of body.querySelectorAll('pre')) {
      block.tabIndex = 0;
      block.after(tools(block.textContent ?? ''));
    }
    parts.push(body);
    const note = turn.error ?? { length: words.cut, repetition: words.repeated, cancelled: words.stopped }[turn.reason ?? ''];
    if (note) {
      parts.push(make('p', { class: turn.error ? 'error' : 'note', role: turn.error ? 'alert' : undefined }, note));
    }
    if (turn.citations?.length) {
      parts.push(places(words.sources, turn.citations, true));
    }
    if (turn.context?.length) {
      parts.push(places(words.shown, turn.context, !turn.citations?.length));
    }
    return parts;
  }

  /** Change something and stay at the end, if that is where the reader is. */
  private following(change: () => void): void {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    const atEnd = scrollTop + clientHeight >= scrollHeight - 40;
    change();
    if (atEnd) {
      this.element.scrollTop = this.element.scrollHeight;
    }
  }
}

function places(title: string, citations: readonly Citation[], unfolded: boolean): HTMLElement {
  const list = citations.map((citation) => make('li', {}, button(named(citation), () => open(citation), { class: 'citation' })));
  return make('details', { class: 'sources', open: unfolded }, make('summary', {}, title), make('ul', {}, ...list));
}

function heading(text: string): HTMLElement {
  return make('h2', {}, text);
}

function tools(code: string): HTMLElement {
  return make(
    'div',
    { class: 'tools' },
    button(words.copy, () => send({ kind: 'copy', text: code })),
    button(words.insert, () => send({ kind: 'insert', text: code })),
    button(words.apply, () => send({ kind: 'apply', text: code })),
  );
}
