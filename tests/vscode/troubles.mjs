// What goes wrong outside of midline: settings, files, programs and workspaces as a user may have them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { until } from './workbench.mjs';

/** A setting that can't be is named once, with what is allowed; suggestions go on with its default. */
export async function malformed_settings_are_told_once(bench) {
  const before = told(bench).length;
  await bench.set({ 'midline.completion.max_tokens': 'many' });
  await bench.open();
  const message = (await (await bench.notification('completion.max_tokens')).textContent()) ?? '';
  assert.match(message, /many.*allowed: .*\d/);
  await bench.screenshot('malformed-settings');
  await bench.write('third.py', 'def third(x):\n    """Return x divided by three."""\n    \n');
  await bench.edit('third.py', 3);
  await bench.page.keyboard.type('ret');
  const ghost = await bench.awaitGhost();
  assert.equal(told(bench).length, before + 1, 'told once');
  await bench.clearNotifications();
  await bench.unset('midline.completion.max_tokens');
  await bench.open();
  await bench.awaitStatus(/^(check|sync) midline$/);
  return { message, ghost };
}

/** What the server had the user told. */
const told = (bench) => bench.wire().filter(({ message }) => message.method === 'window/showMessage');

/** A file of 10 MB is edited as ever, nothing is suggested in it, and who asks is told why. */
export async function a_huge_file_is_left_alone(bench) {
  const line = (number) => `value_${number} = function_of_it(${number}, "text of a value", option=True, other=${number})\n`;
  const text = Array.from({ length: 125_000 }, (_, number) => line(number)).join('');
  assert.ok(text.length > 10_000_000, `${text.length}`);
  await bench.write('huge.py', text);
  await bench.awaitStatus(/^(check|sync) midline$/);
  await bench.edit('huge.py', 2);
  const typed = '  # typed in it';
  const began = Date.now();
  for (const key of typed) {
    await bench.page.keyboard.type(key);
  }
  await until(async () => {
    const shown = await bench.page.locator('.editor-instance .view-line').allTextContents();
    return shown.some((line) => line.replaceAll('\u00a0', ' ').endsWith(typed));
  }, 'the keys');
  const ms_per_key = Math.round((Date.now() - began) / typed.length);
  assert.equal(await bench.ghost(), '');
  await bench.save('huge.py', (saved) => saved.includes(typed) && saved.length === text.length + typed.length);
  await bench.command('midline: Why This Suggestion, or None?');
  const shown = bench.page.locator('.editor-instance .view-line').filter({ hasText: '"reason"' });
  await shown.waitFor();
  const why = ((await shown.textContent()) ?? '').replaceAll('\u00a0', ' ').trim();
  assert.match(why, /the document is too large/);
  await bench.write('fifth.py', 'def fifth(x):\n    """Return x divided by five."""\n    \n');
  await bench.edit('fifth.py', 3);
  await bench.page.keyboard.type('ret');
  return { megabytes: text.length / 1e6, ms_per_key, why, ghost: await bench.awaitGhost() };
}

/** Two windows on one workspace have a server each, and one engine: the model is in the memory once. */
export async function two_windows_share_an_engine(bench) {
  await bench.write('twice.py', 'def twice(x):\n    """Return x times two."""\n    \n');
  await bench.write('fourth.py', 'def fourth(x):\n    """Return x divided by four."""\n    \n');
  const first = bench.page;
  const began = bench.wire().length;
  const second = await bench.browser.newPage({ viewport: { width: 1280, height: 800 } });
  const ghosts = [];
  try {
    for (const [page, name] of [[second, 'fourth.py'], [first, 'twice.py']]) {
      bench.page = page;
      if (page === second) {
        await bench.open();
      }
      await bench.awaitStatus(/^(check|sync) midline$/);
      await bench.edit(name, 3);
      await bench.page.keyboard.type('ret');
      ghosts.push(await bench.awaitGhost());
    }
  } finally {
    bench.page = first;
    await second.close();
  }
  const said = bench.wire().slice(began).map(({ message }) => message);
  assert.equal(said.filter(({ method }) => method === 'initialize').length, 1, 'the second window has a server of its own');
  // Both servers log here: what either of them says of the engine.
  const engines = said.flatMap((one) => [one.params, one.result]).map((one) => one?.engine?.pid);
  const pids = new Set(engines.filter(Boolean));
  assert.equal(pids.size, 1, `engines: ${[...pids]}`);
  return { ghosts, pid: [...pids][0] };
}

