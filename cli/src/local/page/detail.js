// One delivery in full, or where to begin.

import { $, address, back, badge, block, button, call, clock, code, copyable, copying, el, fate, heading, note, show, size, state } from './common.js';
import { act, edit, openForm } from './form.js';

export function showStart() {
  const url = location.origin === 'http://127.0.0.1:9000' ? '' : ` --url ${location.origin}`;
  const empty = state.deliveries.size === 0;
  const { deliveries = 0, body_bytes = 0, bytes = 0 } = state.limits;
  const { name: platform = 'PLATFORM', events: [event] = ['EVENT'] } = state.catalogue[0] ?? {};
  show(heading(empty ? 'Nothing has arrived yet' : 'Choose a delivery'),
    el('p', {}, empty ? 'Deliveries show up here as they arrive. Send one:' : 'Or send another:'),
    block('From here', el('p', {}, 'Signed with this intake’s own secret, as the platform would.'),
      el('p', {}, button('Choose a sample to send', openForm))),
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

export async function showDelivery(number) {
  let shown;
  try {
    shown = await call(`/api/deliveries/${number}`);
  } catch (error) {
    // What is shown stays; of another, the list has this much.
    if (number !== state.selected || ($('right').dataset.of === `#${number}` && state.gone)) return;
    const pairs = Object.entries(state.deliveries.get(number) ?? {});
    show(back(), heading(`Delivery #${number}`), el('p', {}, error.message),
      pairs.length > 0 && block('What the list knows of it', el('dl', { class: 'pairs' },
        pairs.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, name === 'received' ? new Date(value).toISOString() : String(value))]))));
    return;
  }
  if (number !== state.selected) return;
  const { summary } = shown;
  const again = (tamper) => act(() => call(`/api/deliveries/${number}/replay`, { tamper }));
  show(back(),
    el('div', { class: 'title' },
      heading(badge(summary.outcome), ` ${shown.name ?? summary.type ?? ''} `, el('small', {}, `${address(summary)} #${number}`)),
      el('p', { class: 'buttons' }, button('Replay', () => again(false), { title: 'Byte for byte as it came' }),
        button('Replay tampered', () => again(true), { title: 'With one byte more than was signed' }),
        isWhole(shown) && button('Edit and resend', () => edit(shown)), button('Copy as curl', () => curl(number)))),
    el('div', { id: 'curl', role: 'status' }),
    el('p', { class: 'line' }, el('code', {}, `${summary.method} ${shown.target}`), ` at ${clock(summary.received)}, `,
      `${size(summary.body_bytes)}, answered ${summary.status} in ${summary.TotalMs.toFixed(1)} ms`),
    verdict(shown),
    el('div', { class: 'columns' }, el('div', {}, el('div', { id: 'body' }, body(shown)), headers(shown)),
      el('div', {}, el('div', { id: 'event-block' }, event(shown)), el('div', { id: 'claim' }, block('Claim')), shown.log && [timing(shown.log), log(shown.log)])));
  showClaim(number);
}

const isWhole = ({ summary, body_kept, body_is_text }) => body_is_text && body_kept === summary.body_bytes;

/** Shows the command too: it says how it was made, and a browser may not let it be copied. */
async function curl(number) {
  const { curl: command, note: made } = await call(`/api/deliveries/${number}/curl`, {}).catch((error) => ({ note: `No curl command: ${error.message}` }));
  if (number !== state.selected) return;
  $('curl').replaceChildren(block('As curl', note(made), command && copyable(command)));
  if (command) $('curl').querySelector('button').click();
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
  said.push(el('p', { id: 'fate' }));
  return el('section', { class: 'verdict', 'data-outcome': summary.outcome, 'aria-label': 'Verdict' }, ...said);
}

