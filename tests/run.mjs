#!/usr/bin/env node
// run.mjs -- runs test suites, two at a time, and closes with `N passed, N failed`.
// usage: run.mjs SUITE...   a suite is NAME=COMMAND (shell), or NAME!=COMMAND for one that must have the machine
// to itself; its counts are read from its output: Check's "N passed, N failed", node --test's "# pass N" and
// "# fail N"; a command without counts is one test that passes when it exits with 0. What a suite prints is shown
// when it ends.
import { spawn } from 'node:child_process';

const LANES = 2;
const strip = (text) => text.replace(/\x1b\[[0-9;]*m/g, '');
const suites = process.argv.slice(2).map((suite) => {
    const [, name, alone, command] = suite.match(/^([^=!]+)(!?)=(.*)$/s);
    return { name, command, isAlone: alone !== '' };
});
const running = new Set();
const broken = [];
let passed = 0;
let failed = 0;

/** Passed and failed tests, by what the suite printed. */
function count(output, status) {
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
    return [p, f];
}

async function run({ name, command }) {
    const began = Date.now();
    console.log(`== ${name}: ${command}`);
    let output = '';
    const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const from of [child.stdout, child.stderr]) from.on('data', (chunk) => (output += chunk));
    const status = await new Promise((done) => child.on('close', (code) => done(code ?? 1)));
    const [p, f] = count(output, status);
    if (f > 0) broken.push(name);
    passed += p;
    failed += f;
    console.log(`\n${output}\n== ${name}: ${p} passed, ${f} failed, ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

for (const suite of suites) {
    while (running.size >= (suite.isAlone ? 1 : LANES)) await Promise.race(running);
    const done = run(suite).finally(() => running.delete(done));
    running.add(done);
    if (suite.isAlone) await done;
}
await Promise.all(running);
if (broken.length) console.log(`\nfailed: ${broken.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