/** A server that says it is of another version is told of, with the cure, and used. */
export async function server_of_another_version_is_told(bench) {
  const python = path.join(path.dirname(bench.program), 'python');
  const program = path.join(bench.root, 'newer');
  const code = "import sys, lsp; lsp.__version__ = '9.9.0'; sys.argv[0] = 'midline'; from lsp.cli import main; sys.exit(main())";
  fs.writeFileSync(program, `#!/bin/sh\nexec "${python}" -c "${code}" "$@"\n`, { mode: 0o755 });
  await bench.setPath(program);
  const warning = (await (await bench.notification('midline 9.9.0 runs here')).textContent()) ?? '';
  assert.match(warning, /Install the extension that comes with that midline/);
  await bench.screenshot('other-version');
  await bench.awaitStatus(/^(check|sync|loading) midline/);
  await bench.clearNotifications();
  await bench.setPath('');
  await bench.awaitStatus(/^(check|sync) midline$/);
  return { warning };
}

/** A program that ends at once is not started for ever, and one that is missing is asked for. */
export async function bad_programs_are_told_once_with_the_cure(bench) {
  const broken = path.join(bench.root, 'broken');
  fs.writeFileSync(broken, '#!/bin/sh\necho "no module named lsp" >&2\nexit 1\n', { mode: 0o755 });
  await bench.setPath(broken);
  const told = await bench.notification('stopped five times');
  await bench.awaitStatus(/^error midline$/);
  await bench.screenshot('crash-loop');
  assert.equal(await bench.page.locator('.notification-toast').filter({ hasText: 'midline' }).count(), 1);
  await told.getByRole('button', { name: 'Show Output' }).waitFor();
  await bench.clearNotifications();
  await bench.setPath(path.join(bench.root, 'nowhere'));
  const missing = await bench.notification('no program that can be run');
  await missing.getByRole('button', { name: 'Set Up…' }).click();
  await bench.page.locator('.getting-started-category, .gettingStartedDetailsContent').filter({ hasText: 'Install midline' }).first().waitFor();
  await bench.screenshot('walkthrough');
  await bench.clearNotifications();
  await bench.setPath('');
  await bench.awaitStatus(/^(check|sync) midline$/);
}

/** In restricted mode, nothing that lies in the workspace is run, and suggestions work all the same. */
export async function untrusted_workspace_runs_nothing_of_its_own(bench) {
  const folder = path.join(bench.root, 'untrusted');
  const ran = path.join(bench.root, 'ran');
  const evil = `#!/bin/sh\ntouch ${ran}\nexit 1\n`;
  for (const file of ['.venv/bin/midline', 'evil']) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), evil, { mode: 0o755 });
  }
  fs.mkdirSync(path.join(folder, '.vscode'));
  fs.writeFileSync(path.join(folder, '.vscode', 'settings.json'), JSON.stringify({ 'midline.path': path.join(folder, 'evil') }));
  fs.writeFileSync(path.join(folder, 'half.py'), 'def half(x):\n    """Return x divided by two."""\n    \n');
  await bench.set({ 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never' });
  await bench.open(folder);
  await bench.page.getByText('Restricted Mode').first().waitFor();
  await bench.awaitStatus(/^(check|sync) midline$/);
  await bench.edit('half.py', 3);
  await bench.page.keyboard.type('ret');
  const ghost = await bench.awaitGhost();
  await bench.screenshot('restricted');
  assert.ok(!fs.existsSync(ran), 'a program of the workspace ran');
  return { ghost };
}
