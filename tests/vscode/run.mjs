// node run.mjs OPTIONS.json: runs the scenarios that it names, and prints what came of each as a line of JSON.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { PROJECT, SCENARIOS } from './scenarios.mjs';
import { Workbench } from './workbench.mjs';

const options = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const bench = new Workbench(options);
bench.models = path.join(options.home, 'data', 'models');
bench.installModel = () => {
  for (const file of options.model) {
    const link = path.join(bench.models, path.basename(file));
    fs.rmSync(link, { force: true });
    fs.symlinkSync(file, link);
  }
};
for (const [name, text] of Object.entries(PROJECT)) {
  await bench.write(name, text);
}
const git = (...args) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args], { cwd: bench.workspace });
git('init', '--quiet');
git('add', '--all');
git('commit', '--quiet', '--message', 'Begin');

const tell = (result) => process.stdout.write(`${JSON.stringify(result)}\n`);
let begun = Date.now();
try {
  if (!options.names.includes(SCENARIOS[0].name)) {
    bench.installModel();
  }
  await bench.start();
  await bench.open();
  await bench.awaitStatus(/midline/); // before that, its commands are not there
  tell({ name: 'start', ok: true, seconds: (Date.now() - begun) / 1000 });
  for (const scenario of SCENARIOS.filter(({ name }) => options.names.includes(name))) {
    if (scenario !== SCENARIOS[0]) {
      bench.installModel(); // also where the first one, which does so, failed
    }
    begun = Date.now();
    try {
      const found = await scenario(bench);
      tell({ name: scenario.name, ok: true, seconds: (Date.now() - begun) / 1000, found });
    } catch (error) {
      await bench.screenshot(`failed-${scenario.name}`).catch(() => {});
      await bench.recover().catch(() => {});
      tell({ name: scenario.name, ok: false, seconds: (Date.now() - begun) / 1000, error: error.stack });
    }
  }
} catch (error) {
  await bench.screenshot('failed-start').catch(() => {});
  tell({ name: 'start', ok: false, error: error.stack });
} finally {
  await bench.stop();
}