function body(shown) {
  const { summary, body: text, body_kept, body_masked, body_is_text } = shown;
  const notes = [
    body_kept < summary.body_bytes && `The first ${size(body_kept)} of ${size(summary.body_bytes)}: too large to be kept whole, explained, replayed or copied.`,
    body_masked && 'The signature in it is masked.',
    !body_is_text && 'Not UTF-8: � stands for bytes that are not text. It cannot be copied or edited.',
  ].filter(Boolean);
  const toggle = el('button', { type: 'button', class: 'small', 'aria-pressed': String(state.exact), click: () => {
    state.exact = !state.exact;
    const fresh = body(shown);
    toggle.closest('.block').replaceWith(fresh);
    fresh.querySelector('button').focus();
  } }, 'As received');
  const buttons = text && el('span', { class: 'buttons' }, toggle, isWhole(shown) && copying(text, { class: 'small' }, 'Copy body'));
  return block(['Body', buttons], ...notes.map(note), text ? code(text, !state.exact) : note('Empty.'));
}

function event({ summary, event }) {
  const about = { queued: '', duplicate: 'As this copy reads; the first one was queued.', quarantined: 'Not queued: in quarantine.', crashed: 'Queued only if SQS accepted it before the crash.' }[summary.outcome] ?? 'Not queued.';
  if (event) return block(['Normalised event', copying(event, { class: 'small' }, 'Copy event')], about && note(about), code(event, true));
  return block('Normalised event', note(summary.outcome === 'rejected' ? 'None: nothing is read before the signature is verified.' : 'None: it could not be read as an event.'));
}

function headers({ headers }) {
  return block('Headers', el('dl', { class: 'pairs' }, headers.flatMap(({ name, value, masked }) =>
    [el('dt', {}, name), el('dd', { class: masked && 'masked' }, value)])));
}

function timing(log) {
  const steps = [['claim', log.ClaimMs], ['enqueue', log.EnqueueMs], ['settle', log.settle_ms]].filter(([, ms]) => ms != null);
  const rest = log.TotalMs - steps.reduce((sum, [, ms]) => sum + ms, 0);
  const all = [...steps, [steps.length ? 'verify and the rest' : 'verify', Math.max(0, rest)]];
  return block(`Time: ${log.TotalMs.toFixed(2)} ms`, el('dl', { class: 'times' }, all.flatMap(([name, ms]) =>
    [el('dt', {}, name), el('dd', {}, el('progress', { max: log.TotalMs, value: ms, 'aria-label': name }), `${ms.toFixed(2)} ms`)])));
}

function log(line) {
  return block('Log line', el('details', {}, el('summary', {}, 'What the function logs'), code(JSON.stringify(line), true)));
}

export async function showClaim(number) {
  const { key, item, message, now } = await call(`/api/deliveries/${number}/claim`).catch(() => ({}));
  if (number !== state.selected || !$('claim') || key === undefined) return;
  const left = Math.ceil((item?.lease_until - now) / 1000);
  const words = !key ? 'No claim: the delivery was not verified, or was too large.'
    : !item ? 'No longer in the table.'
    : item.state === 'queued' ? 'Settled: sent once, every further copy is a duplicate.'
    : left > 0 ? `An invocation holds the lease for at most ${left} s more.`
    : 'The lease is over: the next copy with the same content takes over.';
  const pairs = Object.entries({ pk: key, ...item }).filter(([, value]) => value != null).map(([name, value]) =>
    [name, name === 'expires_at' ? new Date(value * 1000).toISOString() : value]);
  const fresh = block('Claim', el('p', {}, words),
    key && el('dl', { class: 'pairs' }, pairs.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])));
  const link = message && el('a', { href: `#queues/${message.id}` }, 'Show it in its queue');
  const known = item?.message_id ? [`Message: ${fate(message, state.deliveries.get(number)?.outcome)[1]} `, link ?? ''] : [];
  for (const [place, now] of [[$('claim'), [fresh]], [$('fate'), known]]) {
    // What stays the same is not replaced: it may be pressed, or selected.
    const draft = el('div', {}, ...now);
    if (place.textContent !== draft.textContent) place.replaceChildren(...draft.childNodes);
  }
}

