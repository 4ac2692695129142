#!/usr/bin/env node
// run.mjs -- runs test suites one after the other and closes with `N passed, N failed`.
// usage: run.mjs SUITE...   a suite is NAME=COMMAND (shell); its counts are read from its output:
// Check's "N passed, N failed", node --test's "# pass N" and "# fail N"; a command without counts is
// one test that passes when it exits with 0.
import { spawn } from 'node:child_process';

const strip = (text) => text.replace(/\x1b\[[0-9;]*m/g, '');
let passed = 0;
let failed = 0;
const broken = [];

for (const suite of process.argv.slice(2)) {
    const [, name, command] = suite.match(/^([^=]+)=(.*)$/s);
    const began = Date.now();
    console.log(`\n== ${name}: ${command}`);
    let output = '';
    const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const [from, to] of [
        [child.stdout, process.stdout],
        [child.stderr, process.stderr],
    ])
        from.on('data', (chunk) => {
            to.write(chunk);
            output += chunk;
        });
    const status = await new Promise((done) => child.on('close', (code) => done(code ?? 1)));
    const text = strip(output);
    const plain = [...text.matchAll(/^(\d+) passed, (\d+) failed$/gm)].pop();
    const pass = text.match(/^(?:#|ℹ) pass (\d+)$/m);
    const fail = text.match(/^(?:#|ℹ) fail (\d+)$/m);
    const cancelled = text.match(/^(?:#|ℹ) cancelled (\d+)$/m);
    let p = 0;
    let f = 0;
    if (plain) [p, f] = [Number(plain[1]), Number(plain[2])];
    else if (pass && fail) [p, f] = [Number(pass[1]), Number(fail[1]) + Number(cancelled?.[1] ?? 0)];
    else if (status === 0) p = 1;
    if (status !== 0 && f === 0) f = 1;
    if (status === 0 && p === 0 && (plain || pass)) f = 1; // a suite that ran nothing proves nothing
    if (f > 0) broken.push(name);
    passed += p;
    failed += f;
    console.log(`== ${name}: ${p} passed, ${f} failed, ${((Date.now() - began) / 1000).toFixed(1)} s`);
}
if (broken.length) console.log(`\nfailed: ${broken.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
