// Edits that the user asks for: shown in the text or beside it, accepted or discarded.
import assert from 'node:assert/strict';
import { until } from './workbench.mjs';

const SCALED = `def scaled(x):
    factor = 3
    offset = 4
    return x * factor + offset
`;
const RENAMED = ['def scaled(number):', '    return number * factor + offset'];

async function askFor(bench, wish) {
  await bench.command('midline: Edit…');
  const input = bench.page.locator('.quick-input-widget input[type="text"]');
  await input.waitFor();
  await input.fill(wish);
  await bench.page.keyboard.press('Enter');
}

/** An edit of two parts stands in the text: one is accepted, one discarded, and undo brings back what was there. */
export async function an_edit_is_decided_part_by_part(bench) {
  const { page } = bench;
  const lines = SCALED.trimEnd().split('\n');
  await bench.write('scaled.py', SCALED);
  await bench.edit('scaled.py', 1, 1);
  await askFor(bench, 'Rename the parameter x to number.');
  const [accept, discard] = [bench.lens('Accept'), bench.lens('Discard')];
  await until(async () => (await accept.count()) === 2, 'two parts');
  await bench.lens('− def scaled(x):').waitFor();
  await bench.lens('− return x * factor + offset').waitFor();
  await bench.screenshot('edit-in-place');
  assert.equal(bench.read('scaled.py'), SCALED, 'nothing is saved');
  const pending = page.locator('.statusbar-item').filter({ hasText: 'change 1 of 2' });
  await pending.waitFor();
  // Saved while it is pending: what is shown is what is saved, and it is still to be decided on.
  await bench.save('scaled.py', (text) => text === [RENAMED[0], lines[1], lines[2], RENAMED[1], ''].join('\n'));
  assert.equal(await accept.count(), 2);
  // A window that is loaded again still knows.
  await bench.page.waitForTimeout(1_000); // until the workbench has written down what the extension keeps
  await bench.open();
  await bench.edit('scaled.py', 1, 1);
  await until(async () => (await accept.count()) === 2, 'both parts, in the window that was loaded again');
  // With keys: the first is accepted, the cursor goes to the second; it is discarded, and undone, and discarded again.
  await bench.chord('Control+k', 'y');
  await until(async () => (await accept.count()) === 1 && (await bench.position()).startsWith('Ln 4,'), 'one part is left');
  await bench.chord('Control+k', 'x');
  await until(async () => (await accept.count()) === 0, 'none is left');
  await bench.save('scaled.py', (text) => text === [RENAMED[0], ...lines.slice(1), ''].join('\n'));
  await page.keyboard.press('Control+z');
  await until(async () => (await accept.count()) === 1, 'what was discarded to be back, to be decided on');
  // What is typed elsewhere stays, and what is typed in a part makes it the user's own.
  await bench.edit('scaled.py', 3);
  await page.keyboard.type('  # mine');
  assert.equal(await accept.count(), 1);
  await discard.first().click();
  await until(async () => (await accept.count()) === 0, 'none is left');
  const text = [RENAMED[0], lines[1], `${lines[2]}  # mine`, lines[3], ''].join('\n');
  await bench.save('scaled.py', (saved) => saved === text);
  // A whole edit is discarded, and the one after it taken back by undo.
  await bench.edit('scaled.py', 1, 1);
  await askFor(bench, 'Rename the parameter number to amount.');
  await until(async () => (await accept.count()) > 0, 'the second edit');
  await bench.chord('Control+k', 'Shift+x');
  await until(async () => (await accept.count()) === 0, 'all of it to be discarded');
  await bench.save('scaled.py', (saved) => saved === text);
  return { text };
}

/** With the setting that says so, an edit is shown beside the text, as a whole. */
export async function an_edit_is_previewed_and_applied(bench) {
  const before = 'def half(x):\n    return x / 2\n';
  await bench.write('edited.py', before);
  await bench.set({ 'midline.edits.display': 'diff' });
  await bench.open();
  await bench.awaitStatus(/^(check|sync) midline$/);
  await bench.edit('edited.py', 2, 1);
  await askFor(bench, 'Add a docstring: Return half of x.');
  await bench.page.locator('.tab.active').filter({ hasText: 'midline: edited.py' }).waitFor();
  await bench.page.locator('.monaco-diff-editor .line-insert').first().waitFor({ state: 'attached' });
  await bench.screenshot('edit');
  assert.equal(bench.read('edited.py'), before, 'nothing is changed before it is accepted');
  await bench.page.locator('.editor-actions .action-label[aria-label*="Accept the Edit"]').click();
  await bench.page.locator('.tab').filter({ hasText: 'midline: edited.py' }).waitFor({ state: 'hidden' });
  await bench.save('edited.py', (text) => text.includes('"""'));
  const text = bench.read('edited.py');
  assert.match(text, /def half\(x\):/);
  assert.match(text, /return x \/ 2/);
  // The second one is discarded, with a key: the file stays as it is.
  await bench.edit('edited.py', 1);
  await askFor(bench, 'Rename the parameter x to number.');
  await bench.page.locator('.tab.active').filter({ hasText: 'midline: edited.py' }).waitFor();
  await bench.page.locator('.monaco-diff-editor .line-insert').first().waitFor({ state: 'attached' });
  await bench.page.keyboard.press('Escape');
  await bench.page.locator('.tab').filter({ hasText: 'midline: edited.py' }).waitFor({ state: 'hidden' });
  assert.equal(bench.read('edited.py'), text);
  await bench.unset('midline.edits.display');
  await bench.open();
  await bench.awaitStatus(/^(check|sync) midline$/);
  return { text };
}

/** Tests of a file that has none yet: the new file is shown, and is there once it is accepted. */
export async function a_test_file_is_created(bench) {
  await bench.write('triple.py', 'def triple(x):\n    """Return x times three."""\n    return 3 * x\n');
  await bench.edit('triple.py', 1, 1);
  await bench.lightbulb('Write tests (midline)', () => bench.command('Source Action...'));
  const shown = bench.page.locator('.tab.active').filter({ hasText: 'midline: test_triple.py' });
  await shown.waitFor();
  await bench.page.locator('.monaco-diff-editor .line-insert').first().waitFor({ state: 'attached' });
  const file = 'tests/test_triple.py';
  assert.throws(() => bench.read(file), 'there is no file before the edit is accepted');
  await bench.screenshot('test-file');
  await bench.page.keyboard.press('Control+Enter');
  await shown.waitFor({ state: 'hidden' });
  await bench.page.locator('.tab.active[data-resource-name="test_triple.py"]').waitFor();
  await bench.save(file, (text) => text.includes('def test_'));
  const text = bench.read(file);
  assert.match(text, /triple/);
  return { text };
}
