<?php
// docs/contract/vectors.json against PHP's hash_hmac: php tests/vectors/verify.php. Reads how each platform signs from the same
// file; nothing here knows a platform.

const MAX_SIGNATURES = 8;
const LENGTHS = ['sha256' => 32, 'sha512' => 64];

class Rejected extends Exception {}

function reject(string $reason = 'signature_malformed'): never
{
    throw new Rejected($reason);
}

// The header's one value; null where there is none.
function header_of(array $delivery, string $name): ?string
{
    $values = array_column(array_filter($delivery['headers'], fn($header) => $header[0] === $name), 1);
    if (count($values) > 1) reject('signature_repeated');
    if ($values && !preg_match('/^[\t\x20-\x7e]*$/D', $values[0])) reject();
    return $values[0] ?? null;
}

function required(array $delivery, string $name): string
{
    return header_of($delivery, $name) ?? reject();
}

// The one top-level member of this name, a string without escapes: its value, and the body without what is cut out.
function member(string $body, string $name, bool $emptied): ?array
{
    preg_match_all('/"(?:[^"\\\\]|\\\\.)*"|[{}[\],:]/s', $body, $tokens, PREG_OFFSET_CAPTURE);
    [$depth, $comma, $nameIsNext, $found, $end] = [0, null, false, null, 0];
    foreach ($tokens[0] as [$text, $start]) {
        if ($start < $end) continue;
        if ($text === '{' || $text === '[') {
            $nameIsNext = ++$depth === 1 && $text === '{';
        } elseif ($text === '}' || $text === ']') {
            $depth--;
        } elseif ($text === ',' && $depth === 1) {
            [$comma, $nameIsNext] = [$start, true];
        } elseif ($text[0] === '"' && $depth === 1 && $nameIsNext) {
            $nameIsNext = false;
            if ($text !== "\"$name\"") continue;
            if ($found) reject('signature_repeated');
            if (!preg_match('/\G\s*:\s*"([^"\\\\]*)"/', $body, $value, PREG_OFFSET_CAPTURE, $start + strlen($text))) reject();
            $end = $value[0][1] + strlen($value[0][0]);
            $behind = preg_match('/\G\s*,\s*/', $body, $space, 0, $end) ? strlen($space[0]) : 0;
            $cut = $comma !== null ? [$comma, $end] : [$start, $end + $behind];
            [$from, $to] = $emptied ? [$value[1][1], $end - 1] : $cut;
            $found = [$value[1][0], substr($body, 0, $from) . substr($body, $to)];
        }
    }
    return $found;
}

// What stands in the signature's place: its signatures, and the time in it.
function read(array $form, string $written): array
{
    if (isset($form['prefix'])) {
        if (!str_starts_with($written, $form['prefix'])) reject();
        return [[substr($written, strlen($form['prefix']))], ''];
    }
    $fields = explode($form['separator'], $written);
    if ($form['marker'] !== '' && array_shift($fields) !== $form['marker']) reject();
    $split = fn($field) => str_contains($field, $form['assign']) ? explode($form['assign'], $field, 2) : reject();
    $fields = array_map($split, $fields);
    $time = '';
    if ($form['time'] !== '') {
        [$name, $time] = array_shift($fields) ?? reject();
        if ($name !== $form['time']) reject();
    }
    $signatures = [];
    foreach ($fields as [$name, $value]) {
        if ($name === $form['signature'] && ($form['several'] || !$signatures)) $signatures[] = $value;
        elseif (!in_array($name, $form['ignored'], true)) reject();
    }
    return $signatures ? [$signatures, $time] : reject();
}

// Null for anything but padded standard base64.
function from_base64(string $text): ?string
{
    $bytes = base64_decode($text, true);
    return $bytes !== false && base64_encode($bytes) === $text ? $bytes : null;
}

function decode(array $scheme, string $text): string
{
    [$encoding, $length] = [$scheme['encoding'], LENGTHS[$scheme['hash']]];
    $digits = $encoding === 'lower_hex' ? '0-9a-f' : '0-9a-fA-F';
    if ($encoding !== 'base64' && preg_match("/^[$digits]{" . 2 * $length . '}$/D', $text)) return hex2bin($text);
    $bytes = str_contains($encoding, 'base64') ? from_base64($text) : null;
    return $bytes !== null && strlen($bytes) === $length ? $bytes : reject();
}

function key_of(array $scheme, string $secret): string
{
    if ($scheme['key'] === 'text') return $secret;
    $prefix = $scheme['key']['base64_behind'];
    return str_starts_with($secret, $prefix) ? from_base64(substr($secret, strlen($prefix))) ?? '' : '';
}

