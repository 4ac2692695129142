#!/usr/bin/env node
// Builds the web client into build/web: app.js, app.css and its fonts, hub.js, hub.css, admin.js and admin.css. usage: node web/build.mjs
//
// tools/embed later puts a hash of the content into every name (app.js -> app.3f9a1c2b.js), so an address
// inside the style sheet must hold that hash already: hashedName() computes it in the same way.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'build/web');

// Name in build/web/fonts -> file of the package.
const FONTS = {
    'literata-latin-600.woff2': 'literata-latin-600-normal.woff2',
    'literata-cyrillic-600.woff2': 'literata-cyrillic-600-normal.woff2',
};

const hashedName = (name, bytes) => {
    const ext = extname(name);
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
    return `${basename(name, ext)}.${hash}${ext}`;
};

const copyFonts = () =>
    Object.fromEntries(
        Object.entries(FONTS).map(([name, source]) => {
            const bytes = readFileSync(join(root, 'node_modules/@fontsource/literata/files', source));
            writeFileSync(join(out, 'fonts', name), bytes);
            return [name, `/static/fonts/${hashedName(name, bytes)}`];
        }),
    );

// url("fonts/NAME") in a style sheet becomes the address under which the server has the font.
const fontAddresses = (addresses) => ({
    name: 'font-addresses',
    setup(b) {
        b.onResolve({ filter: /(^|\/)fonts\/[^/]+\.woff2$/ }, ({ path }) => {
            const address = addresses[basename(path)];
            return address
                ? { path: address, external: true }
                : { errors: [{ text: `${path} is not in the list of fonts in web/build.mjs` }] };
        });
    },
});

// The script needs only some texts of a locale file; the rest would be carried for nothing.
const localeSections = (sections) => ({
    name: 'locale-sections',
    setup(b) {
        b.onLoad({ filter: /locales\/[a-z]+\.json$/ }, ({ path }) => {
            const all = JSON.parse(readFileSync(path, 'utf8'));
            const some = Object.fromEntries(sections.filter((s) => s in all).map((s) => [s, all[s]]));
            return { contents: JSON.stringify(some), loader: 'json' };
        });
    },
});

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, 'fonts'), { recursive: true });

const common = {
    absWorkingDir: root,
    bundle: true,
    minify: true,
    target: ['chrome100', 'firefox100', 'safari15.4'],
    legalComments: 'none',
    logLevel: 'warning',
};
await build({
    ...common,
    entryPoints: ['web/styles/app.css'],
    outfile: join(out, 'app.css'),
    plugins: [fontAddresses(copyFonts())],
});
// The operator's pages have their own; readers do not carry them.
await build({ ...common, entryPoints: ['web/styles/hub.css'], outfile: join(out, 'hub.css') });
await build({ ...common, entryPoints: ['web/src/hub.ts'], outfile: join(out, 'hub.js'), format: 'iife' });
await build({ ...common, entryPoints: ['web/styles/admin.css'], outfile: join(out, 'admin.css') });
await build({ ...common, entryPoints: ['web/src/admin.ts'], outfile: join(out, 'admin.js'), format: 'iife' });
await build({
    ...common,
    entryPoints: ['web/src/main.ts'],
    outfile: join(out, 'app.js'),
    format: 'iife',
    loader: { '.mustache': 'text' },
    plugins: [localeSections(['live', 'time', 'proposal', 'support', 'comment', 'voting', 'notification', 'nav', 'form', 'proposals'])],
});
