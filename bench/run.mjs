#!/usr/bin/env node
// run.mjs -- measures the release build and prints one table with the conditions it was made under.
//
//     make bench [ARGS="--rows comments,fanout --seconds 10 --json FILE --update"]
//
// --update writes the table into docs/performance.md.
//
// A row's baseline comes from the same run: nginx or a minimal program under the same generator. CPU
// seconds per million operations (s/M) are the steady figure; rates drift with the machine. For s/M the
// server has one core with one loop and the generator another.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

process.env.VICHE ??= 'build/release/viche';
const rows = await import('./rows.mjs');
const rig = await import('./rig.mjs');
const { root } = await import('../tests/integration/lib.mjs');

const { values } = parseArgs({
    options: {
        rows: { type: 'string', default: 'disk,start,wire,idle,connect,publish,paced,stuck,back,queue,jobstart,tenants,comments,pages,latency,fanout,deflate,tls' },
        seconds: { type: 'string', default: '5' },
        json: { type: 'string' },
        update: { type: 'boolean', default: false },
    },
});

const mark = ({ goal }) => (goal ? `${goal.text}: ${goal.isMet ? 'met' : '**missed**'}` : '');
const table = (list) =>
    ['| what | figure | goal | baseline of the same run |', '|---|---|---|---|', ...list.map((r) => `| ${r.what} | ${r.figure} | ${mark(r)} | ${r.baseline ?? ''} |`)].join('\n');

const names = values.rows.split(',');
for (const name of names) if (typeof rows[name] !== 'function') throw new Error(`no row ${name}; there are ${Object.keys(rows).join(', ')}`);

rig.build();
const conditions = rig.conditions();
const facts = {};
const lines = [];
try {
    for (const name of names) {
        process.stderr.write(`bench: ${name}\n`);
        for (const row of await rows[name]({ seconds: Number(values.seconds), facts })) {
            lines.push(row);
            process.stderr.write(`  ${row.what}: ${row.figure} ${mark(row)} ${row.baseline ?? ''}\n`);
        }
    }
} finally {
    rig.cleanUp();
}
const busy = 'The machine had other work before or during this run: an idle one gives better rates and times.';
const isBusy = Number(conditions['load before']) > 1;
const text = `${isBusy ? `${busy}\n\n` : ''}${Object.entries(conditions)
    .map(([k, v]) => `- ${k}: ${v}`)
    .join('\n')}\n\n${table(lines)}\n`;
console.log(`\n${text}`);
if (values.update) {
    const path = join(root, 'docs/performance.md');
    const doc = readFileSync(path, 'utf8');
    writeFileSync(path, doc.replace(/(<!-- table[^\n]*-->\n)[^]*(<!-- end of table -->)/, (_, a, b) => `${a}\n${text}\n${b}`));
}
if (values.json) writeFileSync(values.json, JSON.stringify({ conditions, rows: lines, facts }, null, 2));
if (lines.some((r) => r.goal && !r.goal.isMet)) console.log('Some goals are missed.');
