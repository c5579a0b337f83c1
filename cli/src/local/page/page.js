// The page: a list that follows what arrives, one delivery in full, the queues, and a form to send.
// Whatever comes from a delivery is put into the page as text, never as markup; the policy that the page is served with
// would not let it.

const OUTCOMES = {
  queued: ['✓', 'Queued'], duplicate: ['↻', 'Duplicate'], quarantined: ['▲', 'Quarantined'], ping: ['·', 'Ping'],
  rejected: ['✕', 'Rejected'],   too_large: ['↑', 'Too large'], busy: ['…', 'Busy'], unavailable: ['!', 'Unavailable'],
};
const LONGEST_COLOURED = 200_000;
const state = {
  run: '', deliveries: new Map(), counts: {}, limits: {}, queues: {}, catalogue: [],
  outcome: '', provider: '', text: '', found: new Set(), selected: 0, exact: false, unsaid: [],
};
const rows = new Map();
const $ = (id) => document.getElementById(id);
const wide = matchMedia('(min-width: 800px)');

/** An element with attributes, listeners and children; text is text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value != null && (value !== false || key.startsWith('data-'))) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

async function call(path, body) {
  const post = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(path, post);
  const json = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
  if (!answer.ok) throw new Error(json.error ?? 'it did not work');
  return json;
}

const plural = (count, one) => `${count} ${one}${count === 1 ? '' : 's'}`;
const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`);
const badge = (outcome) => el('span', { class: 'badge', 'data-outcome': outcome }, `${OUTCOMES[outcome]?.[0] ?? '?'} ${OUTCOMES[outcome]?.[1] ?? outcome}`);
const address = (summary) => (summary.provider ?? '') + (summary.account && summary.account !== 'default' ? `/${summary.account}` : '');

// ---- What arrives ----

function connect() {
  const stream = new EventSource('/api/stream');
  const connection = (name, text) => { $('connection').dataset.state = name; $('connection').textContent = text; };
  const on = (name, act) => stream.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on('snapshot', (snapshot) => {
    connection('live', 'Live');
    if (state.run && state.run !== snapshot.run) location.hash = '';
    Object.assign(state, { run: snapshot.run, counts: snapshot.counts, limits: snapshot.limits });
    state.deliveries = new Map(snapshot.deliveries.map((summary) => [summary.number, summary]));
    rows.clear();
    $('list').replaceChildren();
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
    if (location.hash === '#queues') showQueues();
    else if (state.selected) showClaim(state.selected);
  });
  stream.addEventListener('error', () => {
    connection('lost', 'Connection lost, trying again');
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
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
    click: () => { state.outcome = state.outcome === outcome ? '' : outcome; renderCounts(); renderList(); },
  }, el('b'), ` ${name}`);
  const terms = Object.entries(OUTCOMES).flatMap(([outcome, [, name]], index) =>
    [el('span', { class: 'sign' }, index ? '+' : '='), chip(outcome, name)]);
  $('counts').append(chip('', 'Received'), ...terms, el('span', { class: 'sum' }));
}

function renderCounts() {
  const { received = 0, died = 0, ...outcomes } = state.counts;
  const working = received - died - Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  if (!$('counts').firstChild) makeCounts();
  for (const chip of $('counts').querySelectorAll('button')) {
    const { outcome } = chip.dataset;
    const count = outcome ? outcomes[outcome] ?? 0 : received;
    chip.firstChild.textContent = count;
    chip.dataset.none = count === 0;
    chip.setAttribute('aria-pressed', String(state.outcome === outcome));
  }
  $('counts').lastChild.textContent = working ? `${working} at work` : died ? `${died} died` : '✓ adds up';
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
  return el('li', {}, el('a', { href: `#${summary.number}`, tabindex: -1, click: (event) => open(event, summary.number) },
    badge(summary.outcome), el('span', { class: 'address' }, address(summary)),
    el('time', {}, clock(summary.received)),
    el('span', { class: 'what' }, what), el('span', { class: 'took' }, `${summary.TotalMs?.toFixed(1)} ms`)));
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
    if (element === place) place = place.nextSibling;
    else list.insertBefore(element, place);
  }
  const total = state.deliveries.size;
  $('shown').textContent = shown.length === total ? plural(total, 'delivery').replace('deliverys', 'deliveries') : `${shown.length} of ${total} deliveries`;
  mark();
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
  if (event.detail === 0 || !wide.matches) route.focus = true;
  if (location.hash === `#${number}`) route();
}

function move(by) {
  const links = [...$('list').querySelectorAll('a')];
  const from = links.findIndex((link) => link === document.activeElement || (document.activeElement === document.body && link.tabIndex === 0));
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

// ---- The detail ----

function route() {
  document.body.dataset.empty = state.deliveries.size === 0;
  const hash = location.hash.slice(1);
  state.selected = Number(hash) || 0;
  document.body.dataset.view = hash ? 'detail' : 'list';
  mark();
  if (state.selected) showDelivery(state.selected);
  else if (hash === 'queues') showQueues();
  else showStart();
}

function show(...children) {
  const scrolled = $('right').dataset.of === location.hash ? $('right').scrollTop : 0;
  $('right').replaceChildren(...children.flat());
  $('right').dataset.of = location.hash;
  $('right').scrollTop = scrolled;
  if (route.focus) $('right').querySelector('h2').focus();
  route.focus = false;
}

const heading = (...children) => el('h2', { tabindex: -1 }, ...children);
const back = () => el('a', { class: 'back', href: '#' }, '← Deliveries');
const block = (title, ...children) => el('section', { class: 'block' }, el('h3', {}, title), ...children);
const button = (text, click) => el('button', { type: 'button', click }, text);

function copyable(command) {
  const copy = button('Copy', async () => { await navigator.clipboard.writeText(command); copy.textContent = 'Copied'; });
  return el('div', { class: 'command' }, el('pre', {}, command), copy);
}

function showStart() {
  const url = location.origin === 'http://127.0.0.1:9000' ? '' : ` --url ${location.origin}`;
  const empty = state.deliveries.size === 0;
  const { deliveries = 0, body_bytes = 0, bytes = 0 } = state.limits;
  const { name: platform = 'PLATFORM', events: [event] = ['EVENT'] } = state.catalogue[0] ?? {};
  show(heading(empty ? 'Nothing has arrived yet' : 'Choose a delivery'),
    el('p', {}, empty ? 'Deliveries show up here as they arrive. Send one:' : 'Or send another:'),
    block('From here', el('p', {}, 'Signed with this intake’s own secret, as the platform would.'),
      el('p', {}, button('Choose a sample to send', () => { $('send').open = true; $('platform').focus(); document.body.dataset.view = 'list'; }))),
    block('From a shell', copyable(`hookgate send ${platform} ${event}${url}`), copyable(`hookgate send ${platform} ${event} --scenario duplicates${url}`),
      el('p', {}, 'An unsigned one, to see a rejection explained:'),
      copyable(`curl -i ${location.origin}/webhooks/${platform} -H 'content-type: application/json' -d '{}'`)),
    block('From your code', el('p', {}, 'Point what sends webhooks at the platform’s address:'),
      ...state.catalogue.map(({ name }) => copyable(`${location.origin}/webhooks/${name}`))),
    block('Good to know', el('ul', {},
      el('li', {}, el('kbd', {}, 'j'), ' ', el('kbd', {}, 'k'), ' or arrows move in the list, ', el('kbd', {}, 'Enter'), ' opens, ', el('kbd', {}, 'Esc'), ' goes back, ', el('kbd', {}, '/'), ' searches.'),
      el('li', {}, `Kept in memory: the last ${deliveries} deliveries, at most ${size(body_bytes)} of each body and ${size(bytes)} of all. The counts go on.`),
      el('li', {}, 'Signatures, cookies and credentials are masked.'))));
}

async function showDelivery(number) {
  let shown;
  try {
    shown = await call(`/api/deliveries/${number}`);
  } catch (error) {
    if (number === state.selected) show(back(), heading(`Delivery ${number}`), el('p', {}, error.message));
    return;
  }
  if (number !== state.selected) return;
  const { summary } = shown;
  const again = (tamper) => act(() => call(`/api/deliveries/${number}/replay`, { tamper }));
  show(back(),
    el('div', { class: 'title' }, heading(badge(summary.outcome), ` ${address(summary)}`, el('small', {}, ` #${number}`)),
      el('p', { class: 'buttons' }, button('Replay', () => again(false)), button('Replay tampered', () => again(true)))),
    el('p', { class: 'line' }, el('code', {}, `${summary.method} ${shown.target}`), ` at ${clock(summary.received)}, `,
      `${size(summary.body_bytes)}, answered ${summary.status} in ${summary.TotalMs?.toFixed(1)} ms`),
    verdict(shown),
    el('div', { class: 'columns' }, el('div', {}, body(shown), headers(shown)),
      el('div', {}, event(shown), el('div', { id: 'claim' }, block('Claim')), timing(shown.log), log(shown.log))));
  showClaim(number);
}

function verdict({ summary, words, explanation }) {
  const said = [el('p', { class: 'words' }, words)];
  if (explanation) {
    const { verifies, scheme, secret, signed } = explanation;
    const by = verifies ? `Verifies by scheme ${scheme} with ${secret ? `an older secret (position ${secret})` : 'the current secret'}.` : 'Does not verify.';
    const digits = !verifies && signed?.expected && signed.received ? ` Expected ${signed.expected}, received ${signed.received}` : '';
    said.push(el('p', {}, `${by} ${signed ? `Signed: ${signed.what}.` : ''}${digits}`));
    said.push(el('ul', { class: 'diagnoses' }, explanation.diagnoses.map(({ certain, finding, remedy }) =>
      el('li', {}, el('strong', {}, certain ? finding : `Perhaps: ${finding}`), el('span', {}, remedy)))));
  }
  return el('section', { class: 'verdict', 'data-outcome': summary.outcome, 'aria-label': 'Verdict' }, ...said);
}

function body(shown) {
  const { summary, body: text, body_kept, body_masked, body_is_text } = shown;
  const notes = [
    body_kept < summary.body_bytes && `The first ${size(body_kept)} of ${size(summary.body_bytes)}: too large to be kept whole, explained or replayed.`,
    body_masked && 'The signature in it is masked.',
    !body_is_text && 'Not UTF-8: � stands for bytes that are no text.',
  ].filter(Boolean);
  const toggle = el('button', { type: 'button', class: 'small', 'aria-pressed': String(state.exact), click: () => {
    state.exact = !state.exact;
    const fresh = body(shown);
    toggle.closest('.block').replaceWith(fresh);
    fresh.querySelector('button').focus();
  } }, 'As received');
  const made = block('Body', ...notes.map((note) => el('p', { class: 'note' }, note)),
    text ? code(text, !state.exact) : el('p', { class: 'note' }, 'Empty.'));
  made.id = 'body';
  if (text) made.firstChild.append(' ', toggle);
  return made;
}

function event({ summary, event }) {
  const note = { queued: '', duplicate: 'This copy’s reading; the first one was taken.', quarantined: 'Not queued: in quarantine.' }[summary.outcome] ?? 'Not queued.';
  const made = block('Normalised event', note && event && el('p', { class: 'note' }, note),
    event ? code(event, true) : el('p', { class: 'note' }, summary.outcome === 'rejected' ? 'None: nothing is read before the signature holds.' : 'None: it cannot be read as one.'));
  made.id = 'event-block';
  return made;
}

function headers({ headers }) {
  return block('Headers', el('dl', { class: 'pairs' }, headers.flatMap(({ name, value, masked }) =>
    [el('dt', {}, name), el('dd', { class: masked && 'masked' }, value)])));
}

function timing(log) {
  const steps = [['claim', log.ClaimMs], ['enqueue', log.EnqueueMs], ['settle', log.settle_ms]].filter(([, ms]) => ms != null);
  const rest = log.TotalMs - steps.reduce((sum, [, ms]) => sum + ms, 0);
  const all = [...steps, [steps.length ? 'verify and the rest' : 'verify', Math.max(0, rest)]];
  return block(`Time: ${log.TotalMs?.toFixed(2)} ms`, el('dl', { class: 'times' }, all.flatMap(([name, ms]) =>
    [el('dt', {}, name), el('dd', {}, el('progress', { max: log.TotalMs, value: ms, 'aria-label': name }), `${ms.toFixed(2)} ms`)])));
}

function log(line) {
  return block('Log line', el('details', {}, el('summary', {}, 'What the function logs'), code(JSON.stringify(line), true)));
}

async function showClaim(number) {
  const { key, item, message, now } = await call(`/api/deliveries/${number}/claim`).catch(() => ({}));
  if (number !== state.selected || !$('claim') || key === undefined) return;
  const left = Math.ceil((item?.lease_until - now) / 1000);
  const words = !key ? 'None: only what is authentic and fits is claimed.'
    : !item ? 'None in the table any more.'
    : item.state === 'queued' ? 'Settled: sent once, every further copy is a duplicate.'
    : left > 0 ? `An invocation is at work on it, for at most ${left} s more.`
    : 'The lease is over: the next copy with the same content takes over.';
  const where = !item?.message_id ? '' : message
    ? `Its message is on ${message.queue}, ${message.waiting ? 'waiting' : 'in flight'}, received ${plural(message.receives, 'time')}.`
    : 'Its message is on no queue any more: deleted by a consumer, or moved by a redrive under another id.';
  const pairs = Object.entries({ pk: key, ...item }).filter(([, value]) => value != null).map(([name, value]) =>
    [name, name === 'expires_at' ? new Date(value * 1000).toISOString() : value]);
  $('claim').replaceChildren(block('Claim', el('p', {}, words), where && el('p', {}, where),
    key && el('dl', { class: 'pairs' }, pairs.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]))));
}

async function showQueues() {
  const queues = await call('/api/queues').catch(() => null);
  if (!queues || location.hash !== '#queues') return;
  const focused = document.activeElement?.closest?.('#right details')?.id;
  const opened = new Set([...$('right').querySelectorAll('details[open]')].map((details) => details.id));
  const message = (held) => el('details', { id: held.id, open: opened.has(held.id) && '' },
    el('summary', {}, el('span', { class: 'address' }, address(held)), ` ${held.type ?? held.reason ?? ''} ${held.subject ?? ''} `,
      el('span', { class: 'note' }, `${clock(held.sent)}, ${held.waiting ? 'waiting' : 'in flight'}, received ${plural(held.receives, 'time')}`)),
    code(held.text, true));
  const queue = (name, about, held) => !held ? block(name, el('p', {}, 'There is no such queue any more.')) : block(name, el('p', {}, `${held.waiting} waiting, ${held.in_flight} in flight. ${about}`),
    held.messages.length < held.waiting + held.in_flight && el('p', { class: 'note' }, `The last ${held.messages.length}:`),
    ...held.messages.map(message));
  show(back(), heading('Queues'), el('p', {}, 'A look, not a receive: nothing here raises receive counts or hides a message.'),
    queue('hookgate-quarantine', 'Authentic deliveries that are no usable event.', queues.quarantine),
    queue('hookgate-dead-letters', 'Events that consumers failed to handle five times.', queues.dead_letters),
    queue('hookgate-events', 'What consumers receive.', queues.events));
  if (focused) document.getElementById(focused)?.firstChild.focus();
}

/** JSON in lines and colours; its numbers and strings stay as they are written. */
function code(text, inLines) {
  const pre = el('pre', { class: 'code' });
  const tokens = text.length < LONGEST_COLOURED && inLines && /^\s*[[{]/.test(text) ? text.match(/"(?:[^"\\]|\\[^])*\\?"?|[{}[\],:]|[^\s{}[\],:"]+/g) : null;
  if (!tokens) { pre.textContent = text; return pre; }
  let depth = 0;
  // Not as deep as a hostile body would have it: the text must not grow with the square of its length.
  const line = () => `\n${'  '.repeat(Math.min(Math.max(0, depth), 32))}`;
  tokens.forEach((token, index) => {
    const [before, after] = [tokens[index - 1], tokens[index + 1]];
    if (token === '{' || token === '[') {
      depth += 1;
      pre.append(token, after === '}' || after === ']' ? '' : line());
    } else if (token === '}' || token === ']') {
      depth -= 1;
      pre.append(before === '{' || before === '[' ? '' : line(), token);
    } else if (token === ',') pre.append(token, line());
    else if (token === ':') pre.append(': ');
    else pre.append(el('span', { class: token[0] !== '"' ? 'number' : after === ':' ? 'key' : 'string' }, token));
  });
  return pre;
}

