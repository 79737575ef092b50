import assert from 'node:assert/strict';
import { test } from 'node:test';
import { find, type Places } from '../src/find.ts';

function places(programs: string[], more: Partial<Places> = {}): Places {
  return {
    setting: '',
    folders: ['/folder'],
    trusted: true,
    searchPath: '/usr/bin:/opt/bin',
    home: '/home/me',
    windows: false,
    python: async () => undefined,
    runs: async (file) => programs.includes(file),
    ...more,
  };
}

const EVERYWHERE = ['/mine/midline', '/folder/.venv/bin/midline', '/folder/venv/bin/midline', '/conda/bin/midline', '/opt/bin/midline'];

test('the setting comes first, then the workspace, Python, PATH', async () => {
  const python = async () => '/conda';
  const by = async (programs: string[], setting = '') => (await find(places(programs, { python, setting }))).program;
  assert.equal(await by(EVERYWHERE, '/mine/midline'), '/mine/midline');
  assert.equal(await by(EVERYWHERE), '/folder/.venv/bin/midline');
  assert.equal(await by(EVERYWHERE.slice(2)), '/folder/venv/bin/midline');
  assert.equal(await by(EVERYWHERE.slice(3)), '/conda/bin/midline');
  assert.equal(await by(EVERYWHERE.slice(4)), '/opt/bin/midline');
  assert.equal(await by([]), undefined);
});

test('a setting that leads nowhere is told, and nothing else is taken', async () => {
  assert.deepEqual(await find(places(EVERYWHERE, { setting: '/gone' })), { program: undefined, wrongSetting: '/gone' });
});

test('the setting may name the home and the workspace', async () => {
  const found = await find(places(['/home/me/bin/midline', '/folder/x'], { setting: '~/bin/midline' }));
  assert.equal(found.program, '/home/me/bin/midline');
  assert.equal((await find(places(['/folder/x'], { setting: '${workspaceFolder}/x' }))).program, '/folder/x');
});

test('nothing of a workspace that is not trusted is run', async () => {
  const untrusted = (programs: string[], more: Partial<Places> = {}) => find(places(programs, { trusted: false, ...more }));
  assert.equal((await untrusted(EVERYWHERE)).program, '/opt/bin/midline');
  assert.equal((await untrusted(['/folder/env/bin/midline'], { python: async () => '/folder/env' })).program, undefined);
  assert.equal((await untrusted(['/folder/bin/midline'], { searchPath: '/folder/bin' })).program, undefined);
});

test('relative entries of PATH are passed over', async () => {
  assert.equal((await find(places(['bin/midline', './midline'], { searchPath: 'bin:.:' }))).program, undefined);
});

test('Python is asked only where nothing comes before it', async () => {
  const python = () => Promise.reject(new Error('asked'));
  assert.equal((await find(places(EVERYWHERE, { python }))).program, '/folder/.venv/bin/midline');
});
