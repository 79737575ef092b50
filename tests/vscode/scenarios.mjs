// What a user does, in the order in which they run: one workbench serves all of them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { chat_is_stopped_and_kept, chat_streams_and_cites, conversations_are_put_in_order } from './chat.mjs';
import { a_test_file_is_created, an_edit_is_decided_part_by_part, an_edit_is_previewed_and_applied } from './edits.mjs';
import { a_folder_of_very_many_files, several_folders_have_a_server_each } from './folders.mjs';
import { measureKeys } from './latency.mjs';
import {
  a_huge_file_is_left_alone,
  bad_programs_are_told_once_with_the_cure,
  malformed_settings_are_told_once,
  server_of_another_version_is_told,
  two_windows_share_an_engine,
  untrusted_workspace_runs_nothing_of_its_own,
} from './troubles.mjs';
import { midline_is_found_in_environments } from './programs.mjs';
import { until } from './workbench.mjs';

const ABSOLUTE = 'def absolute(x):\n    """Return x without its sign, by an if and two returns."""\n    \n';
const STORE = `"""Where measurements are kept until they are written."""


class Store:
    """Keeps what was measured."""

    def __init__(self, file):
        self.file = file
        self.pending = []

    def add(self, value):
        """Keep a value until the next flush."""
        self.pending.append(value)

    def flush(self):
        """Write what is pending to the file, and forget it."""
        for value in self.pending:
            self.file.write(f"{value}\\n")
        self.pending = []
`;

/** The files of the project that the workbench opens. */
export const PROJECT = { 'absolute.py': ABSOLUTE, 'store.py': STORE };

/** A model is missing at the first start: the user is told so once, with the cure; once it is there, all works. */
async function first_start_without_a_model(bench) {
  const told = await bench.notification("isn't installed");
  assert.match(await told.textContent(), /midline model pull qwen2\.5-coder/);
  await bench.awaitStatus(/^warning midline/);
  await bench.screenshot('no-model');
  await told.getByRole('button', { name: 'Open Terminal' }).click();
  const terminal = bench.page.locator('.terminal-wrapper .xterm-rows');
  await until(async () => /model pull/.test((await terminal.textContent()) ?? ''), 'the command in the terminal');
  assert.equal(fs.readdirSync(bench.models).length, 0, 'nothing is fetched by itself');
  await bench.command('Terminal: Kill the Active Terminal Instance');
  bench.installModel();
  await bench.edit('absolute.py', 3);
  await until(async () => {
    await bench.page.keyboard.type('i'); // the server looks again when it is asked, though not at each key
    await bench.page.waitForTimeout(500);
    await bench.page.keyboard.press('Backspace');
    return /^(loading|check|sync)/.test(await bench.status());
  }, 'the model to be found');
  await bench.awaitStatus(/^(check|sync) midline$/);
}

async function ghost_text_is_accepted_and_saved(bench) {
  await bench.awaitStatus(/^(check|sync) midline$/);
  await bench.edit('absolute.py', 3);
  await bench.page.keyboard.type('if ');
  const ghost = await bench.awaitGhost();
  assert.match(ghost, /x/);
  await bench.screenshot('ghost');
  await bench.page.keyboard.press('Tab');
  await until(async () => !(await bench.ghost()).includes(ghost), 'the ghost to become text');
  await until(() => accepted(bench).length > 0, 'the server to hear of it');
  const id = accepted(bench)[0].message.params.arguments[0];
  const text = `${ABSOLUTE.trimEnd()}\n    if ${suggested(bench, id)}\n`;
  await bench.save('absolute.py', (saved) => saved === text);
  return { text };
}

const executed = (bench, name) =>
  bench.sent('workspace/executeCommand').filter(({ message }) => message.params.command === name);
/** The text that the server suggested under an id; what is left of it after a key keeps the id. */
const suggested = (bench, id) =>
  bench.wire().flatMap(({ message }) => message.result?.items ?? []).findLast((item) => item.command?.arguments[0] === id).insertText;
const accepted = (bench) => executed(bench, 'midline.accepted');

