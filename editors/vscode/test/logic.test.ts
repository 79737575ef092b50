import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cited } from '../src/chat/citations.ts';
import { applied, size, Stale, type Hunk } from '../src/edits/hunks.ts';
import { moved, regionsOf, stateOf, type Change } from '../src/edits/regions.ts';
import { hunksBetween } from '../src/edits/lines.ts';
import { Partial } from '../src/partial.ts';
import { Restarts } from '../src/restarts.ts';
import { chosen, wants, withLanguage } from '../src/settings.ts';
import { commandIn, describe, type Status, type Switches } from '../src/status/describe.ts';
import { fits, isOlder } from '../src/version.ts';

test('before 1.0 the minor version counts, then the major', () => {
  assert.ok(fits('0.1.0', '0.1.9'));
  assert.ok(!fits('0.1.0', '0.2.0'));
  assert.ok(fits('1.2.0', '1.9.3'));
  assert.ok(!fits('1.0.0', '2.0.0'));
  assert.ok(!fits('0.1.0', undefined));
  assert.ok(!fits('0.1.0', 'nightly'));
  assert.ok(isOlder('0.1.9', '0.2.0') && !isOlder('0.10.0', '0.9.0') && isOlder(undefined, '0.1.0'));
});

test('a server that keeps stopping is given up, one that ran for long is not', () => {
  const restarts = new Restarts();
  const delays = [1, 2, 3, 4, 5].map(() => restarts.next(100));
  assert.equal(delays[4], undefined);
  assert.ok(delays.slice(0, 4).every((delay, index) => index === 0 || delay! > delays[index - 1]!));
  assert.equal(restarts.next(10 * 60_000), delays[0]);
  restarts.reset();
  assert.equal(restarts.next(0), delays[0]);
});

test('only what the user set is sent, and nothing of the extension’s own', () => {
  const values: Record<string, object> = {
    path: { globalValue: '/x' },
    'completion.enabled': { globalValue: true, workspaceValue: false },
    'completion.max_tokens': { defaultValue: 96 },
    'index.exclude': { workspaceFolderValue: ['a'], workspaceValue: ['b'] },
  };
  const sent = chosen(Object.keys(values), (name) => values[name]);
  assert.deepEqual(sent, { 'completion.enabled': false, 'index.exclude': ['a'] });
});

test('a language is switched off and on again', () => {
  for (const languages of [[], ['!markdown'], ['python'], ['python', 'go'], ['python', 'go', '!markdown']]) {
    for (const language of ['python', 'go', 'markdown']) {
      const off = withLanguage(languages, language, false);
      assert.ok(!wants(off, language), `${language} off in ${languages}`);
      assert.ok(wants(withLanguage(off, language, true), language), `${language} on in ${off}`);
      for (const other of ['python', 'go', 'markdown', 'rust'].filter((one) => one !== language)) {
        assert.equal(wants(off, other), wants(languages, other), `${other} when ${language} goes from ${languages}`);
      }
    }
  }
});

test('hunks are applied by UTF-16 positions, whatever the line ends', () => {
  const hunk = (line: number, start: number, end: number, old_text: string, new_text: string): Hunk => ({
    range: { start: { line, character: start }, end: { line: end, character: 0 } },
    old_text,
    new_text,
  });
  const text = 'a\r\n😀b\r\nc\r\n';
  assert.equal(applied(text, [hunk(1, 2, 2, 'b\r\n', 'B\r\n')]), 'a\r\n😀B\r\nc\r\n');
  assert.equal(applied(text, [hunk(0, 0, 1, 'a\n', ''), hunk(3, 0, 3, '', 'd')]), '😀b\r\nc\r\nd');
  assert.equal(applied('', [hunk(0, 0, 0, '', 'new\n')]), 'new\n');
  assert.throws(() => applied(text, [hunk(0, 0, 1, 'b\n', '')]), Stale);
  assert.throws(() => applied(text, [hunk(1, 0, 2, '😀b\n', 'x'), hunk(0, 0, 1, 'a\n', 'x')]), Stale);
  assert.equal(size([hunk(0, 0, 1, 'a\n', 'b\nc\n'), hunk(3, 0, 3, '', 'd')]), '+3 −1');
});

