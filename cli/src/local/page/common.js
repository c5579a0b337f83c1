// What all parts of the page share: its state, elements, calls, words and the right-hand side's frame.
// Whatever comes from a delivery is put into the page as text, never as markup; the policy that the page is served with
// would not let it.

export const OUTCOMES = {
  queued: ['✓', 'Queued'], duplicate: ['↻', 'Duplicate'], quarantined: ['▲', 'Quarantined'], ping: ['·', 'Ping'],
  rejected: ['✕', 'Rejected'], too_large: ['↑', 'Too large'], busy: ['…', 'Busy'], unavailable: ['!', 'Unavailable'],
  crashed: ['†', 'Crashed'],
};
const LONGEST_COLOURED = 200_000;
const MOST_TOKENS = 20_000;
export const state = {
  run: '', gone: 0, deliveries: new Map(), counts: {}, limits: {}, queues: { fates: {} }, catalogue: [],
  outcome: '', provider: '', text: '', found: new Set(), selected: 0, exact: false, focus: false, unsaid: [],
};
export const $ = (id) => document.getElementById(id);
export const wide = matchMedia('(min-width: 800px)');

/** An element with attributes, listeners and children; text is text. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value != null && (value !== false || key.startsWith('data-'))) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

export async function call(path, body) {
  const post = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(path, post).catch(() => { throw new Error('The intake does not answer.'); });
  const json = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
  if (!answer.ok) throw new Error(json.error ?? 'it did not work');
  return json;
}

// ---- Words ----

export const number = (count) => count.toLocaleString('en');
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
export const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`);
export const badge = (outcome) => el('span', { class: 'badge', 'data-outcome': outcome }, `${OUTCOMES[outcome]?.[0] ?? '?'} ${OUTCOMES[outcome]?.[1] ?? outcome}`);
export const address = (summary) => (summary.provider ?? '') + (summary.account && summary.account !== 'default' ? `/${summary.account}` : '');
export const received = ({ receives, most_receives: most }) => `received ${most ? `${receives} of ${plural(most, 'time')}` : plural(receives, 'time')}`;

/** Where a delivery's message is: a word for the list, and a sentence. Null is on no queue any more. */
export function fate(place, outcome) {
  if (!place) {
    return outcome === 'quarantined' ? ['left quarantine', 'No longer in quarantine: released, or deleted.']
      : ['deleted', 'No longer on a queue: deleted by a consumer, by hookgate listen, or by a purge.'];
  }
  const { queue, receives, most_receives: most, waiting, redriven } = place;
  const again = redriven ? 'Redriven, now ' : '';
  if (queue === 'hookgate-quarantine') return ['', `In quarantine, ${received(place)}.`];
  if (queue === 'hookgate-dead-letters') return ['dead letter', `In the dead-letter queue: ${received(place)} and not deleted.`];
  const word = waiting ? 'waiting' : 'in flight';
  const sentence = `${again}${waiting ? 'waiting' : 'in flight'} on ${queue}, ${received(place)}.`;
  return [receives && most ? `${word} ${receives}/${most}` : word, sentence[0].toUpperCase() + sentence.slice(1)];
}

// ---- Elements ----

export const heading = (...children) => el('h2', { tabindex: -1 }, ...children);
export const back = () => el('a', { class: 'back', href: '#' }, '← Deliveries');
export const block = (title, ...children) => el('section', { class: 'block' }, el('h3', {}, title), ...children);
export const note = (text) => el('p', { class: 'note' }, text);
export const button = (text, click, attributes) => el('button', { type: 'button', ...attributes, click }, text);

/** A button that copies a text. A browser lets no page copy that came over the network without TLS. */
export function copying(text, attributes, name = 'Copy') {
  const copy = button(name, async () => {
    const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    copy.textContent = done ? 'Copied' : 'Not copied: select it';
  }, attributes);
  return copy;
}

export const copyable = (command) => el('div', { class: 'command' }, el('pre', {}, command), copying(command));

/** Fills the right-hand side, and keeps its place where it shows the same thing as before. */
export function show(...children) {
  const scrolled = $('right').dataset.of === location.hash ? $('right').scrollTop : 0;
  // Shown again before it was read: the focus stays on the heading.
  if (document.activeElement?.closest('#right h2')) state.focus = true;
  $('right').replaceChildren(...children.flat());
  $('right').dataset.of = location.hash;
  $('right').scrollTop = scrolled;
  if (state.focus) $('right').querySelector('h2').focus();
  state.focus = false;
}

/** JSON in lines and colours; its numbers and strings stay as they are written. */
export function code(text, inLines) {
  const pre = el('pre', { class: 'code' });
  const tokens = text.length < LONGEST_COLOURED && inLines && /^\s*[[{]/.test(text) ? text.match(/"(?:[^"\\]|\\[^])*\\?"?|[{}[\],:]|[^\s{}[\],:"]+/g) : null;
  if (!tokens || tokens.length > MOST_TOKENS) { pre.textContent = text; return pre; }
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
