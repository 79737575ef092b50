// A real VS Code workbench: code-server with the built extension, and Chromium as the user's screen and hands.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

/** How long anything may take on a busy machine before a test gives up; no test depends on it otherwise. */
export const PATIENCE = Number(process.env.MIDLINE_TEST_PATIENCE ?? 60_000);

const GHOST = '.ghost-text-decoration, .ghost-text-decoration-preview, .ghost-text';
// What would make tests depend on something else than midline.
const SETTINGS = {
  'chat.disableAIFeatures': true,
  'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
  'editor.suggestOnTriggerCharacters': false,
  'editor.minimap.enabled': false,
  'explorer.autoReveal': false,
  'extensions.ignoreRecommendations': true,
  'files.autoSave': 'off',
  'git.openRepositoryInParentFolders': 'never',
  'security.workspace.trust.enabled': false,
  'terminal.integrated.gpuAcceleration': 'off', // or its text is a picture
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.commandCenter': false,
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.tips.enabled': false,
};

export class Workbench {
  /**
   * @param options `tools`: the folder of get-code-server; `vsix`; `root`: a folder of the tests' own; `program`:
   *   midline's; `home`: MIDLINE_HOME; `artifacts`: where screenshots go.
   */
  constructor(options) {
    Object.assign(this, options);
    this.workspace = path.join(this.root, 'project');
    this.wireLog = path.join(this.root, 'lsp.log');
    /** Names the folder of the environment that is active for the stand-in of the Python extension. */
    this.pythonEnvironment = path.join(this.root, 'python-environment');
    this.userSettings = {};
    this.errors = [];
  }