test('the hunks between two texts make one of the other, and leave lines that stay', () => {
  const texts = ['', 'a\n', 'a\nb\nc\n', 'a\nB\nc\n', 'x\na\nb\n', 'c\nb\na\n', 'a\nb', 'a\r\nb\r\n', 'b\n\nb\n', 'a\nb\nc\nd'];
  for (const before of texts) {
    for (const after of texts) {
      const hunks = hunksBetween(before, after, 0);
      assert.equal(applied(before, hunks), after, JSON.stringify([before, after]));
      const below = hunksBetween(before, after, 2);
      assert.equal(applied(`1\n2\n${before}`, below), `1\n2\n${after}`);
    }
  }
  assert.equal(hunksBetween('a\nb\nc\nd\n', 'a\nB\nc\nD\n', 0).length, 2);
  assert.deepEqual(hunksBetween('a\nb\n', 'a\nb\n', 0), []);
});

test('parts of an edit keep their place and tell what became of them, also after undo', () => {
  let text = 'a\nb\nc\nd\n';
  const parts = [{ start: 2, end: 4, before: 'b\n', after: 'B\nB\n' }, { start: 8, end: 8, before: '', after: 'e\n' }];
  let regions = regionsOf(parts);
  const states = () => regions.map((region) => stateOf(region, text.slice(region.start, region.end)));
  const change = ({ offset, length, text: inserted }: Change) => {
    text = text.slice(0, offset) + inserted + text.slice(offset + length);
    regions = regions.map((region) => moved(region, { offset, length, text: inserted }));
  };
  const [put, back] = [{ offset: 2, length: 2, text: 'B\nB\n' }, { offset: 2, length: 4, text: 'b\n' }];
  text = 'a\nB\nB\nc\nd\ne\n';
  assert.deepEqual(states(), ['pending', 'pending']);
  change(back);
  assert.deepEqual(states(), ['discarded', 'pending']);
  change(put); // undone
  assert.deepEqual(states(), ['pending', 'pending']);
  change({ offset: 10, length: 2, text: '' });
  change({ offset: 10, length: 0, text: 'e\n' });
  assert.deepEqual(states(), ['pending', 'pending'], 'what was inserted is discarded and put back');
  change({ offset: 0, length: 0, text: 'new\n' });
  change({ offset: 6, length: 0, text: '\n' }); // Enter before the first part
  change({ offset: 11, length: 0, text: 'behind it\n' });
  assert.deepEqual(states(), ['pending', 'pending'], 'lines beside a part are not in it');
  assert.equal(text, 'new\na\n\nB\nB\nbehind it\nc\nd\ne\n');
  regions = regions.map((region, index) => ({ ...region, accepted: index === 1 }));
  change({ offset: 8, length: 1, text: 'mine' });
  assert.deepEqual(states(), ['own', 'accepted']);
  change({ offset: 0, length: text.length, text: '' });
  assert.deepEqual(regions.map(({ start, end }) => [start, end]), [[0, 0], [0, 0]], 'all of it is replaced');
});

test('a part that only removes is discarded by its undo, and own once something is typed there', () => {
  const [region] = regionsOf([{ start: 2, end: 4, before: 'b\n', after: '' }]);
  assert.equal(stateOf(region!, ''), 'pending');
  const undone = moved(region!, { offset: 2, length: 0, text: 'b\n' });
  assert.deepEqual([undone.start, undone.end], [2, 4]);
  assert.equal(stateOf(undone, 'b\n'), 'discarded');
});

test('words taken of a suggestion are told once, keys and all of it are not', () => {
  const partial = new Partial();
  const shown = { id: 'one', uri: 'u', start: 10, texts: ['return x * 2'] };
  const edit = (offset: number, text: string, replaced = 0) => partial.edited({ uri: 'u', offset, replaced, text });
  partial.show(shown);
  assert.equal(edit(10, 'r'), undefined);
  assert.deepEqual(edit(11, 'eturn '), { id: 'one', characters: 6 });
  partial.show({ id: 'two', uri: 'u', start: 17, texts: ['x * 2'] }); // the rest, as a suggestion of its own
  assert.deepEqual(edit(17, 'x *'), { id: 'two', characters: 3 });
  assert.equal(edit(20, ' 2'), undefined, 'all of it: the item’s command tells');
  partial.show(shown);
  assert.equal(edit(10, 'other'), undefined);
  assert.equal(edit(10, 'return'), undefined, 'what is gone is gone');
  partial.show(shown);
  assert.equal(edit(10, 'return', 3), undefined);
  partial.show(shown);
  assert.equal(partial.edited({ uri: 'elsewhere', offset: 10, replaced: 0, text: 'return' }), undefined);
});

