<?php
// Signs Opterius deliveries in the ways a PHP sender would, with nothing of Hookgate's code: the verifier has to accept
// them all. PHP escapes slashes and whatever is not ASCII.
// The committed answer: php tests/foreign/sign.php > tests/foreign/php.json

declare(strict_types=1);

const SECRET = 'chosen by the merchant: clé / Schlüssel';

$event = 'order.completed';
$timestamp = '2026-04-15T14:23:09Z';
$data = [
    'id' => 118,
    'total' => 2200,
    'tax_rate' => 7.7,
    'currency_code' => 'EUR',
    'url' => 'https://example.com/orders/118',
    'notes' => "Café Zürich – 24/7 🚚\n\"quoted\"",
    'signature' => 'data of the order, not of the webhook',
    'items' => [],
];
$unsigned = ['event' => $event, 'timestamp' => $timestamp, 'data' => $data];

function sign(string $text): string
{
    return 'sha256=' . hash_hmac('sha256', $text, SECRET);
}

$deliveries = [];

// `mode` is the value of OPTERIUS_SIGNED.
function deliver(string $name, string $mode, string $body): void
{
    global $deliveries, $timestamp;
    $deliveries[] = [
        'name' => "opterius, $name",
        'provider' => 'opterius',
        'mode' => $mode,
        'secret' => SECRET,
        'received' => strtotime($timestamp) + 1,
        'headers' => ['content-type' => 'application/json'],
        'body' => $body,
    ];
}

foreach (['' => 0, ', pretty' => JSON_PRETTY_PRINT, ', unescaped' => JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE] as $how => $flags) {
    // Signed without the member, which is then put in at the end, where the documentation shows it, or in front.
    $signature = sign(json_encode($unsigned, $flags));

    $payload = $unsigned;
    $payload['signature'] = $signature;
    deliver("without, last$how", 'without', json_encode($payload, $flags));

    $payload = ['event' => $event, 'timestamp' => $timestamp, 'signature' => $signature, 'data' => $data];
    deliver("without, as documented$how", 'without', json_encode($payload, $flags));

    $payload = ['signature' => $signature] + $unsigned;
    deliver("without, first$how", 'without', json_encode($payload, $flags));

    // Signed with an empty member, which is then filled in.
    $payload = $unsigned;
    $payload['signature'] = '';
    $payload['signature'] = sign(json_encode($payload, $flags));
    deliver("empty, last$how", 'empty', json_encode($payload, $flags));

    $payload = ['event' => $event, 'timestamp' => $timestamp, 'signature' => '', 'data' => $data];
    $payload['signature'] = sign(json_encode($payload, $flags));
    deliver("empty, as documented$how", 'empty', json_encode($payload, $flags));

    $payload = ['signature' => ''] + $unsigned;
    $payload['signature'] = sign(json_encode($payload, $flags));
    deliver("empty, first$how", 'empty', json_encode($payload, $flags));
}

echo json_encode($deliveries, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
