// The queues: what they hold, out of quarantine, and back from the dead-letter queue.

import { $, address, back, block, button, call, clock, code, el, heading, note, number, received, show, state } from './common.js';

/** The message whose release was tried in a dry run, and what came of it; and what the last act came to. */
let asked = null;
let said = '';
/** The link by which a message was come to: it is opened and scrolled to once. */
let followed = '';

// What is redrawn while it is pressed is never clicked.
let pressed = false;
let late = false;
addEventListener('pointerdown', () => { pressed = true; }, true);
for (const name of ['pointerup', 'pointercancel']) {
  addEventListener(name, () => setTimeout(() => {
    pressed = false;
    if (late) showQueues();
  }), true);
}

export async function showQueues() {
  late = pressed;
  if (pressed) return;
  const here = location.hash;
  const wanted = here.slice('#queues/'.length);
  const queues = await call(`/api/queues${wanted && `?message=${encodeURIComponent(wanted)}`}`).catch(() => null);
  if (!queues || location.hash !== here || !here.startsWith('#queues')) return;
  const focused = document.activeElement?.closest?.('#right details')?.id;
  const onButton = document.activeElement?.textContent;
  const opened = new Set([...$('right').querySelectorAll('details[open]')].map((details) => details.id));
  if (wanted && followed !== here) opened.add(wanted);

  const message = (held, act) => el('details', { id: held.id, open: opened.has(held.id) && '' },
    el('summary', {}, el('span', { class: 'address' }, address(held)), ` ${held.type ?? held.reason ?? ''} ${held.subject ?? ''} `,
      el('span', { class: 'note' }, `${clock(held.sent)}, ${held.waiting ? 'waiting' : 'in flight'}, ${received(held)}`)),
    el('p', { class: 'buttons' }, held.number && el('a', { href: `#${held.number}` }, `Delivery #${held.number}`), act?.(held)),
    asked?.id === held.id && dryRun(asked),
    code(held.text, true));
  const queue = (name, about, held, act, extra) => !held ? block(name, el('p', {}, 'This queue was deleted.'))
    : block(name, el('p', {}, `${number(held.waiting)} waiting, ${number(held.in_flight)} in flight. ${about}`), extra,
      held.messages.length < held.waiting + held.in_flight && note(`The newest ${held.messages.length}:`),
      ...held.messages.map((each) => message(each, act)));
  const dead = queues.dead_letters?.waiting;
  show(back(), heading('Queues'), el('p', {}, 'Read-only view: receive counts do not change.'),
    el('p', { id: 'said', role: 'status' }, said),
    queue('hookgate-quarantine', 'Verified deliveries that could not be read as events.', queues.quarantine,
      ({ id }) => asked?.id !== id && button('Release…', () => dry(id, false), { class: 'small' })),
    queue('hookgate-dead-letters', 'Events that were received five times and not deleted.', queues.dead_letters, null,
      dead > 0 && el('p', { class: 'buttons' }, button(`Redrive ${dead === 1 ? 'it' : `all ${number(dead)}`}`, redrive, { id: 'redrive' }),
        el('span', { class: 'note' }, 'Back to the queue that each is from, as new messages with the same content.'))),
    queue('hookgate-events', 'What consumers receive.', queues.events));

  if (wanted && followed !== here) document.getElementById(wanted)?.scrollIntoView({ block: 'center' });
  followed = here;
  const details = focused && document.getElementById(focused);
  const same = details && [...details.querySelectorAll('button')].find(({ textContent }) => textContent === onButton);
  (same ?? details?.querySelector('.asked button') ?? details?.firstChild)?.focus();
}

/** What a release would come to, and what can be done then. */
function dryRun({ id, new_id: newId, words, outcome, leaves, type, subject }) {
  const what = [type, subject].filter(Boolean).join(' · ');
  return el('div', { class: 'asked' }, el('p', {}, `Dry run: ${words}${what && ` (${what})`}.`),
    el('p', { class: 'buttons' },
      leaves && button(newId ? 'Release with a new id' : 'Release', () => release(id, newId), { class: 'primary' }),
      outcome === 'conflict' && button('With a new id…', () => dry(id, true)),
      button('Cancel', () => { asked = null; showQueues(); })));
}

async function act(work) {
  try {
    said = await work();
  } catch (error) {
    asked = null;
    said = error.message;
  }
  await showQueues();
}

const dry = (id, newId) => act(async () => {
  asked = { ...await call(`/api/quarantine/${id}/release`, { dry_run: true, new_id: newId }), id, new_id: newId };
  return '';
});

const release = (id, newId) => act(async () => {
  const { outcome, words } = await call(`/api/quarantine/${id}/release`, { new_id: newId });
  asked = null;
  return `Release: ${outcome}, ${words}.`;
});

const redrive = () => act(async () => (await call('/api/redrive', {})).words);