test('only places that the server named are opened', () => {
  const source = { path: 'a.py', start_line: 3, end_line: 9 };
  const turns = [{ role: 'assistant', text: '', context: [source] }] as const;
  assert.equal(cited({ ...source, start_line: 5 }, turns), source);
  assert.equal(cited({ ...source, start_line: 10 }, turns), undefined);
  assert.equal(cited({ ...source, path: '/etc/passwd' }, turns), undefined);
});

const say = (message: string, ...values: (string | number)[]) => message.replace(/\{(\d)\}/g, (_, at) => String(values[at]));
const ON: Switches = { enabled: true, language: true, snoozed: 0 };
const status = (engine: Partial_<Status['engine']>, more: Partial_<Status> = {}): Status => ({
  engine: { state: 'ready', model: 'm', ...engine },
  ...more,
});
type Partial_<T> = { [K in keyof T]?: T[K] };
const text = (engine: Partial_<Status['engine']>, switches = ON) => describe({ state: 'running' }, status(engine), switches, say);

test('each state has its icon, and its cure where there is one', () => {
  assert.equal(text({}).text, '$(check) midline');
  assert.equal(text({ state: 'busy' }).text, '$(sync~spin) midline');
  assert.equal(text({ state: 'starting', progress: 0.42 }).text, '$(loading~spin) midline 42%');
  const failed = text({ state: 'failed', detail: 'It broke.', cure: 'Mend it.' });
  assert.deepEqual([failed.level, failed.cure], ['error', 'It broke. Mend it.']);
  assert.equal(text({ state: 'disabled', detail: 'No model.' }).level, 'warning');
  assert.equal(text({}, { ...ON, snoozed: 61_000 }).text, '$(bell-slash) midline 2 min');
  assert.equal(text({}, { ...ON, enabled: false }).text, '$(circle-slash) midline');
  assert.equal(text({ state: 'disabled' }, { ...ON, enabled: false }).level, 'normal', 'as the user wants it');
  assert.equal(describe({ state: 'missing', message: 'Gone.' }, undefined, ON, say).cure, 'Gone.');
  assert.equal(describe({ state: 'starting' }, undefined, ON, say).level, 'normal');
});

test('the hover has the figures that are known', () => {
  const counts = { requests: 10, tokens_evaluated: 25, p50_ms: 210.4, p95_ms: 800, shown: 4, accepted: 3 };
  const full = status({}, { completion: counts, memory: { engine_bytes: 7e8, server_bytes: 1e8 }, index: { state: 'ready', files: 7 } });
  const rows = Object.fromEntries(describe({ state: 'running' }, full, ON, say).rows);
  assert.equal(rows['Tokens computed per request'], '2.5');
  assert.equal(rows['Time of a suggestion'], '210 ms median, 800 ms p95');
  assert.equal(rows['Accepted'], '3 of 4 (75%)');
  assert.equal(rows['Memory'], '0.80 GB');
  assert.equal(rows['Index'], '7 files');
  assert.deepEqual(describe({ state: 'running' }, status({ model: null }), ON, say).rows, []);
  assert.deepEqual(describe({ state: 'starting' }, undefined, ON, say, 'api').rows, [['Folder', 'api']]);
});

test('a cure that names one of midline’s commands gives it to a terminal', () => {
  assert.equal(commandIn('Install it: midline model pull qwen2.5-coder-0.5b-instruct.'), 'model pull qwen2.5-coder-0.5b-instruct');
  assert.equal(commandIn('Run midline doctor to see more.'), 'doctor');
  assert.equal(commandIn('midline serve'), undefined);
  assert.equal(commandIn('midline model pull x; rm -rf /'), 'model pull x');
});
