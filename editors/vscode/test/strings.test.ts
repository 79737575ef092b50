import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (name: string): Record<string, string> => JSON.parse(readFileSync(name, 'utf8'));
const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

/** All strings that are translated, as they stand in the sources. */
function said(): Set<string> {
  const found = new Set<string>();
  for (const name of sources) {
    const text = readFileSync(`src/${name}`, 'utf8');
    for (const match of text.matchAll(/\b(?:t|say)\(\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")/g)) {
      found.add(match[1]!.slice(1, -1).replace(/\\'/g, "'"));
    }
  }
  return found;
}

const holes = (text: string) => [...text.matchAll(/\{\d\}/g)].map(String).sort().join();

test('every string has its Chinese, with the same holes, and none is left over', () => {
  const chinese = read('l10n/bundle.l10n.zh-cn.json');
  const strings = said();
  assert.ok(strings.size > 50);
  assert.deepEqual([...strings].filter((text) => !(text in chinese)), []);
  assert.deepEqual(Object.keys(chinese).filter((text) => !strings.has(text)), []);
  for (const [text, translated] of Object.entries(chinese)) {
    assert.equal(holes(translated), holes(text), text);
  }
});

test('every text of the manifest is there in English, and in Chinese but for new settings', () => {
  const names = [...readFileSync('package.json', 'utf8').matchAll(/"%([\w.]+)%"/g)].map((match) => match[1]!);
  const [english, chinese] = [read('package.nls.json'), read('package.nls.zh-cn.json')];
  assert.deepEqual(names.filter((name) => !(name in english)), []);
  assert.deepEqual(Object.keys(chinese).filter((name) => !(name in english)), []);
  assert.deepEqual(names.filter((name) => !(name in chinese) && !name.startsWith('setting.')), []);
});
