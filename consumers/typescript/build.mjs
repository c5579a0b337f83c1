// Compiles src into dist. npm runs it when the package is installed from its folder, and when it is packed.
//
// The licence, the description of the table and the real messages for tests exist once, elsewhere in the repository: they are put into
// the package here. (npm leaves out links.)

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";

process.chdir(import.meta.dirname ?? new URL(".", import.meta.url).pathname);
const docs = (name) => JSON.stringify(JSON.parse(readFileSync(`../../docs/${name}`, "utf8")));
copyFileSync("../../LICENSE", "LICENSE");
mkdirSync("src/generated", { recursive: true });
// As code, because an import of JSON is experimental in Node 20.
writeFileSync("src/generated/description.ts", `export const description = ${docs("contract/consumer.json")};\n`);
writeFileSync("src/generated/messages.ts", `export const messages: string = ${JSON.stringify(docs("consumers/messages.json"))};\n`);
// Whoever installs this folder does not get its development dependencies: the compiler.
if (!existsSync("node_modules/typescript")) {
  const npm = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent"];
  execFileSync("npm", npm, { stdio: "inherit", shell: process.platform === "win32" });
}
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc"], { stdio: "inherit" });