async function typing_fast_cancels_what_is_outdated(bench) {
  await bench.write('fast.py', 'def area(width, height):\n    \n');
  await bench.edit('fast.py', 2);
  const before = bench.sent('$/cancelRequest').length;
  const asked = bench.sent('textDocument/inlineCompletion').length;
  const requests = () => bench.sent('textDocument/inlineCompletion').length - asked;
  const cancels = () => bench.sent('$/cancelRequest').length - before;
  // Slower than VS Code waits before it asks (50 ms), faster than a model writes; names that no suggestion had before.
  const terms = ['result = width * zq1', ' - kx2 * height', ' + wj3 * vb4', ' - yp5 * gd6', ' + fm7 * rt8', ' - hn9 * cs0'];
  let line = '';
  while (terms.length > 0 && (line === '' || requests() < 2 || cancels() === 0)) {
    const term = terms.shift();
    await bench.page.keyboard.type(term, { delay: 70 });
    line += term;
  }
  await bench.save('fast.py', (text) => text.includes(line)); // no key is lost, none comes twice
  assert.ok(requests() > 1, `${requests()} requests`);
  assert.ok(cancels() > 0, 'outdated requests are cancelled');
  await until(() => unanswered(bench).length === 0, () => `answers to ${unanswered(bench)}`);
  return { requests: requests(), cancels: cancels() };
}

/** Ids of requests for suggestions that the server has not answered. */
function unanswered(bench) {
  const answered = new Set(bench.wire().filter(({ direction }) => direction === 'out').map(({ message }) => message.id));
  return bench.sent('textDocument/inlineCompletion').map(({ message }) => message.id).filter((id) => !answered.has(id));
}

async function a_word_is_accepted_and_told(bench) {
  await bench.write('words.py', 'def greet(name):\n    """Print hello and the name."""\n    \n');
  await bench.edit('words.py', 3);
  await bench.page.keyboard.type('print(');
  const ghost = await bench.awaitGhost();
  const told = executed(bench, 'midline.partlyAccepted').length;
  const [{ message }] = await until(async () => {
    await bench.page.keyboard.press('Control+ArrowRight'); // the first words may be single characters, which look like keys
    await bench.page.waitForTimeout(500);
    const all = executed(bench, 'midline.partlyAccepted').slice(told);
    return all.length && all;
  }, 'the server to hear of a part');
  const [id, characters] = message.params.arguments;
  assert.equal(typeof id, 'string');
  assert.ok(characters > 1 && characters < ghost.length, `${characters} of ${ghost.length}`);
  return { ghost, characters };
}

async function keys_until_ghost_text(bench) {
  return measureKeys(bench);
}

/** How long VS Code waited for the extension, as VS Code itself tells it. */
async function activation_is_measured(bench) {
  return { activation_ms: await bench.activation() };
}

async function status_tells_figures_and_switches(bench) {
  await bench.edit('absolute.py', 1);
  await bench.awaitStatus(/^check midline$/);
  const text = await bench.statusHover('Memory');
  for (const row of ['Model', 'qwen2.5-coder', 'Tokens computed', 'median', 'Accepted', 'GB']) {
    assert.ok(text.includes(row), `${row} in ${text}`);
  }
  await bench.screenshot('status');
  await bench.command('midline: Switch Suggestions On or Off in This Language');
  await bench.awaitStatus(/^circle-slash midline$/);
  await bench.command('midline: Switch Suggestions On or Off in This Language');
  await bench.awaitStatus(/^check midline$/);
  await bench.command('midline: Snooze Suggestions…');
  await bench.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: /^5 minutes/ }).first().click();
  await bench.awaitStatus(/^bell-slash midline 5/);
  const asked = bench.sent('textDocument/inlineCompletion').length;
  await bench.edit('absolute.py', 1);
  await bench.page.keyboard.type('  # quiet');
  await until(() => bench.sent('textDocument/didChange').at(-1)?.message.params.textDocument.uri.endsWith('absolute.py'), 'the text');
  assert.equal(bench.sent('textDocument/inlineCompletion').length, asked, 'nothing is asked for');
  await bench.command('midline: Snooze Suggestions…');
  await bench.awaitStatus(/^check midline$/);
  return { hover: text };
}

