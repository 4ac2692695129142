// The C renderer against npm mustache: the browser renders the same templates, so both must agree to
// the byte. A fixed table of the cases people argue about, then generated pairs (same seed every run).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import mustache from 'mustache';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder, driver;

before(() => {
    folder = mkdtempSync(join(tmpdir(), 'viche-mustache-'));
    driver = join(folder, 'mustache_render');
    const core = ['mustache', 'mustache_parse', 'json', 'json_scan', 'arena', 'buf', 'str', 'mem', 'check', 'utf8'];
    const cjson = execFileSync('pkg-config', ['--cflags', '--libs', 'libcjson']).toString().trim().split(/\s+/);
    execFileSync('gcc', ['-std=c11', '-D_GNU_SOURCE', '-O1', '-g', '-fsanitize=address,undefined', '-Isrc',
        'tests/tools/mustache_render.c', ...core.map((n) => `src/core/${n}.c`), '-o', driver, ...cjson, '-lm'], { cwd: root });
});
after(() => rmSync(folder, { recursive: true, force: true }));

// A view may hold null where npm mustache looks for a name and throws; we render nothing. Such pairs are
// recognised by that error and left out, and counted.
const reference = ({ template, view, partials }) => {
    try {
        mustache.clearCache();
        return mustache.render(template, view, partials);
    } catch (error) {
        return error instanceof TypeError || error instanceof RangeError ? undefined : null;
    }
};

const compare = (jobs) => {
    // The view goes through JSON on both sides.
    const lines = jobs.map((job) => JSON.stringify(job));
    const output = execFileSync(driver, { input: lines.join('\n') + '\n', maxBuffer: 1 << 28 }).toString();
    const got = output.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(got.length, jobs.length);
    let compared = 0;
    lines.forEach((line, i) => {
        const want = reference(JSON.parse(line));
        if (want === undefined) return;
        compared++;
        assert.equal(got[i], want, `differs for ${line}`);
    });
    return compared;
};

const view = {
    name: 'Олена', empty: '', zero: 0, no: false, yes: true, nothing: null, none: [], list: [1, 2, 3], text: 'a < b & "c" \'d\' /e` =f',
    person: { name: 'Тарас', address: { city: 'Lviv', zip: null }, tags: ['x', 'y'] },
    people: [{ name: 'A', age: 1 }, { name: 'B' }, { age: 3 }], nested: [[1, 2], [3, [4, 5]], []], mixed: [1, 'a', true, false, { a: 1 }, null],
    big: 1e21, tenth: 0.1, minus: -0, long: 1795600000000, max: Number.MAX_SAFE_INTEGER, tiny: 5e-324, small: 1e-7, e20: 123456789012345680000, half: -2.5, '': 'empty name',
    emoji: '👍🏽 їжак', 'a.b': 'dotted key', a: { c: 'deep' }, words: 'one two', object: {},
};

