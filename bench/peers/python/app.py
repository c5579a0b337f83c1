"""What most teams would write in Python: the same verification, claim and send, with Powertools."""
import base64, hashlib, hmac, json, os
from datetime import datetime, timezone

import boto3
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function)

sqs = boto3.client("sqs")
persistence = DynamoDBPersistenceLayer(table_name=os.environ["TABLE_NAME"])
SECRET = os.environ["WEBHOOK_SECRET"].encode()
# Where the platform puts things: see bench/src/main.rs.
HEADER, ID = os.environ["SIGNATURE_HEADER"], os.environ["EVENT_ID"]
NAME, TIME, DATA = (os.environ[f"EVENT_{each}"] for each in ("NAME", "TIME", "DATA"))
config = IdempotencyConfig(event_key_jmespath=ID, expires_after_seconds=7 * 86400)


@idempotent_function(data_keyword_argument="event", persistence_store=persistence, config=config)
def enqueue(event):
    out = sqs.send_message(
        QueueUrl=os.environ["QUEUE_URL"],
        MessageBody=json.dumps({
            "specversion": "1.0", "id": event[ID], "source": "platform", "type": event[NAME],
            "time": datetime.fromtimestamp(event[TIME], timezone.utc).isoformat(), "data": event[DATA]}))
    return {"messageId": out["MessageId"]}


def handler(req, context):
    config.register_lambda_context(context)
    body = req.get("body") or ""
    raw = base64.b64decode(body) if req.get("isBase64Encoded") else body.encode()
    want = hmac.new(SECRET, raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(want, (req.get("headers") or {}).get(HEADER, "")):
        return {"statusCode": 401, "body": "Unauthorized"}
    enqueue(event=json.loads(raw))
    return {"statusCode": 200, "body": "OK"}
