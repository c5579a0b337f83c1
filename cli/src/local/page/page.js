// The page: a list that follows what arrives, its filters and keys; the other files show one delivery, the queues and the
// form.

import { $, OUTCOMES, address, badge, call, clock, el, fate, number, plural, state, wide } from './common.js';
import { showClaim, showDelivery, showStart } from './detail.js';
import { startForm } from './form.js';
import { showQueues } from './queues.js';

const rows = new Map();

// ---- What arrives ----

function connect() {
  const stream = new EventSource('/api/stream');
  const connection = (name, text) => { $('connection').dataset.state = name; $('connection').textContent = text; };
  const on = (name, act) => stream.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on('snapshot', (snapshot) => {
    connection('live', 'Live');
    state.gone = 0;
    if (state.run && state.run !== snapshot.run) {
      // Its run is named by when it began, in nanoseconds.
      notice(`The intake was started again at ${clock(Number(BigInt(snapshot.run) / 1_000_000n))}. Deliveries count from 1 again; those of the run before are gone.`);
      location.hash = '';
    }
    Object.assign(state, { run: snapshot.run, counts: snapshot.counts, limits: snapshot.limits });
    state.deliveries = new Map(snapshot.deliveries.map((summary) => [summary.number, summary]));
    rows.clear();
    $('list').replaceChildren();
    if (state.text) searchSoon();
    renderSoon();
    route();
  });
  on('delivery', ({ delivery, counts }) => {
    state.counts = counts;
    state.deliveries.set(delivery.number, delivery);
    if (state.deliveries.size > state.limits.deliveries) state.deliveries.delete(state.deliveries.keys().next().value);
    state.unsaid.push(delivery);
    if (state.text && !searching) searchSoon();
    renderSoon();
    if (!location.hash && state.deliveries.size === 1) route();
  });
  on('queues', (queues) => {
    state.queues = queues;
    renderSoon();
    if (location.hash.startsWith('#queues')) showQueues();
    else if (state.selected) showClaim(state.selected);
  });
  stream.addEventListener('error', () => {
    state.gone ||= Date.now();
    connection('lost', `The intake is gone since ${clock(state.gone)}: the page keeps what it shows, and tries again`);
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}

/** Says something that stays until it is read. */
function notice(text) {
  $('notice').firstElementChild.textContent = text;
  $('notice').hidden = false;
}

/** Says what is new to those who do not see the list, not more often than they can listen to. */
setInterval(() => {
  const last = state.unsaid.at(-1);
  if (!last) return;
  $('news').textContent = `${state.unsaid.length} new: ${address(last)} ${last.outcome} ${last.reason ?? ''}`;
  state.unsaid = [];
}, 3000);

// ---- The list ----

let waiting = false;
function renderSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; renderCounts(); renderList(); });
}

/** Made once: a button that is replaced while it is pressed is never clicked. */
function makeCounts() {
  const chip = (outcome, name) => el('button', {
    type: 'button', 'data-outcome': outcome,
    click: () => filter({ outcome: state.outcome === outcome ? '' : outcome }),
  }, el('b'), ` ${name}`);
  const terms = Object.entries(OUTCOMES).flatMap(([outcome, [, name]], index) =>
    [el('span', { class: 'sign' }, index ? '+' : '='), chip(outcome, name)]);
  $('counts').append(chip('', 'Received'), ...terms, el('span', { class: 'sum' }));
}

function renderCounts() {
  const { received = 0, ...outcomes } = state.counts;
  const working = received - Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  if (!$('counts').firstChild) makeCounts();
  for (const chip of $('counts').querySelectorAll('button')) {
    const { outcome } = chip.dataset;
    const count = outcome ? outcomes[outcome] ?? 0 : received;
    chip.firstChild.textContent = count;
    chip.dataset.none = count === 0;
    chip.setAttribute('aria-pressed', String(state.outcome === outcome));
  }
  $('counts').lastChild.textContent = working ? `${working} in progress` : '✓ adds up';
  const inQueue = (name) => (state.queues[name] ?? [0, 0]).reduce((sum, count) => sum + count, 0);
  $('queues-link').textContent = `Queue ${inQueue('events')} · quarantine ${inQueue('quarantine')} · dead letters ${inQueue('dead_letters')}`;
}

function isShown(summary) {
  if (state.outcome && summary.outcome !== state.outcome) return false;
  if (state.provider && summary.provider !== state.provider) return false;
  return !state.text || state.found.has(summary.number)
    || Object.values(summary).join(' ').toLowerCase().includes(state.text);
}

function row(summary) {
  const what = [summary.type?.replace('commerce.', '') ?? summary.reason ?? summary.method, summary.subject].filter(Boolean).join(' · ');
  return el('li', { class: Date.now() - summary.received < 2000 && 'new' }, el('a', { href: `#${summary.number}`, tabindex: -1, click: (event) => open(event, summary.number) },
    badge(summary.outcome), el('span', { class: 'address' }, address(summary)),
    el('time', {}, clock(summary.received)),
    el('span', { class: 'second' }, el('span', { class: 'what' }, what),
      el('span', { class: 'took' }, el('span', { class: 'fate' }), `${summary.TotalMs.toFixed(1)} ms`))));
}

/** What became of the message, once the queues were looked at. */
function renderFate(element, { number, outcome }) {
  const { fates } = state.queues;
  const word = number in fates ? fate(fates[number], outcome)[0] : '';
  const place = element.querySelector('.fate');
  if (place.textContent !== word) place.textContent = word;
}

