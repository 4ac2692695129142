// The list of all cases for readers.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../integration/lib.mjs';

test('docs/conformance.md says what the tests say', () => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'tools/conformance'), '--check'], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
});