const table = [
    ['plain text', 'nothing here'],
    ['an empty template', ''],
    ['a variable is escaped', '{{text}}|{{{text}}}|{{&text}}|{{& text }}|{{{ text }}}'],
    ['values print as in JavaScript', '{{zero}},{{no}},{{yes}},[{{nothing}}],{{none}},{{list}},{{nested}},{{mixed}},{{person}},{{object}}'],
    ['numbers print as in JavaScript', '{{big}} {{tenth}} {{minus}} {{long}} {{max}} {{tiny}} {{small}} {{e20}} {{half}} {{{half}}}'],
    ['missing names print nothing', '[{{missing}}][{{person.missing}}][{{missing.name}}][{{name.first}}]'],
    ['dotted names', '{{person.name}} {{person.address.city}} [{{person.address.zip}}] [{{person.address.zip.x}}]'],
    ['dotted names search outwards from their first step', '{{#person}}{{a.c}} {{name}} {{address.city}} {{person.name}}{{/person}}'],
    ['a key with a dot is not reached', '[{{a.b}}][{{a.c}}]'],
    ['lengths and elements', '{{list.length}} {{name.length}} {{emoji.length}} {{list.0}} {{people.1.name}} [{{list.3}}] [{{list.01}}] [{{list.-1}}] {{none.length}}'],
    ['a section over a length', '{{#list.length}}{{.}} of {{list.length}}{{/list.length}}{{^none.length}}none{{/none.length}}'],
    ['the length of the view itself is not taken from a text', '{{#words}}[{{length}}]{{/words}}{{#list}}{{/list}}{{#people}}{{length}}{{/people}}'],
    ['the empty name', '[{{}}][{{ }}]'],
    ['sections of each kind of truth', '{{#zero}}0{{/zero}}{{#empty}}e{{/empty}}{{#no}}n{{/no}}{{#yes}}y{{/yes}}{{#nothing}}0{{/nothing}}{{#none}}l{{/none}}{{#object}}o{{/object}}{{#tenth}}t{{/tenth}}{{#minus}}m{{/minus}}{{#missing}}?{{/missing}}'],
    ['inverted sections of each kind of truth', '{{^zero}}0{{/zero}}{{^empty}}e{{/empty}}{{^no}}n{{/no}}{{^yes}}y{{/yes}}{{^nothing}}0{{/nothing}}{{^none}}l{{/none}}{{^object}}o{{/object}}{{^tenth}}t{{/tenth}}{{^minus}}m{{/minus}}{{^missing}}?{{/missing}}'],
    ['the implicit iterator', '{{#list}}({{.}}){{/list}}{{#name}}<{{.}}>{{/name}}{{#tenth}}{{.}}{{/tenth}}{{#mixed}}[{{.}}]{{/mixed}}'],
    ['lists in lists', '{{#nested}}({{#.}}[{{.}}]{{/.}}){{/nested}}'],
    ['lists of objects fall back to the outer view', '{{#people}}{{name}}/{{age}};{{/people}}'],
    ['true does not become the view', '{{#yes}}{{name}} {{.}}{{/yes}}'],
    ['same section in itself', '{{#person}}{{#person}}{{name}}{{/person}}{{/person}}'],
    ['comments', 'a{{! comment }}b{{!}}c{{! {{ }}d{{!\nmore\nlines\n}}e'],
    ['set delimiters', '{{=<% %>=}}<% name %> {{name}} <%={{ }}=%>{{name}} <%name%>'],
    ['set delimiters of other lengths', '{{=| |=}}|name| |#list|(|.|)|/list| |&text| |={{ }}=|{{name}}'],
    ['set delimiters with more space', '{{=  <<   >>  =}}<<name>><<{name}>>><<! c >>'],
    ['a third word in delimiters is ignored', '{{=<% %> x=}}<%name%>'],
    ['standalone section lines', 'a\n  {{#yes}}\n  b\n  {{/yes}}\n c\n'],
    ['standalone lines with carriage returns', 'a\r\n{{#yes}}\r\nb\r\n{{/yes}}\r\nc'],
    ['standalone comments, delimiters, partials', ' {{! c }}\nx\n\t{{=<% %>=}}\t\ny\n  <%>p%>\nz', { p: 'P\nQ\n' }],
    ['standalone at the start and at the end', '{{#yes}}\nx\n{{/yes}}'],
    ['two tags on a standalone line', 'a\n{{#yes}} {{/yes}}  \nb\n{{#yes}}{{#list}}\nx\n{{/list}} {{/yes}}\nc'],
    ['a line with a variable is not standalone', ' {{#yes}} {{name}}\n {{/yes}} {{{name}}}\n'],
    ['space is kept around inline sections', ' {{#yes}} x {{/yes}} \n y {{^yes}} z {{/yes}}\n'],
    ['wide space is space', '\u00a0{{#yes}}\u3000\nx\u2003{{\u00a0name\u00a0}}\ufeff\n{{/yes}}\u2028\nend'],
    ['a partial', '[{{>p}}]', { p: '{{name}}' }],
    ['a missing partial', '[{{>q}}] {{> q }}', { p: 'x' }],
    ['a partial in a list', '{{#people}}{{>p}}{{/people}}', { p: '<{{name}}>' }],
    ['a partial that includes itself', '{{>node}}', { node: '{{#t}}({{v}}{{#kids}}{{>node2}}{{/kids}}){{/t}}', node2: '{{v}}' }],
    ['a standalone partial is indented', 'a\n  {{>p}}\nb', { p: 'one\n\ntwo {{name}}\n  three\n' }],
    ['a value of several lines is not indented', '  {{>p}}\n', { p: '<{{{lines}}}>\n' }, { lines: 'x\ny' }],
    ['indentation within indentation', ' {{>p}}\n', { p: 'p1\n\t{{>q}}\np2\n', q: 'q1\nq2{{>r}}\n  {{>r}}\n', r: 'r1\nr2\n' }],
    ['sections in an indented partial', '  {{>p}}\n.', { p: '{{#people}}\n<li>{{name}}</li>\n\n{{/people}}\n{{#yes}}a\nb{{/yes}}\nend' }],
    ['standalone lines first and last in an indented partial', '   {{>p}}|', { p: '{{#yes}}\nx\n{{/yes}}' }],
    ['a partial behind text takes spaces for it', 'ab їж👍 {{>p}} z\n', { p: 'one\ntwo\n' }],
    ['a partial before text is indented twice', '  {{>p}} z\n', { p: 'one\ntwo\n' }],
    ['only the first tag of a line indents', '  {{>p}}{{>p}} {{name}}{{>p}}\n', { p: 'one\ntwo' }],
    ['a nested partial behind text or another tag', '  {{>p}}\n', { p: 'x {{>q}}\n{{name}} {{>q}}\n{{>q}}{{>q}}', q: '1\n2\n{{>r}}', r: 'r\ns' }],
    ['a nested partial on a first line that is not indented', 'x {{>p}}\n', { p: '{{>q}}\n{{>q}}\n', q: '1\n2\n' }],
    ['partials start with default delimiters', '{{=<% %>=}}<%>p%>', { p: '{{name}}<%name%>' }],
    ['tags over several lines', '{{#\nyes\n}}x{{/\n yes\n}}{{\nname\n}}{{{\n\nname }}}'],
    ['a comment of several lines counts for its line', 'a\n  {{! x\n y }}  \nb {{!\n}}\n{{>p}}', { p: '1\n2' }],
    ['unicode', 'Привіт, {{name}} {{emoji}} {{#emoji}}{{.}}{{/emoji}} 👍'],
    ['unclosed tags are refused', '{{name'], ['an unclosed brace is refused', '{{{name}}'], ['an unclosed section is refused', '{{#yes}}x'],
    ['an unopened section is refused', 'x{{/yes}}'], ['crossed sections are refused', '{{#yes}}{{#list}}{{/yes}}{{/list}}'],
    ['bad delimiters are refused', '{{=<%=}}'], ['empty delimiters are refused', '{{= =}}'], ['delimiters without = are refused', '{{=<% %>}}'],
    ['odd braces', '{ {name} {{{{name}}}} {{{name}}}} }}'], ['an odd section name', '{{# yes and no }}x{{/yes and no}}{{^ yes and no }}y{{/ yes and no }}'],
    ['delimiters that pass a closing tag', '{{= <% }} = b }}x'],
];
for (const [name, template, partials = {}, extra = {}] of table) {
    test(`mustache: ${name}`, () => {
        assert.equal(compare([{ template, view: { ...view, ...extra }, partials }]), 1);
    });
}

