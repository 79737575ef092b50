import assert from 'node:assert/strict';
import { test } from 'node:test';
import { find, type Places } from '../src/find.ts';

function places(programs: string[], more: Partial<Places> = {}): Places {
  return {
    setting: '',
    folders: ['/work'],
    trusted: true,
    searchPath: '/usr/bin:/opt/bin',
    home: '/home/me',
    windows: false,
    python: async () => undefined,
    runs: async (file) => programs.includes(file),
    ...more,
  };
}

const EVERYWHERE = ['/mine/midline', '/work/.venv/bin/midline', '/work/venv/bin/midline', '/conda/bin/midline', '/opt/bin/midline'];

test('the setting comes first, then the workspace, Python, PATH', async () => {
  const python = async () => '/conda';
  const by = async (programs: string[], setting = '') => (await find(places(programs, { python, setting }))).program;
  assert.equal(await by(EVERYWHERE, '/mine/midline'), '/mine/midline');
  assert.equal(await by(EVERYWHERE), '/work/.venv/bin/midline');
  assert.equal(await by(EVERYWHERE.slice(2)), '/work/venv/bin/midline');
  assert.equal(await by(EVERYWHERE.slice(3)), '/conda/bin/midline');
  assert.equal(await by(EVERYWHERE.slice(4)), '/opt/bin/midline');
  assert.equal(await by([]), undefined);
});

test('a setting that leads nowhere is told, and nothing else is taken', async () => {
  assert.deepEqual(await find(places(EVERYWHERE, { setting: '/gone' })), { program: undefined, wrongSetting: '/gone' });
});

test('the setting may name the home and the workspace', async () => {
  const found = await find(places(['/home/me/bin/midline', '/work/x'], { setting: '~/bin/midline' }));
  assert.equal(found.program, '/home/me/bin/midline');
  assert.equal((await find(places(['/work/x'], { setting: '${workspaceFolder}/x' }))).program, '/work/x');
});

test('nothing of a workspace that is not trusted is run', async () => {
  const untrusted = (programs: string[], more: Partial<Places> = {}) => find(places(programs, { trusted: false, ...more }));
  assert.equal((await untrusted(EVERYWHERE)).program, '/opt/bin/midline');
  assert.equal((await untrusted(['/work/env/bin/midline'], { python: async () => '/work/env' })).program, undefined);
  assert.equal((await untrusted(['/work/bin/midline'], { searchPath: '/work/bin' })).program, undefined);
});

test('relative entries of PATH are passed over', async () => {
  assert.equal((await find(places(['bin/midline', './midline'], { searchPath: 'bin:.:' }))).program, undefined);
});

test('Python is asked only where nothing comes before it', async () => {
  const python = () => Promise.reject(new Error('asked'));
  assert.equal((await find(places(EVERYWHERE, { python }))).program, '/work/.venv/bin/midline');
});