/** What is suggested in a cell knows a name that only the cell before it has. */
async function a_cell_of_a_notebook_is_completed(bench) {
  const cell = (source) => ({ cell_type: 'code', execution_count: null, metadata: {}, outputs: [], source });
  const cells = [cell('def to_fahrenheit_exactly(celsius):\n    return celsius * 9 / 5 + 32'), cell('print(to_f')];
  const metadata = { language_info: { name: 'python' } };
  await bench.write('cells.ipynb', JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 5 }));
  await (await bench.row('cells.ipynb')).dblclick();
  const second = bench.page.locator('.cell-editor-container .view-line').filter({ hasText: 'print(to_f' });
  await second.click();
  let degrees = 20;
  const ghost = await until(async () => {
    await bench.page.keyboard.press('Control+a');
    await bench.page.keyboard.type(`degrees = ${degrees++}\nprint(to_f`); // at first, the cell before may not be read yet
    await bench.page.waitForTimeout(1_500);
    const shown = await bench.ghost();
    return shown.includes('ahrenheit_exactly') && shown;
  }, 'a suggestion that knows the cell before');
  await bench.screenshot('notebook');
  const taken = accepted(bench).length;
  await bench.page.keyboard.press('Tab');
  await until(() => accepted(bench).length > taken, 'the suggestion to be accepted');
  const opened = bench.sent('textDocument/didOpen').map(({ message }) => message.params.textDocument.uri);
  assert.ok(!opened.some((uri) => uri.startsWith('vscode-notebook-cell:')), 'cells are told of as cells');
  const said = bench.wire().length;
  await bench.command('midline: Why This Suggestion, or None?');
  const why = await until(() => bench.wire().slice(said).find(({ message }) => message.result?.context)?.message.result, 'why');
  assert.ok(why.context.some(({ path, reason }) => path === 'cells.ipynb' && reason === 'an earlier cell'), JSON.stringify(why));
  return { ghost, context: why.context };
}

async function code_of_an_answer_is_applied(bench) {
  await bench.write('target.py', 'x = 1\n');
  await bench.edit('target.py', 1, 1);
  await bench.command('midline: New Conversation');
  const { chat } = bench;
  await chat.getByRole('combobox').fill('Write a Python function double(x) that returns x times two.');
  await bench.page.keyboard.press('Enter');
  await chat.getByRole('button', { name: 'Stop' }).waitFor();
  await chat.getByRole('button', { name: 'Send' }).waitFor();
  await chat.getByRole('button', { name: 'Apply…' }).first().click();
  const accept = bench.lens('Accept');
  await accept.first().waitFor();
  assert.equal(bench.read('target.py'), 'x = 1\n', 'nothing is saved');
  await bench.screenshot('apply');
  await accept.first().click();
  await accept.first().waitFor({ state: 'hidden' });
  await bench.save('target.py', (text) => text.includes('def double') && text.includes('x = 1'));
}

async function a_commit_message_is_written(bench) {
  await bench.write('added.py', 'def triple(x):\n    return 3 * x\n');
  execFileSync('git', ['add', 'added.py'], { cwd: bench.workspace });
  await bench.command('Source Control: Focus on Changes View');
  const button = bench.page.locator('.scm-view, .pane-header').locator('[aria-label*="Write a Commit Message"]').first();
  await bench.page.locator('.scm-input').first().hover();
  await button.click();
  const input = bench.page.locator('.scm-input .view-lines').first();
  const message = await until(async () => ((await input.textContent()) ?? '').trim(), 'a message in the input');
  assert.ok(message.length > 5, message);
  await bench.screenshot('commit');
  return { message };
}

async function engine_killed_and_back(bench) {
  await bench.edit('absolute.py', 1);
  await bench.awaitStatus(/^check midline$/);
  const { pid } = bench.serverStatus().engine;
  process.kill(pid, 'SIGKILL');
  await bench.awaitStatus(/^(loading|error|warning) midline/);
  await bench.screenshot('engine-killed');
  await bench.awaitStatus(/^(check|sync) midline$/);
  assert.notEqual(bench.serverStatus().engine.pid, pid);
  await bench.write('after.py', 'def double(x):\n    """Return x times two."""\n    \n');
  await bench.edit('after.py', 3);
  await bench.page.keyboard.type('ret');
  return { ghost: await bench.awaitGhost() };
}

