/** Where questions are written: a text area with `@` completion, what code goes along, send and stop. */
import type { Completion, Place } from '../src/chat/messages.ts';
import { button, kept, make, send, words } from './page.ts';

const PAUSE_MS = 120;

export class Composer {
  private readonly area = make('textarea', {
    rows: '3',
    'aria-label': words.ask,
    placeholder: words.ask,
    title: words.hint,
    role: 'combobox',
    'aria-autocomplete': 'list',
    'aria-expanded': 'false',
    'aria-controls': 'completions',
  });
  private readonly list = make('ul', { id: 'completions', role: 'listbox', 'aria-label': words.suggestions, hidden: true });
  private readonly include = make('input', { type: 'checkbox', id: 'include' });
  private readonly label = make('label', { for: 'include' });
  private readonly place = make('div', { class: 'place', hidden: true }, this.include, this.label);
  private readonly go = button(words.send, () => this.submit(), { class: 'primary', title: words.hint });
  private readonly stop = button(words.stop, () => send({ kind: 'stop' }), { hidden: true });
  readonly element = make('footer', {}, this.list, this.place, this.area, make('div', { class: 'buttons' }, this.go, this.stop));

  private items: readonly Completion[] = [];
  private chosen = 0;
  private request = 0;
  private timer = 0;
  private running = false;
  private touched = false;

  constructor() {
    this.area.value = kept.draft;
    this.area.addEventListener('input', () => this.typed());
    this.area.addEventListener('keydown', (event) => this.key(event));
    this.area.addEventListener('blur', () => this.offer([]));
    this.include.addEventListener('change', () => {
      this.touched = true;
    });
  }

  focus(): void {
    this.area.focus();
  }

  setRunning(running: boolean): void {
    this.running = running;
    this.stop.hidden = !running;
    this.go.hidden = running;
  }

  /** A selection goes along unless the user says otherwise; where nothing is selected, it is the other way round. */
  setPlace(place: Place | undefined): void {
    this.place.hidden = !place;
    const text = place ? words.include.replace('{0}', place.label) : '';
    if (this.label.textContent !== text) {
      this.label.textContent = text;
      this.touched = false;
    }
    if (!this.touched) {
      this.include.checked = place?.selected ?? false;
    }
  }

  /** What stands for the name that is being written. */
  complete(request: number, items: readonly Completion[]): void {
    if (request === this.request) {
      this.offer(this.mention() === undefined ? [] : items);
    }
  }

  private submit(): void {
    const text = this.area.value.trim();
    if (text && !this.running) {
      send({ kind: 'ask', text, withPlace: !this.place.hidden && this.include.checked });
      this.area.value = kept.draft = '';
      this.offer([]);
    }
  }

  private typed(): void {
    kept.draft = this.area.value;
    clearTimeout(this.timer);
    const query = this.mention();
    const request = ++this.request;
    if (query === undefined) {
      this.offer([]);
    } else {
      this.timer = setTimeout(() => send({ kind: 'complete', request, query }), PAUSE_MS);
    }
  }

  /** What stands between an `@` and the cursor; undefined where there is none. */
  private mention(): string | undefined {
    return /(?:^|\s)@([\w./-]*)$/.exec(this.area.value.slice(0, this.area.selectionStart))?.[1];
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing) {
      return; // an input method's own keys
    }
    const offered = this.items.length > 0;
    if (offered && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      this.choose(this.chosen + (event.key === 'ArrowDown' ? 1 : -1));
    } else if (offered && (event.key === 'Enter' || event.key === 'Tab')) {
      this.accept(this.items[this.chosen]);
    } else if (event.key === 'Escape' && (offered || this.running)) {
      if (offered) {
        this.offer([]);
      } else {
        send({ kind: 'stop' });
      }
    } else if (event.key === 'Enter' && !event.shiftKey) {
      this.submit();
    } else {
      return;
    }
    event.preventDefault();
  }

  private accept(item: Completion | undefined): void {
    const query = this.mention();
    if (item && query !== undefined) {
      const end = this.area.selectionStart;
      this.area.setRangeText(`${item.insert} `, end - query.length - 1, end, 'end');
    }
    this.offer([]);
  }

  private offer(items: readonly Completion[]): void {
    this.items = items;
    this.list.hidden = items.length === 0;
    this.area.setAttribute('aria-expanded', String(items.length > 0));
    this.list.replaceChildren(
      ...items.map((item, index) =>
        make(
          'li',
          { id: `completion-${index}`, role: 'option', onmousedown: (event) => this.clicked(event, item) },
          make('span', {}, item.label),
          make('span', { class: 'detail' }, item.detail),
        ),
      ),
    );
    this.choose(0);
  }

  private clicked(event: Event, item: Completion): void {
    event.preventDefault(); // the text area keeps the focus
    this.accept(item);
  }

  private choose(index: number): void {
    this.chosen = this.items.length ? (index + this.items.length) % this.items.length : 0;
    [...this.list.children].forEach((child, at) => child.setAttribute('aria-selected', String(at === this.chosen)));
    const active = this.list.children[this.chosen];
    active?.scrollIntoView({ block: 'nearest' });
    if (active) {
      this.area.setAttribute('aria-activedescendant', active.id);
    } else {
      this.area.removeAttribute('aria-activedescendant');
    }
  }
}
