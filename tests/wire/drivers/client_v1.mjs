// The TypeScript SDK's client of the first line: @modelcontextprotocol/sdk.

import { drive, load, note, shapeOf } from './shared.mjs';

const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = load('@modelcontextprotocol/sdk/client/streamableHttp.js');
const types = load('@modelcontextprotocol/sdk/types.js');

drive(async ({ url }) => {
    const capabilities = { sampling: {}, elicitation: {}, roots: {} };
    const client = new Client({ name: 'wire', version: '1' }, { capabilities });
    client.setRequestHandler(types.CreateMessageRequestSchema, async ({ params }) => {
        note(shapeOf(params), 'sampling', params);
        return { role: 'assistant', content: { type: 'text', text: 'hi' }, model: 'm' };
    });
    client.setRequestHandler(types.ElicitRequestSchema, async ({ params }) => {
        note(shapeOf(params), 'elicitation', params);
        return { action: 'accept', content: { name: 'Zoë' } };
    });
    client.setRequestHandler(types.ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///work' }] }));
    client.fallbackNotificationHandler = async ({ method, params }) => note(shapeOf(params), method, params);
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    await client.listTools();
    return (name, options) => client.callTool({ name, arguments: {} }, undefined, options);
});