/** A server that is killed in the middle of an answer: the chat says so, and the next question is answered. */
async function server_killed_during_a_chat(bench) {
  await bench.command('midline: New Conversation');
  const { chat } = bench;
  await chat.getByRole('combobox').fill('Explain in many words how lists work in Python.');
  await bench.page.keyboard.press('Enter');
  await until(async () => ((await chat.locator('article[aria-busy] .body').textContent().catch(() => '')) ?? '').length > 10, 'some of the answer');
  process.kill(serverPid(bench), 'SIGKILL');
  await chat.getByRole('alert').filter({ hasText: 'stopped' }).waitFor();
  await bench.screenshot('server-killed');
  await bench.awaitStatus(/^(check|sync) midline$/);
  await chat.getByRole('combobox').fill('Say hello.');
  await bench.page.keyboard.press('Enter');
  await until(async () => ((await chat.locator('article.assistant .body').last().textContent()) ?? '').length > 2, 'the next answer');
  await chat.getByRole('button', { name: 'Send' }).waitFor();
}

/** The process that serves this editor: the one whose parent is the extension host, which says its own id. */
function serverPid(bench) {
  const { processId } = bench.sent('initialize').at(-1).message.params;
  const children = execFileSync('pgrep', ['-P', String(processId), '-f', 'midline serve'], { encoding: 'utf8' });
  return Number(children.trim().split('\n').at(-1));
}

/** The lightbulb over a misspelt name, found by the TypeScript service: it is explained, and fixed once accepted. */
async function the_lightbulb_explains_and_fixes(bench) {
  const before = '// @ts-check\nfunction area(width, height) {\n  return widht * height;\n}\n';
  await bench.write('area.js', before);
  await bench.edit('area.js', 3, 12);
  await bench.page.locator('.squiggly-error').first().waitFor({ state: 'attached' });
  await bench.lightbulb('Explain (midline)');
  const { chat } = bench;
  await chat.getByRole('button', { name: 'Stop' }).waitFor();
  await chat.getByRole('button', { name: 'Send' }).waitFor();
  const answer = (await chat.locator('article.assistant .body').last().textContent()) ?? '';
  assert.match(answer, /width|height|area/);
  await bench.edit('area.js', 3, 12);
  await bench.lightbulb(/^Fix: .*widht.*\(midline\)/);
  await bench.lens('Accept').first().waitFor();
  assert.equal(bench.read('area.js'), before, 'nothing is saved');
  await bench.chord('Control+k', 'y');
  await bench.lens('Accept').first().waitFor({ state: 'hidden' });
  await bench.save('area.js', (text) => text !== before);
  const text = bench.read('area.js');
  assert.match(text, /return width \* height;/);
  return { answer, text };
}

export const SCENARIOS = [
  first_start_without_a_model,
  ghost_text_is_accepted_and_saved,
  typing_fast_cancels_what_is_outdated,
  a_word_is_accepted_and_told,
  keys_until_ghost_text,
  activation_is_measured,
  status_tells_figures_and_switches,
  malformed_settings_are_told_once,
  a_huge_file_is_left_alone,
  a_cell_of_a_notebook_is_completed,
  chat_streams_and_cites,
  chat_is_stopped_and_kept,
  conversations_are_put_in_order,
  code_of_an_answer_is_applied,
  an_edit_is_decided_part_by_part,
  an_edit_is_previewed_and_applied,
  a_test_file_is_created,
  the_lightbulb_explains_and_fixes,
  a_commit_message_is_written,
  engine_killed_and_back,
  server_killed_during_a_chat,
  two_windows_share_an_engine,
  several_folders_have_a_server_each,
  a_folder_of_very_many_files,
  midline_is_found_in_environments,
  bad_programs_are_told_once_with_the_cure,
  server_of_another_version_is_told,
  untrusted_workspace_runs_nothing_of_its_own,
];
