// What most teams would write in Node: the same verification, claim and send, with Powertools.
import { createHmac, timingSafeEqual } from "node:crypto";
import { SQSClient, SendMessageCommand } from "@aws-sdk/client-sqs";
import { makeIdempotent, IdempotencyConfig } from "@aws-lambda-powertools/idempotency";
import { DynamoDBPersistenceLayer } from "@aws-lambda-powertools/idempotency/dynamodb";

const sqs = new SQSClient({});
const persistence = new DynamoDBPersistenceLayer({ tableName: process.env.TABLE_NAME });
const config = new IdempotencyConfig({ eventKeyJmesPath: process.env.EVENT_ID, expiresAfterSeconds: 7 * 86400 });
const secret = process.env.WEBHOOK_SECRET;
// Where the platform puts things: see bench/src/main.rs.
const { SIGNATURE_HEADER, EVENT_ID, EVENT_NAME, EVENT_TIME, EVENT_DATA } = process.env;

const enqueue = makeIdempotent(async (event) => {
  const out = await sqs.send(new SendMessageCommand({
    QueueUrl: process.env.QUEUE_URL,
    MessageBody: JSON.stringify({
      specversion: "1.0", id: event[EVENT_ID], source: "platform", type: event[EVENT_NAME],
      time: new Date(event[EVENT_TIME] * 1000).toISOString(), data: event[EVENT_DATA],
    }),
  }));
  return { messageId: out.MessageId };
}, { persistenceStore: persistence, config });

export const handler = async (req, context) => {
  config.registerLambdaContext(context);
  const body = req.isBase64Encoded ? Buffer.from(req.body, "base64") : Buffer.from(req.body ?? "", "utf8");
  const given = Buffer.from(req.headers[SIGNATURE_HEADER] ?? "", "hex");
  const want = createHmac("sha256", secret).update(body).digest();
  if (given.length !== want.length || !timingSafeEqual(given, want)) return { statusCode: 401, body: "Unauthorized" };
  await enqueue(JSON.parse(body.toString("utf8")));
  return { statusCode: 200, body: "OK" };
};
