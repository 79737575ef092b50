// Questions and answers in the side bar, and the conversations that are kept of them.
import assert from 'node:assert/strict';
import { until } from './workbench.mjs';

export async function chat_streams_and_cites(bench) {
  await bench.edit('store.py', 4);
  await bench.command('midline: Open Chat');
  const { chat } = bench;
  const area = chat.getByRole('combobox');
  const offered = chat.getByRole('option').filter({ hasText: '@store.py' });
  await until(async () => {
    await area.fill('@sto');
    await area.pressSequentially('r'); // completion follows the keys
    return offered.waitFor({ timeout: 5_000 }).then(() => true, () => false); // VS Code may load a new page twice
  }, 'completion of a mention');
  await bench.screenshot('chat-mention');
  await area.press('Enter');
  await area.pressSequentially('What does Store.flush do? Cite the source.');
  await area.press('Enter');
  await chat.getByRole('button', { name: 'Stop' }).waitFor();
  await until(async () => (await chat.locator('article.assistant .body').count()) > 0, 'the answer to begin');
  await chat.getByRole('button', { name: 'Send' }).waitFor();
  const answer = (await chat.locator('article.assistant .body').last().textContent()) ?? '';
  const pieces = bench.wire().filter(({ message }) => message.method === '$/progress' && message.params.value.kind === 'answer');
  assert.ok(pieces.length > 1, 'the answer came in pieces');
  assert.match(answer, /pending|flush|write/i);
  await bench.screenshot('chat');
  await chat.locator('.sources button.citation').first().click();
  await bench.page.locator('.tab.active[data-resource-name="store.py"]').waitFor();
  const place = await until(async () => /^Ln \d+.*selected/.test(await bench.position()) && bench.position(), 'the cited lines selected');
  return { answer, place };
}

export async function chat_is_stopped_and_kept(bench) {
  await bench.command('midline: Open Chat');
  const { chat } = bench;
  await chat.getByRole('combobox').fill('Explain in many words how files are written in Python.');
  await bench.page.keyboard.press('Enter');
  await until(async () => ((await chat.locator('article[aria-busy] .body').textContent().catch(() => '')) ?? '').length > 20, 'some of the answer');
  await chat.getByRole('button', { name: 'Stop' }).click();
  await chat.locator('.note').filter({ hasText: 'Stopped' }).waitFor();
  const listed = chat.locator('.conversations button.title').first();
  await until(async () => {
    await bench.command('midline: Conversations…'); // what was stopped is written down a little later
    return listed.waitFor({ timeout: 5_000 }).then(() => true, () => false);
  }, 'the conversation in the list');
  await bench.screenshot('conversations');
  await listed.click();
  const kept = chat.locator('article.user').filter({ hasText: 'how files are written in Python' });
  await kept.waitFor();
  await bench.command('midline: New Conversation');
  await chat.locator('.empty').waitFor();
}

/** A conversation is renamed, exported and deleted from the list; what was deleted is gone for good. */
export async function conversations_are_put_in_order(bench) {
  await bench.command('midline: New Conversation');
  const { chat, page } = bench;
  const question = 'What is a stack?';
  const stop = chat.getByRole('button', { name: 'Stop' });
  for (let left = 3; left > 0; left -= 1) {
    await chat.getByRole('combobox').fill(question); // a new conversation empties it, and comes a little later
    await page.keyboard.press('Enter');
    if (await stop.waitFor({ timeout: 5_000 }).then(() => true, () => left === 1)) {
      break;
    }
  }
  await chat.getByRole('button', { name: 'Send' }).waitFor();
  const answer = ((await chat.locator('article.assistant .body').last().textContent()) ?? '').trim();
  const rows = chat.locator('.conversations li');
  await bench.command('midline: Conversations…');
  await rows.first().waitFor();
  const before = await rows.count();
  await rows.first().getByRole('button', { name: 'Rename' }).click();
  const input = page.locator('.quick-input-widget input[type="text"]');
  await input.waitFor();
  await input.fill('On stacks');
  await page.keyboard.press('Enter');
  const renamed = rows.filter({ hasText: 'On stacks' });
  await renamed.waitFor();
  await renamed.getByRole('button', { name: 'Export as Markdown' }).click();
  const exported = page.locator('.editor-instance .view-line').filter({ hasText: 'On stacks' });
  await exported.first().waitFor();
  const text = (await page.locator('.editor-instance .view-lines').first().innerText()).replaceAll('\u00a0', ' ');
  assert.ok(text.includes(question), text);
  const word = /[A-Za-z]{4,}/.exec(answer)?.[0] ?? '';
  assert.ok(text.includes(word), `${word} of the answer in ${text}`);
  await bench.command('View: Revert and Close Editor');
  await bench.command('midline: Conversations…');
  await renamed.getByRole('button', { name: 'Delete' }).click();
  const dialog = page.locator('.monaco-dialog-box').filter({ hasText: 'On stacks' });
  await dialog.waitFor();
  await bench.screenshot('delete-conversation');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await renamed.waitFor();
  await renamed.getByRole('button', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await renamed.waitFor({ state: 'hidden' });
  assert.equal(await rows.count(), before - 1);
  await bench.command('midline: New Conversation');
  return { before };
}