// ---- Sending ----

function options(select, values) {
  select.replaceChildren(...values.map((value) => el('option', { value }, value)));
  select.closest('label').hidden = values.length < 2;
}

function choosePlatform() {
  const { events, accounts, schemes, member } = state.catalogue.find(({ name }) => name === $('platform').value);
  options($('event'), events);
  options($('account'), accounts);
  options($('scheme'), schemes);
  $('account').value = accounts.includes('default') ? 'default' : accounts[0];
  $('scheme').value = schemes.at(-1);
  $('set').placeholder = `${member}=100`;
}

function wish(changes) {
  return {
    provider: $('platform').value, event: $('event').value, account: $('account').value, scheme: $('scheme').value,
    same: $('same').checked, set: $('set').value.split('\n').map((line) => line.trim()).filter(Boolean), ...changes,
  };
}

/** Sends, says what came of it, and opens it. */
async function act(send) {
  try {
    const { number, outcome, status } = await send();
    $('sent').textContent = `#${number}: ${status} ${outcome}`;
    if (number && wide.matches) location.hash = `#${number}`;
  } catch (error) {
    $('sent').textContent = error.message;
    $('send').open = true;
  }
}

$('form').addEventListener('submit', (event) => { event.preventDefault(); act(() => call('/api/send', wish())); });
$('send-twice').addEventListener('click', () => act(async () => {
  const { number } = await call('/api/send', wish());
  return call(`/api/deliveries/${number}/replay`, {});
}));
$('send-tampered').addEventListener('click', () => act(() => call('/api/send', wish({ tamper: $('tamper').value }))));
$('send-all').addEventListener('click', () => act(async () => {
  let last;
  for (const { value } of $('event').options) last = await call('/api/send', wish({ event: value, set: [] }));
  return last;
}));
$('platform').addEventListener('change', choosePlatform);

// ---- Keys, filters, theme ----

$('text').addEventListener('input', () => { state.text = $('text').value.trim().toLowerCase(); state.found = new Set(); renderList(); searchSoon(); });
$('provider').addEventListener('change', () => { state.provider = $('provider').value; renderList(); });

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
  try { localStorage.theme = name; } catch { /* a browser that keeps nothing */ }
}
$('theme').addEventListener('click', () => {
  const themes = ['system', 'light', 'dark'];
  theme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % 3]);
});
let kept;
try { kept = localStorage.theme; } catch { /* as above */ }
theme(['light', 'dark'].includes(kept) ? kept : 'system');

addEventListener('hashchange', route);
state.catalogue = await call('/api/catalogue').catch(() => []);
options($('platform'), state.catalogue.map(({ name }) => name));
for (const { name } of state.catalogue) $('provider').append(el('option', { value: name }, name));
if (state.catalogue.length) choosePlatform();
$('send').open = wide.matches;
connect();
