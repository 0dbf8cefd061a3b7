// Uses a server over the transport of 2024-11-05 with the TypeScript SDK, and prints what came back as JSON.
// Arguments: node_modules, "v1" or "v2", the URL of the stream, then pairs of a tool's name and its arguments.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, version, url, ...calls] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(modules, "@modelcontextprotocol", path)));
const { Client, SSEClientTransport } =
  version === "v2"
    ? await load("client/dist/index.mjs")
    : { ...(await load("sdk/dist/esm/client/index.js")), ...(await load("sdk/dist/esm/client/sse.js")) };

const client = new Client({ name: `test-${version}`, version: "1" });
await client.connect(new SSEClientTransport(new URL(url)));
const seen = { tools: (await client.listTools()).tools.map((tool) => tool.name) };
seen.answers = [];
for (let index = 0; index < calls.length; index += 2) {
  const [name, args] = [calls[index], JSON.parse(calls[index + 1])];
  try {
    seen.answers.push(await client.callTool({ name, arguments: args }));
  } catch (error) {
    seen.answers.push({ thrown: error.message, code: error.code });
  }
}
console.log(JSON.stringify(seen));
await client.close();
