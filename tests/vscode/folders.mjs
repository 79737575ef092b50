// Windows of several folders, and of a folder of very many files.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { until } from './workbench.mjs';

const CODE = {
  alpha: 'def absolute(x):\n    """Return x without its sign."""\n    \n',
  beta: 'def minimum(a, b):\n    """Return the smaller one of two."""\n    \n',
};
const MOST_TOKENS = 24;
const FILES = 100_000;
const PER_FOLDER = 500;
/** No goals but bounds: what is over them is felt by everybody, on any machine. */
const LONGEST_ACTIVATION_MS = 1_000;
const LONGEST_KEY_MS = 1_000;

/** Each folder of a window has a server of its own, with its own settings and index, from when it is first worked in. */
export async function several_folders_have_a_server_each(bench) {
  const root = path.join(bench.root, 'several');
  for (const [folder, code] of Object.entries(CODE)) {
    fs.mkdirSync(path.join(root, folder, '.vscode'), { recursive: true });
    fs.writeFileSync(path.join(root, folder, `${folder}.py`), code);
  }
  fs.writeFileSync(path.join(root, 'beta', 'more.py'), 'def more():\n    return 1\n');
  const own = { 'midline.completion.max_tokens': MOST_TOKENS };
  fs.writeFileSync(path.join(root, 'beta', '.vscode', 'settings.json'), JSON.stringify(own));
  const folders = Object.keys(CODE).map((name) => ({ path: name }));
  fs.writeFileSync(path.join(root, 'both.code-workspace'), JSON.stringify({ folders, settings: {} }));
  await bench.awaitStatus(/^(check|sync) midline$/); // or the server of the window before would still be counted
  const before = bench.wire().length;
  const said = (method) => bench.wire().slice(before).filter(({ message }) => message.method === method).map(({ message }) => message.params);
  await bench.open(path.join(root, 'both.code-workspace'));
  await bench.awaitStatus(/^(check|sync) midline$/);
  assert.deepEqual(said('initialize').map(nameOf), ['alpha'], 'a folder that nobody works in has no server');
  const [ghosts, hovers] = [{}, {}];
  for (const name of Object.keys(CODE)) {
    const row = bench.page.locator('.explorer-folders-view .monaco-list-row');
    if (!(await row.filter({ hasText: `${name}.py` }).isVisible())) {
      await row.filter({ hasText: new RegExp(`^${name}$`) }).click();
    }
    await bench.edit(`${name}.py`, 3);
    await until(() => said('initialize').some((params) => nameOf(params) === name), `the server of ${name}`);
    await bench.awaitStatus(/^(check|sync) midline$/);
    await bench.page.keyboard.type('ret');
    ghosts[name] = await bench.awaitGhost();
    await bench.page.keyboard.press('Escape');
    hovers[name] = await bench.statusHover(new RegExp(`Folder\\s*${name}.*Index\\s*[1-9] files`, 's'));
  }
  await bench.screenshot('several-folders');
  const [alpha, beta] = said('initialize');
  assert.equal(nameOf(beta), 'beta');
  assert.equal(said('initialize').length, 2);
  assert.deepEqual([alpha, beta].map((params) => params.workspaceFolders.length), [1, 1]);
  assert.equal(alpha.initializationOptions.midline['completion.max_tokens'], undefined);
  assert.equal(beta.initializationOptions.midline['completion.max_tokens'], MOST_TOKENS);
  assert.match(hovers.alpha, /Index\s*1 files/);
  assert.match(hovers.beta, /Index\s*[23] files/);
  const opened = said('textDocument/didOpen').map(({ textDocument }) => path.basename(textDocument.uri));
  for (const name of Object.keys(CODE)) {
    assert.equal(opened.filter((file) => file === `${name}.py`).length, 1, `${opened}: one server has ${name}.py`);
  }
  return { ghosts, hovers };
}

/** A folder of 100,000 files: while it is indexed, keys show at once and suggestions come. The run's end removes it. */
export async function a_folder_of_very_many_files(bench) {
  const root = path.join(bench.root, 'very-many');
  const typed = 'smaller = x if x < 0 else -x';
  await bench.open(); // the window of another scenario may still be there
  await bench.awaitStatus(/^(check|sync) midline$/);
  await bench.write('usual.py', CODE.alpha);
  await bench.edit('usual.py', 3);
  const usual_key_ms = await bench.measureTyping(typed);
  await bench.save('usual.py', (text) => text.includes(typed));
  for (let group = 0; group < FILES / PER_FOLDER; group += 1) {
    const folder = path.join(root, 'parts', `group_${group}`);
    fs.mkdirSync(folder, { recursive: true });
    for (let number = group * PER_FOLDER; number < (group + 1) * PER_FOLDER; number += 1) {
      fs.writeFileSync(path.join(folder, `part_${number}.py`), `def part_${number}(x):\n    return x + ${number}\n`);
    }
  }
  fs.writeFileSync(path.join(root, 'here.py'), CODE.alpha);
  const began = Date.now();
  await bench.open(root);
  await bench.awaitStatus(/^(check|sync) midline$/);
  const ready_ms = Date.now() - began;
  const activation_ms = await bench.activation();
  await bench.edit('here.py', 3);
  const index = await until(() => bench.serverStatus()?.index.pending > FILES / 2 && bench.serverStatus().index, 'the indexing to begin');
  const keys = await bench.measureTyping(typed);
  await bench.page.keyboard.press('Enter');
  await bench.page.keyboard.type('ret');
  const ghost = await bench.awaitGhost();
  await bench.screenshot('very-many-files');
  await bench.page.keyboard.press('Escape');
  await bench.save('../very-many/here.py', (text) => text.includes(`    ${typed}\n    ret`));
  assert.ok(activation_ms < LONGEST_ACTIVATION_MS, `${activation_ms} ms`);
  assert.ok(keys.p95 < LONGEST_KEY_MS, `${keys.p95} ms until a key shows`);
  await bench.open();
  await bench.awaitStatus(/^(check|sync) midline$/);
  return { files: FILES, ready_ms, activation_ms, usual_key_ms, key_ms: keys, pending: index.pending, ghost };
}

const nameOf = ({ rootUri }) => path.basename(rootUri);
