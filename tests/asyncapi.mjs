// AsyncAPI's own parser accepts docs/contract/asyncapi.yaml, and follows it into the event's schema.
// Needs `npm install @asyncapi/parser` in the folder that it is started in.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const resolve = createRequire(pathToFileURL(join(process.cwd(), "/"))).resolve;
const { Parser, fromFile } = (await import(resolve("@asyncapi/parser"))).default;
const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
// Severity 0 is an error; the others are advice.
const errors = diagnostics.filter(({ severity }) => severity === 0);
for (const { path, message } of errors) console.error(path.join("."), message);
const members = document?.messages().all()[0]?.payload()?.properties() ?? {};
if (errors.length > 0 || !members.data) process.exit(1);
console.error(`AsyncAPI ${document.version()}, ${Object.keys(members).length} members of an event`);