function renderList() {
  const list = $('list');
  const shown = [...state.deliveries.values()].reverse().filter(isShown);
  const wanted = new Set(shown.map((summary) => summary.number));
  for (const [number, element] of rows) if (!wanted.has(number)) { element.remove(); rows.delete(number); }
  // Rows that stay are not touched: one of them may have the focus.
  let place = list.firstChild;
  for (const summary of shown) {
    let element = rows.get(summary.number);
    if (!element) rows.set(summary.number, element = row(summary));
    renderFate(element, summary);
    if (element === place) place = place.nextSibling;
    else list.insertBefore(element, place);
  }
  renderShown(shown.length);
  mark();
}

function renderShown(shown) {
  const kept = state.deliveries.size;
  // They are numbered from 1.
  const came = [...state.deliveries.keys()].at(-1) ?? 0;
  const all = came > kept ? `newest ${number(kept)} of ${plural(came, 'delivery', 'deliveries')}` : plural(kept, 'delivery', 'deliveries');
  const filtered = Boolean(state.outcome || state.provider || state.text);
  $('shown').firstElementChild.textContent = filtered ? `${number(shown)} of ${came > kept ? 'the ' : ''}${all}` : all;
  $('clear').hidden = !filtered || shown === 0;
  $('none').hidden = shown > 0 || kept === 0;
}

/** Marks the selected row; one row at a time is in the order of focus. */
function mark() {
  const current = rows.get(state.selected) ?? $('list').firstChild;
  for (const element of rows.values()) {
    const link = element.firstChild;
    link.tabIndex = element === current ? 0 : -1;
    if (element === rows.get(state.selected)) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
}

function open(event, number) {
  // A click of the keyboard, or on a phone, goes to the detail; one of the mouse leaves the focus in the list.
  if (event.detail === 0 || !wide.matches) state.focus = true;
  if (location.hash === `#${number}`) route();
}

function move(by) {
  const links = [...$('list').querySelectorAll('a')];
  const selected = document.activeElement === document.body ? rows.get(state.selected)?.firstChild : document.activeElement;
  // From nowhere, one step leads to the newest.
  const from = by > 0 ? links.indexOf(selected) : Math.max(0, links.indexOf(selected));
  const link = links[Math.min(links.length - 1, Math.max(0, from + by))];
  if (!link) return;
  link.focus();
  if (wide.matches) location.replace(link.hash);
}

let searching;
function searchSoon() {
  clearTimeout(searching);
  searching = setTimeout(async () => {
    const text = state.text;
    const none = { numbers: [] };
    const { numbers } = text ? await call(`/api/search?text=${encodeURIComponent(text)}`).catch(() => none) : none;
    searching = 0;
    if (text === state.text) state.found = new Set(numbers);
    renderList();
  }, 150);
}

// ---- The right-hand side ----

function route() {
  document.body.dataset.empty = state.deliveries.size === 0;
  const hash = location.hash.slice(1);
  state.selected = Number(hash) || 0;
  document.body.dataset.view = hash ? 'detail' : 'list';
  mark();
  if (state.selected) showDelivery(state.selected);
  else if (hash.startsWith('queues')) showQueues();
  else showStart();
}

// ---- Keys, filters, theme ----

/** Uses what the browser stores, if it stores anything. */
function storage(use) {
  try { return use(); } catch { return undefined; }
}

/** Narrows the list, and keeps the filters for as long as the tab lives. */
function filter(changes) {
  if ('text' in changes) state.found = new Set();
  Object.assign(state, changes);
  const { outcome, provider, text } = state;
  storage(() => { sessionStorage.filters = JSON.stringify({ outcome, provider, text }); });
  renderCounts();
  renderList();
  if (changes.text) searchSoon();
}

/** The fields show what the filters are. */
function showFilters() {
  $('text').value = state.text;
  $('provider').value = state.provider;
}

function restoreFilters() {
  const kept = storage(() => JSON.parse(sessionStorage.filters)) ?? {};
  if (kept.outcome in OUTCOMES) state.outcome = kept.outcome;
  if (state.catalogue.some(({ name }) => name === kept.provider)) state.provider = kept.provider;
  state.text = String(kept.text ?? '');
  showFilters();
}

function clearFilters() {
  filter({ outcome: '', provider: '', text: '' });
  showFilters();
  $('text').focus();
}

$('text').addEventListener('input', () => filter({ text: $('text').value.trim().toLowerCase() }));
$('provider').addEventListener('change', () => filter({ provider: $('provider').value }));
$('clear').addEventListener('click', clearFilters);
$('none').querySelector('button').addEventListener('click', clearFilters);
$('notice').querySelector('button').addEventListener('click', () => { $('notice').hidden = true; });

document.addEventListener('keydown', (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === 'Escape') {
    if (target === $('text') && target.value) { target.value = ''; target.dispatchEvent(new Event('input')); return; }
    const row = rows.get(state.selected)?.firstChild ?? $('list').querySelector('a');
    if (location.hash && !$('list').contains(target)) location.hash = '';
    row?.focus();
    return;
  }
  if (target.closest('input, select, textarea')) return;
  const steps = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  const inList = $('list').contains(target) || target === document.body;
  if (key === '/') $('text').focus();
  else if (key in steps && inList) move(steps[key]);
  else return;
  event.preventDefault();
});

function theme(name) {
  document.documentElement.dataset.theme = name;
  $('theme').textContent = `Theme: ${name}`;
  storage(() => { localStorage.theme = name; });
}
$('theme').addEventListener('click', () => {
  const themes = ['system', 'light', 'dark'];
  theme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % 3]);
});
const kept = storage(() => localStorage.theme);
theme(['light', 'dark'].includes(kept) ? kept : 'system');

addEventListener('hashchange', route);
state.catalogue = await call('/api/catalogue').catch(() => []);
for (const { name } of state.catalogue) $('provider').append(el('option', { value: name }, name));
restoreFilters();
startForm();
connect();
