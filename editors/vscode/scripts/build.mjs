// Bundles the extension and the chat's page into dist/, with the licences of what goes into them.
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import esbuild from 'esbuild';

const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
process.chdir(here);
await rm('dist', { recursive: true, force: true });
await mkdir('dist');

const common = { bundle: true, minify: true, metafile: true, legalComments: 'none', logLevel: 'warning' };
const builds = await Promise.all([
  esbuild.build({
    ...common,
    // The language client is most of the code, and is loaded only when the server is started.
    entryPoints: { extension: 'src/extension.ts', client: 'src/client.ts' },
    plugins: [{ name: 'client apart', setup: apart }],
    outdir: 'dist',
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['vscode'],
    supported: { 'dynamic-import': false }, // `require`, which knows the module `vscode`
    mainFields: ['module', 'main'],
  }),
  esbuild.build({
    ...common,
    entryPoints: { chat: 'webview/main.ts' },
    outdir: 'dist',
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
  }),
  esbuild.build({ ...common, entryPoints: { chat: 'webview/chat.css' }, outdir: 'dist' }),
]);

await writeFile('dist/THIRD-PARTY-NOTICES.txt', await notices(builds.flatMap((build) => Object.keys(build.metafile.inputs))));
await copyFile('../../LICENSE', 'LICENSE');

function apart(build) {
  build.onResolve({ filter: /^\.\/client\.ts$/ }, ({ kind }) =>
    kind === 'dynamic-import' ? { path: './client.js', external: true } : undefined,
  );
}

/** The licences of all packages that are in the bundles. */
async function notices(inputs) {
  const folders = new Set(inputs.map((input) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]).filter(Boolean));
  const parts = ['midline for VS Code contains parts of these packages.'];
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
    parts.push(`${name} ${version} (${license})\n\n${(await licenseIn(folder, name)).trim()}`);
  }
  return `${parts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

async function licenseIn(folder, name) {
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) {
    throw new Error(`${name} has no licence file: what it may be used for is not known`);
  }
  return readFile(path.join(folder, file), 'utf8');
}
