// The texts of the interface: every key that templates and code use is there, in both languages.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from './lib.mjs';

const read = (path) => readFileSync(join(root, path), 'utf8');
const load = (lang) => ({ ...JSON.parse(read(`web/locales/${lang}.json`)), ...JSON.parse(read(`web/locales/problems.${lang}.json`)) });
const texts = { uk: load('uk'), en: load('en') };
const forms = { uk: ['one', 'few', 'many', 'other'], en: ['one', 'other'] };

const isPlural = (value) => typeof value === 'object' && 'one' in value && 'other' in value;
const flatten = (tree, prefix = '') =>
    Object.entries(tree).flatMap(([key, value]) =>
        typeof value === 'string' || isPlural(value) ? [[prefix + key, value]] : flatten(value, `${prefix}${key}.`),
    );
const find = (lang, key) => key.split('.').reduce((tree, part) => tree?.[part], texts[lang]);

const places = (value) => [...new Set(JSON.stringify(value).match(/\{\w+\}/g) ?? [])].sort().join();

test('both languages have the same keys with the same places', () => {
    const [uk, en] = [new Map(flatten(texts.uk)), new Map(flatten(texts.en))];
    assert.deepEqual([...uk.keys()].sort(), [...en.keys()].sort());
    for (const [key, value] of uk) assert.equal(places(value), places(en.get(key)), key);
});

test('a plural text has all forms of its language, each with its number', () => {
    for (const lang of ['uk', 'en']) {
        for (const [key, value] of flatten(texts[lang]).filter(([, v]) => isPlural(v))) {
            assert.deepEqual(Object.keys(value), forms[lang], `${lang} ${key}`);
            for (const text of Object.values(value)) assert.ok(text.includes('{n}'), `${lang} ${key}`);
        }
    }
});

test('no text is empty, and none holds markup', () => {
    for (const lang of ['uk', 'en']) {
        for (const [key, value] of flatten(texts[lang])) {
            for (const text of isPlural(value) ? Object.values(value) : [value]) {
                assert.ok(text.trim(), `${lang} ${key}`);
                assert.doesNotMatch(text, /[<>]|!$/, `${lang} ${key}`);
            }
        }
    }
});

test('every key of a template is a text in both languages', () => {
    for (const file of readdirSync(join(root, 'web/templates'))) {
        for (const [, key] of read(`web/templates/${file}`).matchAll(/\{\{\s*t\.([\w.-]+)\s*\}\}/g)) {
            for (const lang of ['uk', 'en']) assert.equal(typeof find(lang, key), 'string', `${file}: ${lang} ${key}`);
        }
    }
});

test('every text is used by a template, the pages or the script', () => {
    const files = ['web/templates', 'web/src', 'src/page'].flatMap((folder) =>
        readdirSync(join(root, folder)).map((name) => read(`${folder}/${name}`)),
    );
    const all = files.join('\n');
    // Keys that are put together of a section and a state, a kind or a number.
    const sections = ['live', 'time.month', 'proposal.state', 'voting.state', 'notification.kind'];
    for (const [key] of flatten(JSON.parse(read('web/locales/en.json')))) {
        const at = key.lastIndexOf('.');
        const [section, name] = [key.slice(0, at), key.slice(at + 1)];
        const isUsed =
            new RegExp(`\\b${key.replaceAll('.', '\\.')}\\b`).test(all) ||
            (sections.includes(section) && (section === 'time.month' || new RegExp(`['"]${name}['"]`).test(all)));
        assert.ok(isUsed, `${key} is not used`);
    }
});

const sources = (folder) =>
    readdirSync(join(root, folder))
        .filter((name) => name.endsWith('.c'))
        .map((name) => [name, read(`${folder}/${name}`)]);

test('every key in the code of the pages is there in both languages', () => {
    const sections = Object.keys(texts.en).join('|');
    const key = new RegExp(`"((?:${sections})\\.[a-z_0-9.-]+)"`, 'g');
    let count = 0;
    for (const [name, source] of sources('src/page')) {
        for (const [, found] of source.matchAll(key)) {
            count++;
            for (const lang of ['uk', 'en']) assert.ok(find(lang, found), `${name}: ${lang} ${found}`);
        }
    }
    assert.ok(count > 30);
});

test('every problem and every field error has its words', () => {
    const problems = new Set(), fields = new Set();
    for (const folder of ['src/api', 'src/page', 'src/civic']) {
        for (const [, source] of sources(folder)) {
            for (const [, code] of source.matchAll(/api_refuse\([^;]*?,\s*\d{3},\s*"([a-z-]+)"/g)) problems.add(code);
            for (const [, code] of source.matchAll(/api_refuse_field\([^;"]*"[^"]*",\s*"([a-z-]+)"/g)) fields.add(code);
            for (const [, code] of source.matchAll(/api_body_refuse\([^;"]*"[^"]*",\s*"([a-z-]+)"/g)) fields.add(code);
            for (const [, code] of source.matchAll(/^\s*\{\d{3}, "([a-z-]+)"\},$/gm)) problems.add(code);
        }
    }
    for (const [, code] of read('src/civic/civic_text.c').matchAll(/(?:return|\?|:) "([a-z-]+)"/g)) fields.add(code);
    for (const folder of ['src/civic']) {
        for (const [, source] of sources(folder)) {
            for (const [, code] of source.matchAll(/\*why_out\s*=\s*(?:[^;"]*\?\s*)?"([a-z-]+)"/g)) problems.add(code);
        }
    }
    // told as field errors: api_refuse_civic
    for (const code of ['parent-not-found', 'unknown-option', 'bad-cursor']) problems.delete(code);
    assert.ok(problems.size > 10 && fields.size > 5);
    for (const lang of ['uk', 'en']) {
        for (const code of problems) {
            assert.equal(typeof find(lang, `problem.${code}.title`), 'string', `${lang} problem.${code}`);
            assert.equal(typeof find(lang, `problem.${code}.detail`), 'string', `${lang} problem.${code}`);
        }
        for (const code of fields) assert.equal(typeof find(lang, `field.${code}`), 'string', `${lang} field.${code}`);
    }
});
