// The text of a new proposal, kept while it is written. The form is sent plainly; its draft goes when the
// proposal with that title stands in the page.

import { readDraft, saveDraft } from './draft';

const PLACE = 'proposal.new';
const FORM = 'form[data-form="proposal"]';
const KEEP_MS = 300;

type Field = HTMLInputElement | HTMLTextAreaElement;
type Texts = Record<string, string>;

const isField = (one: Element): one is Field =>
    one instanceof HTMLTextAreaElement || (one instanceof HTMLInputElement && one.type !== 'hidden');

const fieldsOf = (form: HTMLFormElement): Field[] =>
    Array.from(form.elements)
        .filter(isField)
        .filter(({ name }) => name !== '');

function read(): Texts {
    try {
        return (JSON.parse(readDraft(PLACE) || '{}') ?? {}) as Texts;
    } catch {
        return {};
    }
}

function save(fields: Field[]): void {
    const texts: Texts = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
    const hasText = fields.some(({ value }) => value.trim() !== '');
    saveDraft(PLACE, hasText ? JSON.stringify(texts) : '');
}

function keep(form: HTMLFormElement): void {
    const fields = fieldsOf(form);
    const texts = read();
    // A form that came back with its texts and what is wrong with them is newer than the draft.
    if (fields.every(({ value }) => value === '')) {
        for (const field of fields) field.value = texts[field.name] ?? '';
    }
    let timer = 0;
    const saveNow = (): void => {
        clearTimeout(timer);
        timer = 0;
        save(fields);
    };
    form.addEventListener('input', () => {
        if (!timer) timer = window.setTimeout(saveNow, KEEP_MS);
    });
    addEventListener('pagehide', () => {
        if (timer) saveNow();
    });
}

const plain = (text: string | null | undefined): string => (text ?? '').replace(/\s+/g, ' ').trim();

/** On the page of the form: keeps the draft. On that of a proposal: forgets it when it became that one. */
export function startProposalDraft(): void {
    const form = document.querySelector<HTMLFormElement>(FORM);
    if (form) return keep(form);
    const title = document.querySelector('main[data-page="proposal"] h1')?.textContent;
    if (title && plain(read().title) === plain(title)) saveDraft(PLACE, '');
}
