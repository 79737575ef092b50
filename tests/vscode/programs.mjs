// Where midline's program is found: in the folder's environment, and in the Python extension's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { until } from './workbench.mjs';

/** A program that is midline's, and leaves word that it was run. */
function environment(bench, folder) {
  const bin = path.join(folder, 'bin');
  const ran = path.join(folder, 'ran');
  fs.mkdirSync(bin, { recursive: true });
  fs.writeFileSync(path.join(bin, 'midline'), `#!/bin/sh\ntouch "${ran}"\nexec "${bench.program}" "$@"\n`, { mode: 0o755 });
  return () => fs.existsSync(ran);
}

/** The Python extension's active environment comes before PATH, and the folder's own before that. */
export async function midline_is_found_in_environments(bench) {
  const folder = path.join(bench.root, 'found');
  const [chosen, own] = [path.join(bench.root, 'chosen-environment'), path.join(folder, '.venv')];
  const chosenRan = environment(bench, chosen);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'half.py'), 'def half(x):\n    """Return x divided by two."""\n    \n');
  fs.writeFileSync(bench.pythonEnvironment, chosen);
  await bench.open(folder);
  await until(chosenRan, "the Python extension's environment to be used");
  await bench.awaitStatus(/^(check|sync) midline$/);
  const ownRan = environment(bench, own);
  await bench.open(folder);
  await until(ownRan, "the folder's environment to be used");
  await bench.awaitStatus(/^(check|sync) midline$/);
  await bench.edit('half.py', 3);
  await bench.page.keyboard.type('ret');
  const ghost = await bench.awaitGhost();
  assert.match(ghost, /x/);
  fs.rmSync(bench.pythonEnvironment);
  await bench.open();
  await bench.awaitStatus(/^(check|sync) midline$/);
  return { ghost };
}
