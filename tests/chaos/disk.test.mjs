// A full disk: writes are refused with 503, reads go on, and writing works again when there is room.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { api, until } from '../integration/lib.mjs';
import { checkPromises, startTown } from './chaos.mjs';

// An 8 MiB disk of its own, or null where mounting is not permitted.
function mountSmall(t) {
    const dir = mkdtempSync(join(tmpdir(), 'viche-disk-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'viche-test', dir], { encoding: 'utf8' });
    t.after(() => {
        if (mounted.status === 0) spawnSync('umount', ['-l', dir]);
        rmSync(dir, { recursive: true, force: true });
    });
    if (mounted.status === 0) return dir;
    t.skip(`needs to mount a small tmpfs (root): ${mounted.stderr?.trim() || mounted.error?.message}`);
    return null;
}

// Takes all the room that is left on the disk.
function fill(path, disk) {
    const { bavail, bsize } = statfsSync(disk);
    try {
        writeFileSync(path, Buffer.alloc(bavail * bsize));
    } catch (error) {
        if (error.code !== 'ENOSPC') throw error;
    }
}

test('a full disk gives 503 for writes and reads go on; with room again writes work without a restart', async (t) => {
    const disk = mountSmall(t);
    if (!disk) return;
    const dataDir = join(disk, 'data');
    mkdirSync(dataDir, { mode: 0o700 });
    const world = await startTown({ dataDir });
    t.after(async () => {
        await world.server.stop({ keep: true });
        world.cleanUp();
    });
    const { url } = world.server;
    const { token } = world.town.users[0];
    const path = `/api/v1/proposals/${world.town.proposals[0]}/comments`;
    const write = () => api(url, 'POST', path, { token, body: { body: 'слово '.repeat(500) } });
    assert.equal((await write()).status, 201);

    const ballast = join(disk, 'ballast');
    fill(ballast, disk);
    // What SQLite's log holds already is reused, so the first refusal comes after some more writes.
    const refusal = await until(
        async () => {
            const answer = await write();
            assert.ok([201, 503].includes(answer.status), answer.text);
            return answer.status === 503 && answer;
        },
        'a write to be refused',
        60000,
    );
    assert.match(refusal.headers.get('content-type'), /^application\/problem\+json/);
    assert.equal((await api(url, 'GET', `/api/v1/proposals/${world.town.proposals[0]}`)).status, 200);
    assert.equal((await api(url, 'GET', path)).status, 200);

    rmSync(ballast);
    await until(async () => (await write()).status === 201, 'a write to be accepted again');
    await checkPromises(world);
});