function verify(array $scheme, array $delivery): ?array
{
    $body = $delivery['body'];
    if (isset($scheme['place']['header'])) {
        $written = header_of($delivery, $scheme['place']['header']);
    } else {
        $emptied = in_array('body_with_empty_signature', $scheme['signed'], true);
        [$written, $body] = member($body, $scheme['place']['member'], $emptied) ?? [null, null];
    }
    if ($written === null) return null;
    $idHeader = array_column(array_filter($scheme['signed'], 'is_array'), 'header')[0] ?? null;
    $id = $idHeader ? required($delivery, $idHeader) : null;
    $timeHeader = $scheme['time']['header'] ?? null;
    $timeInHeader = $timeHeader ? required($delivery, $timeHeader) : null;
    [$signatures, $timeInForm] = read($scheme['form'], $written);
    $signatures = array_map(fn($text) => decode($scheme, $text), $signatures);
    if (count($signatures) > MAX_SIGNATURES) reject();
    if ($id !== null && !preg_match('/^[A-Za-z0-9_-]{1,128}$/D', $id)) reject();
    $time = $timeInHeader ?? $timeInForm;
    if ($scheme['time'] && !preg_match('/^[0-9]+$/D', $time)) reject();
    if ($scheme['time'] && ($scheme['form']['time'] ?? '') !== '' && $time !== $timeInForm) reject();

    $text = fn($piece) => is_array($piece) ? $piece['text'] ?? $id : ($piece === 'time' ? $time : $body);
    $signed = implode('', array_map($text, $scheme['signed']));
    $position = null;
    foreach (array_reverse($delivery['secrets'], true) as $index => $secret) {
        $key = key_of($scheme, $secret);
        if ($key === '') continue;
        $mac = hash_hmac($scheme['hash'], $signed, $key, true);
        foreach ($signatures as $signature) {
            if (hash_equals($mac, $signature)) $position = $index;
        }
    }
    if ($position === null) reject('signature_mismatch');
    if ($scheme['time'] && abs($delivery['received'] - (int) $time) > $scheme['time']['tolerance']) reject('timestamp_expired');
    return ['scheme' => $scheme['name'], 'secret' => $position, 'id' => $id, 'body' => $body];
}

function compact_json(array $value): string
{
    return json_encode($value, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
}

// The idempotency key.
function identity(array $platform, array $delivery, array $verified): string
{
    $content = hash('sha256', $verified['body']);
    $name = $platform['unsigned_name'] ? header_of($delivery, $platform['unsigned_name']) : null;
    if ($name) $content = hash('sha256', compact_json([$name, $content]));
    [$event, $rule] = [json_decode($delivery['body'], true, 512, JSON_THROW_ON_ERROR), $platform['identity']];
    $at = fn($path) => array_reduce(explode('.', $path), fn($value, $word) => is_array($value) ? $value[$word] ?? null : null, $event);
    if ($rule === 'signed_header') return $verified['id'];
    if ($rule === 'content') return $content;
    if (isset($rule['id'])) return $at($rule['id']) ?: $content;
    $values = array_map($at, $rule['together']);
    // Of each value its JSON text, as it stands in the body.
    return in_array(null, $values, true) || in_array('', $values, true) ? $content : hash('sha256', compact_json($values));
}

function judge(array $platform, array $delivery): array
{
    try {
        if (array_intersect(array_column($delivery['headers'], 0), $platform['not_a_webhook'])) reject('not_a_webhook');
        $names = array_column($platform['modes'], 'schemes', 'value')[$delivery['mode']];
        foreach ($names as $name) {
            $verified = verify(array_column($platform['schemes'], null, 'name')[$name], $delivery);
            if ($verified) {
                $key = identity($platform, $delivery, $verified);
                return ['accepted' => ['key' => $key, 'scheme' => $verified['scheme'], 'secret' => $verified['secret']]];
            }
        }
        reject('signature_missing');
    } catch (Rejected $reason) {
        return ['rejected' => $reason->getMessage()];
    }
}

$vectors = json_decode(file_get_contents(__DIR__ . '/../../docs/contract/vectors.json'), true, 512, JSON_THROW_ON_ERROR);
$platforms = array_column($vectors['platforms'], null, 'name');
$wrong = 0;
foreach ($vectors['deliveries'] as $delivery) {
    $said = judge($platforms[$delivery['platform']], $delivery);
    if ($said !== $delivery['verdict']) {
        $wrong++;
        $verdicts = array_map('json_encode', [$said, $delivery['verdict']]);
        echo "{$delivery['platform']} {$delivery['mode']}, {$delivery['what']}: $verdicts[0] instead of $verdicts[1]\n";
    }
}
$count = count($vectors['deliveries']);
echo 'PHP ' . PHP_VERSION . ": $count deliveries of " . count($platforms) . " platforms, $wrong wrong\n";
exit($wrong > 0 || $count === 0 ? 1 : 0);
