// Texts of the interface in the page's language, with plural forms and grouped numbers: the browser's side
// of src/core/locale.h.

import en from '../locales/en.json';
import uk from '../locales/uk.json';

export type Lang = 'uk' | 'en';
type Tree = { [key: string]: string | Tree };

const trees: Record<Lang, Tree> = { uk: uk as Tree, en: en as Tree };
const GROUP: Record<Lang, string> = { uk: '\u00a0', en: ',' };

let lang: Lang = 'uk';
let rules = new Intl.PluralRules(lang);

export function useLang(next: Lang): void {
    lang = next;
    rules = new Intl.PluralRules(next);
}

/** The whole tree, for templates ({{t.comment.send}}). */
export function texts(): Tree {
    return trees[lang];
}

function find(key: string): string | Tree | undefined {
    let at: string | Tree | undefined = trees[lang];
    for (const step of key.split('.')) at = typeof at === 'object' ? at[step] : undefined;
    return at;
}

function fill(text: string, values: Record<string, string>): string {
    return text.replace(/\{(\w+)\}/g, (place, name: string) => values[name] ?? place);
}

/** The text of a key ("live.pause"); the key itself when there is none. */
export function text(key: string, values: Record<string, string> = {}): string {
    const found = find(key);
    return typeof found === 'string' ? fill(found, values) : key;
}

/** The form for n of a key that has plural forms, with {n} grouped. */
export function plural(key: string, n: number): string {
    const forms = find(key);
    if (typeof forms !== 'object') return key;
    const form = forms[rules.select(n)] ?? forms.other;
    return typeof form === 'string' ? fill(form, { n: number(n) }) : key;
}

/** "1 284" (no-break space) or "1,284" */
export function number(n: number): string {
    return String(n).replace(/\B(?=(\d{3})+$)/g, GROUP[lang]);
}
