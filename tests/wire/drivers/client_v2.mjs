// The TypeScript SDK's client of the second line, in either era: @modelcontextprotocol/client.

import { drive, load, note, shapeOf } from './shared.mjs';

const { Client, StreamableHTTPClientTransport } = load('@modelcontextprotocol/client');

drive(async ({ url, mode }) => {
    const capabilities = { sampling: {}, elicitation: {}, roots: {} };
    const versionNegotiation = { mode: mode === 'legacy' ? 'legacy' : { pin: mode } };
    const client = new Client({ name: 'wire', version: '1' }, { capabilities, versionNegotiation });
    client.setRequestHandler('sampling/createMessage', async ({ params }) => {
        note(shapeOf(params), 'sampling', params);
        return { role: 'assistant', content: { type: 'text', text: 'hi' }, model: 'm' };
    });
    client.setRequestHandler('elicitation/create', async ({ params }) => {
        note(shapeOf(params), 'elicitation', params);
        return { action: 'accept', content: { name: 'Zoë' } };
    });
    client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: 'file:///work' }] }));
    client.fallbackNotificationHandler = async ({ method, params }) => note(shapeOf(params), method, params);
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    await client.listTools();
    return (name, options) => client.callTool({ name, arguments: {} }, options);
});
