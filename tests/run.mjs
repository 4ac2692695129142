#!/usr/bin/env node
// run.mjs -- runs test suites, four jobs at a time, and closes with `N passed, N failed`.
// usage: run.mjs SUITE...   a suite is NAME=COMMAND (shell), NAME@OTHER=COMMAND for one that waits for the suite OTHER
// (a build) and is not run when that failed, NAME!=COMMAND for one that must have the machine to itself, or
// NAME#=COMMAND (also NAME@OTHER#=) for one whose files must be on the disk. A word of the command that ends in FOLDER/*.test.mjs or holds {1..N} makes one job for each of these, so
// that no suite is left to run alone at the end; suites give jobs in turn, large files first. Counts are read from the output: "N passed, N failed", or node
// --test's "# pass N" and "# fail N"; a command without counts is one test that passes when it exits with 0. What a
// job prints is shown when it ends, with the time it took and that of the processors, whose sums by suite close the report.
//
// Jobs that share the machine have their temporary files in memory where there is room: most are stores that live for
// a second, each write of which would wait for the disk. A suite alone keeps the disk too.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

const LANES = 4; // two processors: much of a test is waiting for what must not come too early
const MEMORY = '/dev/shm';
const MEMORY_BYTES = 2 * 1024 ** 3;
const TMPFS = 0x01021994; // TMPFS_MAGIC, statfs(2)
const strip = (text) => text.replace(/\x1b\[[0-9;]*m/g, '');
const running = new Set();
const broken = [];
const outcomes = new Map(); // of suites that are one job
const total = { passed: 0, failed: 0 };
const processorSeconds = new Map(); // by suite

/** The jobs of a suite: {suite, command, isAlone, hasDisk, after}. */
function jobsOf(text) {
    const [, suite, after, mark, command] = text.match(/^([^=!@#]+)(?:@([^=!#]+))?([!#]?)=(.*)$/s);
    const isAlone = mark === '!', hasDisk = mark !== '';
    const each = (word, words) => words.map((one) => ({ suite, command: command.replace(word, one), isAlone, hasDisk, after }));
    const files = command.match(/(\S+)\/\*(\.test\.mjs)$/);
    const parts = command.match(/\{1\.\.(\d+)\}/);
    if (isAlone || !(files || parts)) return [{ suite, command, isAlone, hasDisk, after }];
    if (parts) return each(parts[0], Array.from({ length: Number(parts[1]) }, (_, i) => String(i + 1)));
    const names = readdirSync(files[1]).filter((name) => name.endsWith(files[2]));
    const sized = names.map((name) => join(files[1], name)).map((path) => ({ path, size: statSync(path).size }));
    return each(files[0], sized.sort((a, b) => b.size - a.size).map(({ path }) => path));
}

/** One of each list, then the second of each, and so on. */
function inTurn(lists) {
    const longest = Math.max(...lists.map((list) => list.length));
    return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat();
}

/** A folder in memory, or null where memory has no room for one. */
function makeMemoryFolder() {
    try {
        const { type, bavail, bsize } = statfsSync(MEMORY);
        return type === TMPFS && bavail * bsize >= MEMORY_BYTES ? mkdtempSync(join(MEMORY, 'viche-')) : null;
    } catch (error) {
        if (error.code === 'ENOENT' || error.code === 'EACCES') return null;
        throw error;
    }
}

/** Passed and failed tests, by what the job printed. */
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
    if (status === 0 && p === 0 && (plain || pass)) f = 1; // a job that ran nothing proves nothing
    return [p, f];
}

const MAX_NAMED = 20;

/** The processor seconds (user and system) of what bash's `times` names: the shell, then all it has waited for. */
const secondsOf = (times) => [...times.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0);

/** The lines that name what failed: of node --test, Check, a sanitizer, make; else the last ones. */
function failures(output) {
    const lines = strip(output).split('\n').map((line) => line.trim());
    const named = lines.filter((line) => /^not ok |:[FE]:|(ERROR|WARNING): \w+Sanitizer|runtime error:|\*\*\* \[/.test(line));
    return (named.length ? named.slice(0, MAX_NAMED) : lines.filter(Boolean).slice(-3)).map((line) => `    ${line}`);
}

async function run({ suite, command, hasDisk }) {
    const began = Date.now();
    console.log(`== ${suite}: ${command}`);
    let output = '';
    let times = '';
    const env = memory && !hasDisk ? { ...process.env, TMPDIR: memory } : process.env;
    const script = `trap 'times >&3' EXIT; { ${command}\n} 3>&-`; // what is left running must not hold the pipe
    const child = spawn('bash', ['-c', script], { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    child.stdio[3].setEncoding('utf8').on('data', (text) => (times += text));
    for (const from of [child.stdout, child.stderr]) from.setEncoding('utf8').on('data', (text) => (output += text));
    const status = await new Promise((done) => child.on('close', (code) => done(code ?? 1)));
    const [p, f] = count(output, status);
    if (f > 0) broken.push(`${suite}: ${command}`, ...failures(output));
    outcomes.set(suite, f === 0);
    total.passed += p;
    total.failed += f;
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    const busy = secondsOf(times);
    processorSeconds.set(suite, (processorSeconds.get(suite) ?? 0) + busy);
    console.log(`\n${output}\n== ${suite}: ${command}: ${p} passed, ${f} failed, ${seconds} s, ${busy.toFixed(1)} s of processors`);
}

const memory = makeMemoryFolder();
process.on('exit', () => memory && rmSync(memory, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
const lists = process.argv.slice(2).map(jobsOf);
const isAlone = ([job]) => job.isAlone;
const waiting = inTurn(lists.filter((list) => !isAlone(list)));
while (waiting.length || running.size) {
    const next = running.size < LANES ? waiting.findIndex(({ after }) => !after || outcomes.has(after)) : -1;
    if (next < 0 && !running.size) throw new Error(`nothing makes ${waiting[0].after}`);
    if (next < 0) {
        await Promise.race(running);
        continue;
    }
    const [job] = waiting.splice(next, 1);
    if (job.after && !outcomes.get(job.after)) {
        broken.push(`${job.suite}: not run, ${job.after} failed: ${job.command}`);
        total.failed++;
        continue;
    }
    const done = run(job).finally(() => running.delete(done));
    running.add(done);
}
for (const job of lists.filter(isAlone).flat()) await run(job);
const sums = [...processorSeconds].map(([suite, seconds]) => `${suite} ${seconds.toFixed(0)}`);
console.log(`\nseconds of processors: ${sums.join(', ')}`);
if (broken.length) console.log(`\nfailed:\n${broken.join('\n')}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
