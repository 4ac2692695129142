// rig.mjs -- what the rows of run.mjs stand on: programs, pinning, nginx, servers, requests in files.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root, until } from '../tests/integration/lib.mjs';

const programs = ['bench_http', 'bench_hub', 'bench_connect', 'bench_latency', 'bench_disk', 'bench_floor', 'bench_beanstalk'];
const shared = ['load', 'load_http', 'load_sign', 'load_ws', 'load_pool'];
const out = join(root, 'build/release/bench');
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
export const isPinning = cpus().length >= 2;
const execFileAsync = promisify(execFile);

/** Compiles the generators with the project's own flags; bench_queue has the server's objects in it. */
export function build() {
    const names = [...[...shared, ...programs].map((n) => `${n}.o`), 'bench_queue'];
    execFileSync('make', ['--no-print-directory', '-s', 'V=release', ...names.map((n) => `build/release/bench/${n}`)], {
        cwd: root,
        stdio: 'inherit',
    });
    const objectOf = (n) => join(out, `${n}.o`);
    for (const p of programs)
        execFileSync('gcc', [...[...shared, p].map(objectOf), '-lssl', '-lcrypto', '-lsqlite3', '-o', join(out, p)]);
}

export const folder = mkdtempSync(join(tmpdir(), 'viche-bench-'));
const running = new Set();
export function cleanUp() {
    for (const child of running) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
}

/** A server that must not outlive a failed run. */
export function track(server) {
    running.add(server.child);
    server.child.ended.then(() => running.delete(server.child));
    return server;
}

const flags = (options) => Object.entries(options).flatMap(([k, v]) => [`--${k}`, String(v)]);
const onCore = (core, command, args) => (core === null ? [command, args] : ['taskset', ['-c', String(core), command, ...args]]);

/** Runs a generator to its end; its JSON. core: where it is pinned, or null. */
export async function generate(program, options, core = isPinning ? LOAD_CORE : null) {
    const [command, args] = onCore(core, join(out, program), flags(options));
    const { stdout, stderr } = await execFileAsync(command, args);
    if (stderr) process.stderr.write(stderr);
    return JSON.parse(stdout);
}

/** Pins every thread of a running process to one core. */
export function pin(pid, core = SERVER_CORE) {
    if (isPinning) execFileSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { stdio: 'ignore' });
}

export async function freePort() {
    const server = createServer();
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
}

async function keep(command, args, isReady) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(child);
    const ended = new Promise((done) => child.on('exit', done));
    await until(() => isReady(child), `${args.join(' ')} to serve`, 5000);
    return {
        pid: child.pid,
        stop: async () => {
            child.kill('SIGTERM');
            await ended;
            running.delete(child);
        },
    };
}

const answers = async (port) => {
    try {
        return (await fetch(`http://127.0.0.1:${port}/`)).status > 0;
    } catch {
        return false;
    }
};

/** One nginx worker that answers 201 to everything, and /page with a static file of page.length bytes. */
export async function startNginx(page) {
    const dir = join(folder, 'nginx');
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'page'), page);
    const port = await freePort();
    const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n};`).join(' ');
    writeFileSync(
        join(dir, 'nginx.conf'),
        `daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
        events { worker_connections 2048; }
        http { access_log off; keepalive_requests 1000000000; sendfile on; open_file_cache max=10; ${temp}
            server { listen 127.0.0.1:${port};
                location = /page { root ${dir}; }
                location / { default_type application/json; return 201 '{"id":1}'; } } }`,
    );
    const [command, args] = onCore(isPinning ? SERVER_CORE : null, 'nginx', ['-c', join(dir, 'nginx.conf'), '-p', dir, '-e', `${dir}/error.log`]);
    return { port, ...(await keep(command, args, () => answers(port))) };
}

/** The floor for fan-out (bench_floor.c); it ends when its generator leaves. */
export async function startFloor(options) {
    const port = await freePort();
    const [command, args] = onCore(isPinning ? SERVER_CORE : null, join(out, 'bench_floor'), flags({ port, ...options }));
    let isReady = false;
    const floor = await keep(command, args, (child) => {
        child.stdout.once('data', () => (isReady = true));
        return isReady;
    });
    return { port, ...floor };
}

/** beanstalkd with a log that is synced for each put and delete, on the disk of the other measurements. */
export async function startBeanstalkd() {
    const dir = join(folder, 'beanstalkd');
    mkdirSync(dir);
    const port = await freePort();
    const accepts = () =>
        new Promise((done) => {
            const socket = createConnection(port, '127.0.0.1', () => done(!!socket.destroy()));
            socket.on('error', () => done(false));
        });
    return { port, ...(await keep('beanstalkd', ['-l', '127.0.0.1', '-p', String(port), '-b', dir, '-f0'], accepts)) };
}

let files = 0;
/** Writes a file for a generator; its path. */
export function fileOf(text) {
    const path = join(folder, `input-${++files}`);
    writeFileSync(path, text);
    return path;
}

/** Requests for bench_http: [{method, path, token, body}]. */
export function requestsFile(requests) {
    const parts = requests.map(({ method, path, token, body, fields = [] }) => {
        const head = [
            `${method} ${path} HTTP/1.1`,
            'Host: 127.0.0.1',
            ...(token ? [`Authorization: Bearer ${token}`] : []),
            ...(body ? ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`] : []),
            ...fields,
        ];
        const text = `${head.join('\r\n')}\r\n\r\n${body ?? ''}`;
        return `${Buffer.byteLength(text)}\n${text}`;
    });
    return fileOf(parts.join(''));
}

const versionOf = (command, args, pattern) => {
    try {
        const text = execFileSync('sh', ['-c', `${command} ${args} 2>&1`], { encoding: 'utf8' });
        return text.match(pattern)?.[1] ?? text.trim();
    } catch {
        return 'not there';
    }
};

/** The machine and the versions: figures mean nothing without them. */
export function conditions() {
    const git = versionOf('git', `-C ${root} describe --always --dirty`, /(\S+)/);
    return {
        date: new Date().toISOString().slice(0, 10),
        cpu: `${cpus()[0].model.trim()}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
        kernel: release(),
        system: readFileSync('/etc/os-release', 'utf8').match(/PRETTY_NAME="(.*)"/)?.[1] ?? '',
        versions: `viche ${git}; gcc ${versionOf('gcc', '-dumpfullversion', /(\S+)/)}; nginx ${versionOf('nginx', '-v', /nginx\/(\S+)/)}; beanstalkd ${versionOf('beanstalkd', '-v', /beanstalkd (\S+)/)}; node ${process.version}`,
        'load before': readFileSync('/proc/loadavg', 'utf8').split(' ')[0],
    };
}

export const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
