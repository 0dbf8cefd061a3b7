// What both TypeScript drivers do: read the task, call every shape, print what the application got.

import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';

export const load = createRequire(join(process.argv[2], 'package.json'));

export const seen = {};

export function note(shape, ...what) {
    (seen[shape] ??= []).push(what);
}

export function shapeOf(params) {
    return params?._meta?.shape ?? '?';
}

// JSON has no word for these, and an application tells them apart.
function lossless(_key, value) {
    if (typeof value !== 'number') return value;
    return Number.isFinite(value) ? (Object.is(value, -0) ? '<-0>' : value) : `<${value}>`;
}

function printable(outcome) {
    try {
        const text = JSON.stringify(outcome, lossless);
        if (text.length < 3000) return JSON.parse(text);
        return { chars: text.length, head: text.slice(0, 200), hash: createHash('sha256').update(text).digest('hex') };
    } catch (error) {
        return { result: `<${error.message}>` };
    }
}

function failed(error) {
    const { name, code, message, data } = error ?? {};
    const kind = error?.constructor?.name ?? name ?? typeof error;
    const cause = error?.cause?.code ?? error?.cause?.message;
    return { error: kind, code, message: String(message), data, cause };
}

export async function drive(connect) {
    let input = '';
    for await (const part of process.stdin) input += part;
    const task = JSON.parse(input);
    const call = await connect(task);
    const outcomes = {};
    for (const wave of task.waves) {
        await Promise.all(
            wave.map(async ({ name, timeout_s }) => {
                const options = { timeout: timeout_s * 1000, onprogress: (step) => note(name, 'progress', step) };
                outcomes[name] = await call(name, options).then((result) => ({ result }), failed);
            }),
        );
    }
    await new Promise((done) => setTimeout(done, 200));
    for (const name of Object.keys(outcomes)) {
        outcomes[name].seen = seen[name] ?? [];
        outcomes[name] = printable(outcomes[name]);
    }
    process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
}

process.on('unhandledRejection', (error) => process.stderr.write(`unhandled: ${error?.message}\n`));
process.on('exit', (code) => process.stderr.write(`exit ${code}\n`));