test('mustache: the templates of the site', () => {
    const files = readdirSync(join(root, 'web/templates')).filter((n) => n.endsWith('.mustache'));
    const partials = Object.fromEntries(files.map((n) => [n.slice(0, -9), readFileSync(join(root, 'web/templates', n), 'utf8')]));
    const t = JSON.parse(readFileSync(join(root, 'web/locales/uk.json'), 'utf8'));
    const author = { id: 2, name: 'Тарас <b>' };
    const comment = { id: 5, depth: 2, author, body_html: '<p>Так</p>', up_text: '3', is_own: true, can_vote: true, failed_text: '' };
    const page = { t, lang: 'uk', user: author, ...comment, proposal: { id: 7, title: 'a & b', author }, comments: [comment, { ...comment, can_reply: true }], items: [comment] };
    assert.equal(compare(Object.values(partials).map((template) => ({ template, view: page, partials }))), files.length);
});

/* ---- generated pairs ---- */

const random = (seed) => () => {
    // mulberry32: the same pairs on every machine
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

const generator = (seed) => {
    const rand = random(seed);
    const upTo = (n) => Math.floor(rand() * n);
    const pick = (list) => list[upTo(list.length)];
    const names = ['a', 'b', 'c', 'd', 'a.b', 'b.c', 'a.b.c', '.', 'c.length', 'd.0', 'x', 'a.x.y'];
    const value = (depth) => {
        const kinds = depth > 3 ? 7 : 10;
        return [
            () => null, () => false, () => true, () => pick([0, 1, -1, 0.5, 1e21, 1e-9, 123456789.25, 2 ** 53]), () => '',
            () => pick(['x', 'Ї & <b>', 'line\nline', '{{a}}', '👍']), () => [],
            () => Array.from({ length: upTo(4) }, () => value(depth + 1)), () => object(depth + 1), () => object(depth + 1),
        ][upTo(kinds)]();
    };
    // d is never a text: d.0 would be its first UTF-16 unit, which ours does not know.
    const member = (key, depth) => {
        const v = value(depth);
        return [key, key === 'd' && typeof v === 'string' ? [v] : v];
    };
    const object = (depth) => Object.fromEntries(['a', 'b', 'c', 'd'].filter(() => rand() < 0.7).map((k) => member(k, depth)));
    const space = () => pick(['', '', ' ', '  ', '\t', '\n', '\n', '\n  ', ' \n', '\r\n', '\u00a0']);
    const partial = () => `{{>${pick(['', ' '])}${pick(['p', 'q', 'none'])}}}`;
    const piece = (depth, nesting) => {
        const name = pick(names), gap = pick(['', '', ' ', '\n']);
        const body = () => text(depth + 1, nesting);
        return [
            () => pick(['text', 'їжак', '👍', 'a\nb', '<p>', '}', '{', '']), () => space(), () => space(), () => `{{${gap}${name}${gap}}}`,
            () => `{{{${gap}${name}${gap}}}}`, () => `{{&${name}}}`, () => `{{!${pick(['', 'c', ' c\nd '])}}}`,
            () => (nesting ? partial() : 'p'), () => `{{=<% %>=}}${pick(['', '\n', ' '])}<%${name}%>${space()}<%={{ }}=%>`,
            () => (depth > 3 ? '' : `{{#${gap}${name}}}${body()}{{/${name}${gap}}}`), () => (depth > 3 ? '' : `{{^${name}}}${body()}{{/${name}}}`),
            () => (depth > 3 ? '' : `${space()}{{#${name}}}${space()}${body()}${space()}{{/${name}}}${space()}`),
        ][upTo(12)]();
    };
    const text = (depth, nesting) => Array.from({ length: 1 + upTo(6) }, () => piece(depth, nesting)).join('');
    // p may use q and q nothing, so that every pair ends.
    return () => ({
        template: text(0, true), view: object(0),
        partials: { p: text(0, true).replaceAll(/\{\{> ?p\}\}/g, '{{>q}}'), q: text(1, false) },
    });
};

test('mustache: 4,000 generated templates, views and partials render to the same bytes', () => {
    const make = generator(20261125);
    const compared = compare(Array.from({ length: 4000 }, make));
    assert.ok(compared > 2000, `only ${compared} pairs could be compared`);
});