  async start() {
    const modules = path.join(this.tools, 'node_modules');
    const env = {
      ...process.env,
      HOME: this.root,
      SHELL: '/bin/sh',
      PATH: [path.join(modules, '.bin'), path.join(this.tools, 'bin'), path.dirname(this.program), process.env.PATH].join(':'),
      MIDLINE_HOME: this.home,
      MIDLINE_LSP_LOG: this.wireLog,
      OMP_WAIT_POLICY: 'passive',
      VSCODE_CLI: '1', // the environment is this one, not that of a login shell
    };
    for (const name of Object.keys(env).filter((name) => name.startsWith('XDG_'))) {
      delete env[name];
    }
    const port = await freePort();
    this.url = `http://127.0.0.1:${port}`;
    const folders = ['--user-data-dir', path.join(this.root, 'data'), '--extensions-dir', path.join(this.root, 'extensions')];
    await this.set({});
    await this.setPath('');
    const installed = [this.vsix, ...(this.python ? [this.python] : [])].flatMap((vsix) => ['--install-extension', vsix]);
    await promisify(execFile)('code-server', [...folders, ...installed], { env });
    const log = fs.openSync(path.join(this.root, 'code-server.log'), 'w');
    const arguments_ = ['--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check'];
    this.server = spawn('code-server', [...arguments_, ...folders], { env, stdio: ['ignore', log, log] });
    await until(() => answers(this.url), 'code-server');
    const { chromium } = createRequire(path.join(modules, 'x'))('playwright-core');
    this.browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 } });
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: this.url });
    this.page = await context.newPage();
    this.page.setDefaultTimeout(PATIENCE);
    this.page.on('console', (message) => message.type() === 'error' && this.errors.push(message.text()));
  }

  async stop() {
    await this.browser?.close();
    const ended = new Promise((resolve) => this.server?.once('exit', resolve));
    if (this.server?.kill()) {
      await ended;
    }
  }

  // -- the workbench --------------------------------------------------------------------------------------------

  /** Open a folder, or several by their `.code-workspace` file, in the window that there is. */
  async open(folder = this.workspace) {
    await this.page.goto(`${this.url}/?${folder.endsWith('.code-workspace') ? 'workspace' : 'folder'}=${folder}`);
    await this.page.waitForSelector('.explorer-folders-view .monaco-list-row');
  }

  /** Change the user's settings; they are in force when the workbench has read the file. */
  async set(settings) {
    Object.assign(this.userSettings, settings);
    this.writeSettings('User', { ...SETTINGS, ...this.userSettings });
  }

  /** Take back what `set` set. */
  async unset(...names) {
    for (const name of names) {
      delete this.userSettings[name];
    }
    await this.set({});
  }

  /** Say which program to run: a setting of the machine where the files are. */
  async setPath(program) {
    this.writeSettings('Machine', program ? { 'midline.path': program } : {});
  }

  writeSettings(whose, settings) {
    const file = path.join(this.root, 'data', whose, 'settings.json');
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, JSON.stringify(settings));
  }

  async write(name, text) {
    fs.mkdirSync(path.dirname(path.join(this.workspace, name)), { recursive: true });
    fs.writeFileSync(path.join(this.workspace, name), text);
  }

  read(name) {
    return fs.readFileSync(path.join(this.workspace, name), 'utf8');
  }

  /** Run a command of the palette by its title. */
  async command(title) {
    await this.page.keyboard.press('F1');
    const input = this.page.locator('.quick-input-widget input[type="text"]');
    await input.waitFor();
    await input.fill(`>${title}`);
    await this.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: title }).first().click();
  }

  /** A file in the explorer, which doesn't see files that come while its watcher starts. */
  async row(name) {
    const row = this.page.locator('.explorer-folders-view .monaco-list-row').filter({ hasText: name });
    await row.waitFor({ timeout: 5_000 }).catch(() => this.command('Refresh Explorer'));
    return row;
  }

  /** Open a file with the cursor in a line, from 1: at its end, or at a column, from 1. */
  async edit(name, line, column) {
    if (!(await this.page.locator('.explorer-folders-view').isVisible())) {
      await this.page.keyboard.press('Control+Shift+e');
    }
    const tab = this.page.locator(`.tab.active[data-resource-name="${name}"]`);
    // A file that comes to the list between looking and clicking moves the rows.
    for (let left = 2; left >= 0 && !(await tab.isVisible()); left -= 1) {
      await (await this.row(name)).dblclick();
      await tab.waitFor(left ? { timeout: 5_000 } : {}).catch((error) => {
        if (!left) throw error;
      });
    }
    await this.page.locator('.editor-instance .view-line').first().waitFor();
    await this.page.keyboard.press('Control+g');
    const input = this.page.locator('.quick-input-widget input[type="text"]');
    await input.waitFor();
    await input.fill(`:${line}${column ? `:${column}` : ''}`);
    await this.page.keyboard.press('Enter');
    await input.waitFor({ state: 'hidden' });
    if (!column) {
      await this.page.keyboard.press('End');
    }
    await until(async () => (await this.position()).startsWith(`Ln ${line},`), `the cursor in line ${line}`);
  }

  /** `Ln 3, Col 5 (10 selected)` */
  async position() {
    return (await this.page.locator('[id="status.editor.selection"]').textContent()) ?? '';
  }

  /** Choose one of what the lightbulb offers at the cursor; its providers may still be at work, so it is asked again. */
  async lightbulb(title, ask = () => this.page.keyboard.press('Control+.')) {
    const offered = this.page.locator('.action-widget .monaco-list-row').filter({ hasText: title }).first();
    await until(async () => {
      await ask();
      return offered.waitFor({ timeout: 5_000 }).then(() => true, () => this.page.keyboard.press('Escape'));
    }, `${title} in the lightbulb`);
    await this.screenshot('lightbulb');
    await offered.click();
  }

  /** Rows over lines of the text, by the text of one of their entries. */
  lens(text) {
    const exact = (one) => one.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/ /g, '[ \u00a0]');
    return this.page.locator('.codelens-decoration > a, .codelens-decoration > span').filter({ hasText: new RegExp(`^\\s*${exact(text)}$`) });
  }

  /** A key after another, as `Ctrl+K A`. */
  async chord(first, second) {
    await this.page.keyboard.press(first);
    await this.page.keyboard.press(second);
  }

  async save(name, holds) {
    await this.page.keyboard.press('Control+s');
    await until(() => holds(this.read(name)), () => `${name} on disk; it holds ${JSON.stringify(this.read(name))}`);
  }

  /** Leave whatever a failed scenario was in the middle of. */
  async recover() {
    for (let times = 0; times < 3; times++) {
      await this.page.keyboard.press('Escape');
    }
  }

  async ghost() {
    const parts = await this.page.locator(GHOST).allTextContents();
    return parts.join('').replaceAll('\u00a0', ' ');
  }

  async awaitGhost() {
    return until(() => this.ghost(), 'ghost text');
  }

  async notification(text) {
    const found = this.page.locator('.notification-toast .notification-list-item').filter({ hasText: text });
    await found.first().waitFor();
    return found.first();
  }

  async clearNotifications() {
    await this.command('Notifications: Clear All Notifications');
  }

  /** The status-bar item's icon and text, as `check midline`. */
  async status() {
    const item = this.page.locator('.statusbar-item[id="midline.midline.midline.status"]');
    const icons = await item.locator('.codicon').evaluateAll((found) => found.map((one) => one.className));
    const icon = /codicon-([\w-]+)/.exec(icons[0] ?? '')?.[1] ?? '';
    return `${icon} ${((await item.textContent()) ?? '').trim()}`;
  }

  /** What the status-bar item tells over it, once that holds a text. */
  async statusHover(text) {
    const found = this.page.locator('.monaco-hover').filter({ hasText: text });
    await until(async () => {
      await this.page.mouse.move(0, 0);
      await this.page.locator('.statusbar-item[id="midline.midline.midline.status"]').hover();
      return found.waitFor({ timeout: 5_000 }).then(() => true, () => false);
    }, `${text} over the status`);
    return (await found.textContent()) ?? '';
  }

  async awaitStatus(pattern) {
    let seen = '';
    return until(async () => pattern.test((seen = await this.status())) && seen, () => `the status ${pattern}; it is ${seen}`);
  }

  /** The chat's page. */
  get chat() {
    return this.page.frameLocator('iframe.webview.ready[src*="extensionId=midline.midline"]').frameLocator('iframe#active-frame');
  }

  /** How long VS Code waited for the extension, in milliseconds, as it tells itself. */
  async activation() {
    await this.command('Developer: Show Running Extensions');
    const row = this.page.locator('.runtime-extensions-editor .extension').filter({ hasText: 'midline' });
    const list = this.page.locator('.runtime-extensions-editor');
    await list.locator('.extension').first().hover();
    await until(async () => {
      const shown = await row.isVisible(); // the slowest come first
      if (!shown) await this.page.mouse.wheel(0, 200);
      return shown;
    }, 'midline among the running extensions');
    const text = (await row.locator('.activation-time').textContent()) ?? '';
    const found = /(\d+)\s*ms/.exec(text)?.[1];
    if (!found) {
      throw new Error(`no time in ${text}`);
    }
    await this.page.keyboard.press('Escape');
    await list.waitFor({ state: 'hidden' });
    return Number(found);
  }

  /** Type a text, and measure how long each key takes until it shows: milliseconds. */
  async measureTyping(text) {
    const times = [];
    const line = () => this.page.locator('.editor-instance .view-line').allTextContents();
    let typed = '';
    for (const key of text) {
      typed += key;
      const began = Date.now();
      await this.page.keyboard.type(key);
      await until(async () => (await line()).some((one) => one.replaceAll('\u00a0', ' ').includes(typed)), `${typed} to show`);
      times.push(Date.now() - began);
    }
    times.sort((a, b) => a - b);
    return { p50: times[Math.floor(times.length / 2)], p95: times[Math.floor(times.length * 0.95)], max: times.at(-1) };
  }

  async screenshot(name) {
    await this.page.screenshot({ path: path.join(this.artifacts, `${name}.png`) });
  }

  // -- what was said --------------------------------------------------------------------------------------------

  /** All messages between editor and server so far: `{time, direction, message}`. */
  wire() {
    const text = fs.existsSync(this.wireLog) ? fs.readFileSync(this.wireLog, 'utf8') : '';
    return text.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  }

  sent(method) {
    return this.wire().filter(({ direction, message }) => direction === 'in' && message.method === method);
  }

  /** The latest `midline/statusChanged`. */
  serverStatus() {
    return this.wire().filter(({ message }) => message.method === 'midline/statusChanged').at(-1)?.message.params;
  }
}

/** Wait until `condition` gives something true, and give that. */
export async function until(condition, what) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const result = await condition();
    if (result) {
      return result;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited in vain for ${typeof what === 'function' ? what() : what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function answers(url) {
  try {
    return (await fetch(`${url}/healthz`)).ok;
  } catch {
    return false;
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
