// Drives the live page in headless Chromium, beside a local intake of its own on free ports.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const ROOT = new URL('../../', import.meta.url).pathname;
const folder = process.argv[2] === '--screenshots' ? process.argv[3] : null;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Starts an intake, and waits until it listens. Gives the process and the page's address. */
async function intake(listen) {
  const free = '127.0.0.1:0';
  const options = ['--no-samples', '--listen', listen ?? free, '--dynamodb', free, '--sqs', free];
  const child = spawn(process.env.HOOKGATE ?? join(ROOT, 'target/debug/hookgate'), options, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  let url;
  let sqs;
  for await (const line of createInterface(child.stdout)) {
    url ??= line.match(/^ *Page +(\S+)$/)?.[1];
    sqs ??= line.match(/^ *SQS +(\S+)/)?.[1];
    if (line.startsWith('Waiting')) break;
  }
  assert(url, 'the intake did not start');
  child.stdout.resume();
  return { child, url, sqs };
}

async function stop({ child }) {
  child.kill('SIGINT');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

let running = await intake();
/** Every platform, as the page knows it: its name, its events, and a member of its bodies that its facts are read from. */
const platforms = await (await fetch(`${running.url}api/catalogue`)).json();
const [platform] = platforms;
const [event] = platform.events;
/** A request of this platform that its secret did not sign: a sample with another body. */
const events = join(ROOT, 'events', platform.name);
const samples = readdirSync(events).map((file) => JSON.parse(readFileSync(join(events, file), 'utf8')));
const sample = samples.find(({ isBase64Encoded }) => !isBase64Encoded);
const browser = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), 'hookgate-page-')), {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  viewport: { width: 1280, height: 800 },
  colorScheme: 'light',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = browser.pages()[0] ?? await browser.newPage();
page.setDefaultTimeout(40_000);
const faults = [];
const expected = [];
page.on('pageerror', (error) => faults.push(String(error)));
page.on('console', (message) => {
  if (message.type() === 'error' && !expected.some((pattern) => pattern.test(message.text()))) faults.push(message.text());
});
page.on('request', (request) => {
  if (!request.url().startsWith(running.url)) faults.push(`a request to ${request.url()}`);
});

const $ = (selector) => page.locator(selector);
const count = (outcome) => $(`#counts button[data-outcome="${outcome}"] b`);
const becomes = (locator, text) => locator.filter({ hasText: text }).first().waitFor();
const numbers = () => $('#list li a').evaluateAll((links) => links.map((link) => Number(link.hash.slice(1))));
const screenshot = (name) => folder && page.screenshot({ path: join(folder, `${name}.png`) });

async function accessible(where) {
  // The policy lets no script in; this way the browser's own debugger does.
  const { violations } = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ['violations'] })`);
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], `axe: ${where}`);
}

async function noScrollbar() {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(wide <= window, `${wide} pixels wide in a window of ${window}`);
}

const tests = {
  'an empty page says what to do': async () => {
    await page.goto(running.url);
    await becomes($('#connection'), 'Live');
    await becomes($('#right h2'), 'Nothing has arrived yet');
    await becomes($('#right pre'), `/webhooks/${platform.name}`);
    await accessible('empty');
  },

  'a delivery from outside shows up by itself, and why it was rejected': async () => {
    const body = sample.body.replace('{', '{"note":"<img src=x onerror=window.hacked=1><script>window.hacked=1</script>",');
    const { host, 'content-length': length, ...signed } = sample.headers;
    const headers = { ...signed, 'X-Note': '<b>bold</b>', Cookie: 'session=s3cr3tcookie' };
    const answer = await fetch(`${running.url}webhooks/${platform.name}`, { method: 'POST', headers, body });
    assert(answer.status >= 400 && answer.status < 500, answer.status);
    await $('#list li').first().waitFor();
    await becomes(count('rejected'), '1');
    await $('#list li a').first().click();
    await becomes($('.verdict'), 'Signature mismatch: nothing was recorded or queued');
    await becomes($('.verdict'), 'Does not verify.');
    await becomes($('#body pre'), '<script>window.hacked=1</script>');
    await becomes($('dd'), '<b>bold</b>');
    assert.equal(await page.evaluate('window.hacked'), undefined);
    assert.equal(await $('#right img, #right script, #right b').count(), 0);
    assert(!(await page.content()).includes('s3cr3tcookie'));
  },

  'a body made to fill the memory is shown all the same': async () => {
    for (const body of ['['.repeat(150_000), `["${'\\"'.repeat(90_000)}`]) {
      const before = (await numbers()).length;
      await fetch(`${running.url}webhooks/${platform.name}`, { method: 'POST', body });
      await page.waitForFunction((before) => document.querySelectorAll('#list li').length > before, before);
      await $('#list li a').first().click();
      await $('#body pre').waitFor();
    }
  },

  'what is sent from the form is queued, with event and claim beside it': async () => {
    await $('#platform').selectOption(platform.name);
    await $('#event').selectOption(event);
    await $('#send details summary').click();
    await $('#set').fill(`${platform.member}=4242`);
    await $('#send-one').click();
    await becomes($('#sent'), '200 queued');
    await becomes($('#right h2'), 'Queued');
    await becomes($('#event-block pre'), '"4242"');
    await becomes($('#right h2'), event);
    await becomes($('#claim'), 'Settled: sent once');
    await becomes($('#fate'), 'Waiting on hookgate-events, received 0 of 5 times.');
    await becomes($('#list .fate'), 'waiting');
    await becomes($('.verdict'), 'Verifies by scheme');
    await screenshot('light');
    await accessible('delivery');
  },

  'twice is a duplicate, tampered is rejected, replay is a duplicate': async () => {
    await $('#set').fill('');
    await $('#send-twice').click();
    await becomes(count('duplicate'), '1');
    await becomes($('#right h2'), 'Duplicate');
    await $('#tamper').selectOption('secret');
    await $('#send-tampered').click();
    await becomes(count('rejected'), '4');
    await becomes($('#right h2'), 'Rejected');
    await becomes($('.diagnoses li'), 'Perhaps');
    await screenshot('rejected');
    await $('#list li').filter({ hasText: 'Queued' }).first().locator('a').click();
    await becomes($('#right h2'), 'Queued');
    await $('#right').getByRole('button', { name: 'Replay', exact: true }).click();
    await becomes(count('duplicate'), '2');
    await becomes($('#right h2'), 'Duplicate');
    await $('#right').getByRole('button', { name: 'Replay tampered' }).click();
    await becomes(count('rejected'), '5');
  },

  'every event of every platform can be sent, and the counts add up': async () => {
    let sent = Number(await count('queued').textContent());
    for (const { name, events: known } of platforms) {
      await $('#platform').selectOption(name);
      const events = await $('#event option').count();
      assert.equal(events, known.length, name);
      await $('#send-all').click();
      sent += events;
      await becomes(count('queued'), new RegExp(`^${sent}$`));
    }
    await becomes($('.sum'), 'adds up');
    const counts = await $('#counts button b').allTextContents();
    const [received, ...outcomes] = counts.map(Number);
    assert.equal(outcomes.reduce((sum, each) => sum + each), received);
  },

  'a crashed delivery is listed like any other, without a log line': async () => {
    // Nothing that a proxy has passed on may let a function crash.
    const headers = Object.fromEntries(Object.entries(sample.headers).filter(([name]) => !/^(host|content-length|x-forwarded-.*)$/.test(name)));
    const { body, rawPath } = sample;
    const answer = await fetch(`${running.url}api/crash/claimed${rawPath}`, { method: 'POST', headers, body });
    assert.equal(answer.status, 500);
    await becomes(count('crashed'), '1');
    await becomes($('.sum'), 'adds up');
    await $('#list li').filter({ hasText: 'Crashed' }).locator('a').click();
    await becomes($('.verdict'), 'The function crashed: the platform was asked to retry.');
    await becomes($('.verdict'), 'Verifies by scheme');
    await becomes($('#event-block'), 'Queued only if SQS accepted it before the crash.');
    await becomes($('#claim'), 'An invocation holds the lease');
    assert(!(await $('#right').textContent()).includes('Log line'));
    await screenshot('crashed');
    await accessible('crashed');
  },

  'what cannot be read is in quarantine, and seen there without being received': async () => {
    // Without what the event is about, of a platform that does not write it into the envelope itself.
    const { name, member } = platforms.findLast((one) => one.member.includes('.'));
    await $('#platform').selectOption(name);
    await $('#set').fill(`${member.split('.')[0]}=null`);
    await $('#send-one').click();
    await becomes(count('quarantined'), '1');
    await becomes($('.verdict'), 'it was put into quarantine');
    await $('#set').fill('');
    await becomes($('#queues-link'), 'quarantine 1');
    for (let times = 0; times < 2; times += 1) {
      await $('#queues-link').click();
      await becomes($('#right h3'), 'hookgate-quarantine');
      await becomes($('#right details summary'), 'waiting, received 0 times');
      await page.goBack();
    }
  },

  'a quarantined delivery is released after a dry run': async () => {
    const { name, member } = platforms.findLast((one) => one.member.includes('.'));
    await count('quarantined').click();
    await $('#list li a').first().click();
    await becomes($('#fate'), 'In quarantine, received 0 times.');
    await $('#fate a').click();
    await $('#right details[open]').getByRole('button', { name: 'Release…' }).click();
    await becomes($('.asked'), 'Dry run: stays: still payload');
    assert.equal(await $('.asked').getByRole('button', { name: 'Release', exact: true }).count(), 0);
    await accessible('dry run');
    await $('.asked').getByRole('button', { name: 'Cancel' }).click();
    await count('quarantined').click();

    // The same id with other content: only with a new id.
    await $('#platform').selectOption(name);
    await $('#same').check();
    await $('#send-one').click();
    await $('#set').fill(`${member}=1234`);
    await $('#send-one').click();
    await becomes(count('quarantined'), '2');
    await becomes($('.verdict'), 'its id was used before with other content');
    await $('#same').uncheck();
    await $('#set').fill('');
    await $('#fate a').click();
    const row = $('#right details[open]');
    await becomes(row.locator('a'), /^Delivery #/);
    await row.getByRole('button', { name: 'Release…' }).click();
    await becomes($('.asked'), 'Dry run: stays: its id belongs to other content');
    await row.getByRole('button', { name: 'With a new id…' }).click();
    await becomes($('.asked'), 'Dry run: it would be queued');
    await screenshot('dry-run');
    await row.getByRole('button', { name: 'Release with a new id' }).click();
    await becomes($('#said'), 'Release: queued, message ');
    await becomes($('#queues-link'), 'quarantine 1');
    await becomes($('#list .fate'), 'left quarantine');
  },

  'dead letters are redriven, and an event’s fate is told on the way': async () => {
    await $('#platform').selectOption(platform.name);
    await $('#send-one').click();
    await becomes($('#fate'), 'Waiting on hookgate-events');
    const [newest] = await numbers();
    const sqs = async (action, input) => {
      const answer = await fetch(running.sqs, { method: 'POST', headers: { 'x-amz-target': `AmazonSQS.${action}` }, body: JSON.stringify(input) });
      return answer.json();
    };
    const { QueueUrl } = await sqs('GetQueueUrl', { QueueName: 'hookgate-events' });
    // Every message, so that this one is among them.
    const receiveAll = async (VisibilityTimeout) => {
      const receive = async () => (await sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout })).Messages ?? [];
      for (let batch = await receive(); batch.length > 0; batch = await receive());
    };
    await receiveAll(1);
    await becomes($('#fate'), 'In flight on hookgate-events, received 1 of 5 times.');
    await becomes($('#fate'), 'Waiting on hookgate-events, received 1 of 5 times.');
    for (let times = 2; times <= 5; times += 1) {
      await receiveAll(1);
      await new Promise((resolve) => { setTimeout(resolve, 1100); });
    }
    await receiveAll(1);
    await becomes($('#fate'), 'In the dead-letter queue: received 5 times and not deleted.');
    await becomes($('#list .fate'), 'dead letter');
    await $('#fate a').click();
    await becomes($('#right h3'), 'hookgate-dead-letters');
    await screenshot('queues');
    await accessible('queues');
    await $('#redrive').click();
    await becomes($('#said'), /^Moved \d+ from hookgate-dead-letters\.$/);
    await becomes($('#queues-link'), 'dead letters 0');
    await page.goto(`${running.url}#${newest}`);
    await becomes($('#fate'), 'Redriven, now waiting on hookgate-events, received 0 of 5 times.');
    await $('#fate a').click();
    await becomes($('#right details[open] a'), `Delivery #${newest}`);
    await $('#right details[open] a').click();
    // As a consumer does it.
    await sqs('PurgeQueue', { QueueUrl });
    await becomes($('#fate'), 'No longer on a queue');
    await becomes($('#list .fate'), 'deleted');
  },

  'a delivery is copied, and sent with edits': async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    await $('#list li').filter({ hasText: 'Queued' }).first().locator('a').click();
    await $('#event-block button').click();
    await becomes($('#event-block button'), 'Copied');
    assert.equal(JSON.parse(await copied()).provider, platform.name);
    await $('#body').getByRole('button', { name: 'Copy body' }).click();
    await becomes($('#body button'), 'Copied');
    const body = await copied();
    const before = Number(await count('duplicate').textContent());
    await $('#right').getByRole('button', { name: 'Copy as curl' }).click();
    await becomes($('#curl'), 'Signed anew');
    await becomes($('#curl button'), 'Copied');
    await screenshot('curl');
    // The same bytes, by the command itself.
    await promisify(execFile)('sh', ['-c', `${await copied()} --silent --output /dev/null`]);
    await becomes(count('duplicate'), String(before + 1));
    await $('#list li a').first().click();
    await becomes($('#right h2'), 'Duplicate');
    await $('#body').getByRole('button', { name: 'Copy body' }).click();
    await becomes($('#body button'), 'Copied');
    assert.equal(await copied(), body);

    const queued = Number(await count('queued').textContent());
    await $('#right').getByRole('button', { name: 'Edit and resend' }).click();
    assert.equal(await $('#body-text').inputValue(), body);
    await $('#fresh').click();
    await page.waitForFunction((old) => document.getElementById('body-text').value !== old, body);
    await $('#body-text').fill((await $('#body-text').inputValue()).replace('{', '{"note":"caf\\u00e9 a\\/b",'));
    await screenshot('edit');
    await accessible('edit');
    await $('#send-one').click();
    await becomes(count('queued'), String(queued + 1));
    await becomes($('#body pre'), 'caf\\u00e9');
    await $('#samples').click();
    assert(await $('#platform').isVisible());
  },

  'filters and search narrow the list, and stay over a reload': async () => {
    const all = (await numbers()).length;
    await count('rejected').click();
    await becomes($('#shown'), `5 of ${all}`);
    await page.reload();
    await becomes($('#shown'), `5 of ${all}`);
    await count('rejected').click();
    await $('#provider').selectOption(platforms.at(-1).name);
    assert((await $('#list .address').allTextContents()).every((text) => text.startsWith(platforms.at(-1).name)));
    await $('#provider').selectOption('');
    // Only in a body, also as a parser reads it.
    for (const text of ['window.hacked', 'Café a/b', 'caf\\u00e9 a']) {
      await $('#text').fill(text);
      await becomes($('#shown'), `1 of ${all}`);
    }
    await page.reload();
    await becomes($('#shown'), `1 of ${all}`);
    assert.equal(await $('#text').inputValue(), 'caf\\u00e9 a');
    await $('#text').fill('nowhere at all');
    await becomes($('#none'), 'No delivery matches.');
    await $('#none button').click();
    await becomes($('#shown'), `${all} deliveries`);
    await $('#text').fill('window.hacked');
    await $('#text').press('Escape');
    await becomes($('#shown'), `${all} deliveries`);
  },

  'the keyboard does everything': async () => {
    await page.goto(`${running.url}#`);
    await $('#list li').first().waitFor();
    const [first, second, third] = await numbers();
    const focused = () => page.evaluate(() => document.activeElement.hash ?? document.activeElement.id);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('j');
    assert.equal(await focused(), `#${first}`);
    await page.waitForFunction((hash) => location.hash === hash, `#${first}`);
    await page.keyboard.press('Escape');
    assert.equal(await focused(), `#${first}`);
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    assert.equal(await focused(), `#${third}`);
    await page.keyboard.press('ArrowUp');
    assert.equal(await focused(), `#${second}`);
    await page.keyboard.press('Home');
    assert.equal(await focused(), `#${first}`);
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, 'none', 'the focus cannot be seen');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement.tagName === 'H2');
    await page.keyboard.press('Escape');
    assert.equal(await focused(), `#${first}`);
    await page.keyboard.press('/');
    assert.equal(await focused(), 'text');
    await page.keyboard.press('Escape');
  },

  'dark, and light by hand': async () => {
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await $('#list li').filter({ hasText: 'Queued' }).first().locator('a').click();
    await becomes($('#claim'), 'Settled');
    const light = await back();
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.notEqual(await back(), light);
    await accessible('dark');
    await screenshot('dark');
    await $('#theme').click();
    assert.equal(await back(), light);
    await page.reload();
    await becomes($('#theme'), 'light');
    assert.equal(await back(), light);
    await $('#theme').click();
    await $('#theme').click();
  },

  'on a phone, dark and light: list, detail, and back': async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      await page.goto(`${running.url}#`);
      await $('#list li').first().waitFor();
      await noScrollbar();
      await accessible(`phone, list, ${colorScheme}`);
      await screenshot(`phone-list-${colorScheme}`);
      await $('#list li').filter({ hasText: 'Queued' }).first().locator('a').click();
      await becomes($('#claim'), 'Settled');
      assert(!await $('#list').isVisible());
      await noScrollbar();
      await accessible(`phone, detail, ${colorScheme}`);
      await screenshot(`phone-detail-${colorScheme}`);
      await $('.back').click();
      assert(await $('#list').isVisible());
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  },

  'of 2,000 deliveries the newest are kept, and the page stays quick': async () => {
    const address = `${running.url}webhooks/${platform.name}`;
    const came = (await numbers())[0];
    for (let sent = 0; sent < 2000; sent += 20) {
      await Promise.all(Array.from({ length: 20 }, () => fetch(address, { method: 'POST', body: `{"number":${sent}}` })));
    }
    const total = (came + 2000).toLocaleString('en');
    await becomes($('#shown'), `newest 500 of ${total} deliveries`);
    await becomes($('#connection'), 'Live');
    assert.equal((await numbers()).length, 500);
    const click = (outcome) => page.evaluate(async (outcome) => {
      const began = performance.now();
      document.querySelector(`#counts button[data-outcome="${outcome}"]`).click();
      // When it has been painted.
      await new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)); });
      return performance.now() - began;
    }, outcome);
    await click('queued');
    await becomes($('#shown'), `0 of the newest 500 of ${total}`);
    await screenshot('none');
    const back = await click('queued');
    const same = await click('rejected');
    await becomes($('#shown'), `500 of the newest 500 of ${total}`);
    await click('rejected');
    console.log(`    a filter that shows 500 rows again: ${back.toFixed()} ms, one that keeps them: ${same.toFixed()} ms`);
    assert(back < 1000 && same < 1000, `${back} ms, ${same} ms`);
    await screenshot('many');
    await page.setViewportSize({ width: 390, height: 844 });
    await noScrollbar();
    await screenshot('phone-many');
    await page.setViewportSize({ width: 1280, height: 800 });
  },

  'a lost connection is said, and so is another run': async () => {
    expected.push(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/);
    const listen = new URL(running.url).host;
    await $('#list li a').first().click();
    await becomes($('.verdict'), 'nothing was recorded');
    const kept = (await numbers()).length;
    await stop(running);
    await becomes($('#connection'), 'The intake is gone since');
    assert.equal((await numbers()).length, kept);
    await becomes($('.verdict'), 'nothing was recorded');
    await $('#list li a').nth(1).click();
    await becomes($('#right'), 'The intake does not answer.');
    await becomes($('#right dl'), 'rejected');
    await screenshot('gone');
    running = await intake(listen);
    await becomes($('#connection'), 'Live');
    await becomes($('#notice'), 'The intake was started again at');
    await becomes($('#right h2'), 'Nothing has arrived yet');
    await accessible('another run');
    await screenshot('another-run');
    await $('#notice button').click();
    await page.evaluate(() => { document.getElementById('send').open = true; });
    await $('#send-one').click();
    await becomes(count('queued'), '1');
  },
};

try {
  for (const [name, test] of Object.entries(tests)) {
    await test().catch((error) => {
      console.error(`FAILED: ${name}`);
      throw error;
    });
    assert.deepEqual(faults, [], name);
    console.log(`ok  ${name}`);
  }
} catch (error) {
  if (folder) await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => {});
  throw error;
} finally {
  await browser.close();
  await stop(running);
}
