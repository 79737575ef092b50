// How long it takes from a key to the ghost text that answers it, and what share of that is the server's.
import assert from 'node:assert/strict';
import { until } from './workbench.mjs';

const CODE = `def mean(values):
    """Return the arithmetic mean, 0 for no values."""
    if not values:
        return 0
    return sum(values) / len(values)


def variance(values):
    """Return the population variance."""
    
`;
// Partly what the model suggests by itself, partly not.
const TYPED = 'center = mean(values)';
/** A key that brings nothing within this is one at which there is nothing to suggest. */
const WAIT_MS = 3_000;
/** What the server knows already, it answers within this; the rest the model computed. */
const KNOWN_MS = 20;

/** Type a line slowly, dismissing each suggestion, so that each key is answered anew. */
export async function measureKeys(bench) {
  await bench.write('latency.py', CODE);
  await bench.edit('latency.py', 10);
  await bench.awaitStatus(/^check midline$/);
  await bench.page.evaluate(watch);
  const keys = [];
  for (const key of TYPED) {
    await bench.page.keyboard.press('Escape');
    await until(async () => !(await bench.ghost()), 'the ghost to go');
    await bench.page.evaluate(() => {
      window.ghostTimes = {};
    });
    await bench.page.keyboard.type(key);
    await bench.page.waitForFunction(() => window.ghostTimes.ghost, null, { timeout: WAIT_MS }).catch(() => {});
    const { key: pressed, ghost } = await bench.page.evaluate(() => window.ghostTimes);
    if (ghost) {
      keys.push({ pressed, ghost, ...answered(bench, pressed, ghost) });
    }
  }
  const measured = keys.filter(({ server }) => server !== undefined);
  assert.ok(measured.length >= 5, `${measured.length} keys were answered`);
  const computed = measured.filter(({ server }) => server >= KNOWN_MS);
  return { typed: TYPED.length, all: figures(measured), computed: figures(computed) };
}

function figures(keys) {
  const totals = keys.map(({ pressed, ghost }) => ghost - pressed);
  const servers = keys.map(({ server }) => server);
  return {
    keys: keys.length,
    total_ms: percentiles(totals),
    server_ms: percentiles(servers),
    client_ms: percentiles(totals.map((total, index) => total - servers[index])),
    // Of the client's part, what goes by before the server has the request; VS Code itself waits some 50 ms of it.
    until_asked_ms: percentiles(keys.map(({ pressed, came }) => came - pressed)),
  };
}

/** Runs in the page: when a key went down, and when ghost text appeared after it; wall-clock milliseconds. */
function watch() {
  window.ghostTimes = {};
  window.addEventListener('keydown', () => { window.ghostTimes.key = Date.now(); }, true);
  const look = () => {
    const times = window.ghostTimes;
    if (times.key && !times.ghost && document.querySelector('.ghost-text-decoration, .ghost-text')) {
      times.ghost = Date.now();
    }
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}

/** What the server logged of the request that a ghost text answers: when it came, and how long it took. */
function answered(bench, pressed, ghost) {
  const wire = bench.wire().filter(({ time }) => time * 1000 >= pressed - 5 && time * 1000 <= ghost + 5);
  for (const { time, message } of wire.reverse().filter(({ direction }) => direction === 'out')) {
    const request = wire.find((one) => one.message.id === message.id && one.message.method === 'textDocument/inlineCompletion');
    if (request && message.result?.items?.length) {
      return { came: request.time * 1000, server: (time - request.time) * 1000 };
    }
  }
  return {};
}

function percentiles(values) {
  if (!values.length) {
    return null;
  }
  const ordered = [...values].sort((a, b) => a - b);
  const at = (share) => Math.round(ordered[Math.min(ordered.length - 1, Math.floor(share * ordered.length))]);
  return { p50: at(0.5), p95: at(0.95) };
}
