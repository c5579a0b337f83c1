// The form: sends samples, and deliveries with edits, signed with this intake's own secret.

import { $, call, el, state, wide } from './common.js';

/** The delivery whose body is being edited. */
let edited = null;

function options(select, values) {
  select.replaceChildren(...values.map((value) => el('option', { value }, value)));
  select.closest('label').hidden = values.length < 2;
}

function choosePlatform() {
  const { events, accounts, schemes, scheme, member } = state.catalogue.find(({ name }) => name === $('platform').value);
  options($('event'), events);
  options($('account'), accounts);
  options($('scheme'), schemes);
  $('scheme').value = scheme;
  $('account').value = accounts.includes('default') ? 'default' : accounts[0];
  $('set').placeholder = `${member}=100`;
}

export function startForm() {
  options($('platform'), state.catalogue.map(({ name }) => name));
  if (state.catalogue.length) choosePlatform();
  $('send').open = wide.matches;
}

export function openForm() {
  document.body.dataset.view = 'list';
  $('send').open = true;
  $('send').scrollIntoView({ block: 'nearest' });
  (edited ? $('body-text') : $('platform')).focus();
}

/** Opens the form with a delivery's body; null goes back to samples. */
export function edit(shown) {
  edited = shown && { number: shown.summary.number, body: shown.body, text: '', fresh: false };
  $('send').classList.toggle('editing', Boolean(shown));
  $('send').firstElementChild.textContent = shown ? `Edit and resend #${edited.number}` : 'Send a delivery';
  $('sent').textContent = '';
  if (!shown) return;
  $('platform').value = shown.summary.provider;
  choosePlatform();
  if (shown.summary.account) $('account').value = shown.summary.account;
  if (shown.explanation?.scheme) $('scheme').value = shown.explanation.scheme;
  $('set').value = '';
  fill(shown.body);
  openForm();
}

function fill(body) {
  $('body-text').value = body;
  // What the field makes of line ends.
  Object.assign(edited, { body, text: $('body-text').value });
}

/** The edited body with the line ends that it had; byte for byte where nothing was changed. */
function editedBody() {
  const text = $('body-text').value;
  if (text === edited.text) return edited.body;
  return edited.body.includes('\r\n') ? text.replaceAll('\n', '\r\n') : text;
}

function request(changes) {
  const what = edited ? { body: editedBody(), from: edited.number, fresh: edited.fresh } : { event: $('event').value, same: $('same').checked };
  return {
    provider: $('platform').value, account: $('account').value, scheme: $('scheme').value, ...what,
    set: $('set').value.split('\n').map((line) => line.trim()).filter(Boolean), ...changes,
  };
}

/** Sends, says what came of it, and opens it. */
export async function act(send) {
  try {
    const { number, outcome, status } = await send();
    $('sent').textContent = `#${number}: ${status} ${outcome}`;
    if (number && wide.matches) location.hash = `#${number}`;
  } catch (error) {
    $('sent').textContent = error.message;
    $('send').open = true;
  }
}

$('form').addEventListener('submit', (event) => { event.preventDefault(); act(() => call('/api/send', request())); });
$('send-twice').addEventListener('click', () => act(async () => {
  const { number } = await call('/api/send', request());
  return call(`/api/deliveries/${number}/replay`, {});
}));
$('send-tampered').addEventListener('click', () => act(() => call('/api/send', request({ tamper: $('tamper').value }))));
$('send-all').addEventListener('click', () => act(async () => {
  let last;
  for (const { value } of $('event').options) last = await call('/api/send', request({ event: value, set: [] }));
  return last;
}));
$('fresh').addEventListener('click', async () => {
  const { body } = await call('/api/fresh', { provider: $('platform').value, body: editedBody() }).catch((error) => {
    $('sent').textContent = error.message;
    return {};
  });
  if (!body) return;
  fill(body);
  edited.fresh = true;
});
$('samples').addEventListener('click', () => { edit(null); $('platform').focus(); });
$('platform').addEventListener('change', choosePlatform);
