// Plain forms, taken over: a form with a handler is sent through the API instead of loading a page. When
// the handler itself breaks, the form is sent plainly, as it would be without this script.

type Handler = (form: HTMLFormElement, submitter: HTMLButtonElement | null) => Promise<void>;

const handlers = new Map<string, Handler>();

/** For form[data-form=kind]. */
export function handleForm(kind: string, handler: Handler): void {
    handlers.set(kind, handler);
}

async function run(handler: Handler, form: HTMLFormElement, submitter: HTMLButtonElement | null): Promise<void> {
    try {
        await handler(form, submitter);
    } catch (error) {
        console.error(error);
        form.dataset.plain = '';
        form.requestSubmit(submitter);
    }
}

export function startForms(): void {
    document.addEventListener('keydown', ignoreHeldEnter);
    document.addEventListener('submit', (event) => {
        const form = event.target;
        if (!(form instanceof HTMLFormElement) || form.dataset.plain !== undefined) return;
        const handler = handlers.get(form.dataset.form ?? '');
        if (!handler) return;
        event.preventDefault();
        const submitter = event.submitter instanceof HTMLButtonElement ? event.submitter : null;
        void run(handler, form, submitter);
    });
}

/** The verb that the form stands for: PUT or DELETE by its _method, else POST. */
export function methodOf(form: HTMLFormElement): string {
    return form.querySelector<HTMLInputElement>('input[name="_method"]')?.value ?? 'POST';
}

/** Says on the button that the action is being recorded; gives what undoes that. The button stays
 * focusable, a second press does nothing. */
export function busy(button: HTMLElement | null, words: string): () => void {
    if (!button) return () => undefined;
    const label = button.getAttribute('aria-label');
    const before = Array.from(button.childNodes);
    button.setAttribute('aria-busy', 'true');
    button.setAttribute('aria-disabled', 'true');
    button.removeAttribute('aria-label');
    button.replaceChildren(words);
    return () => {
        button.removeAttribute('aria-busy');
        button.removeAttribute('aria-disabled');
        if (label) button.setAttribute('aria-label', label);
        button.replaceChildren(...before);
    };
}

export function isBusy(form: HTMLFormElement): boolean {
    return form.querySelector('[aria-busy="true"]') !== null;
}

// A control that has just changed under the finger (Sign became Withdraw) takes no press for a moment: it
// would be the second one of a double tap, meant for what stood there before.
const REST_MS = 800;
const restingSince = new WeakMap<Element, number>();

export function rest(control: Element): void {
    restingSince.set(control, performance.now());
}

export function isResting(control: Element): boolean {
    return performance.now() - (restingSince.get(control) ?? -Infinity) < REST_MS;
}

/** A held Enter presses a button many times; only the first one is meant. */
function ignoreHeldEnter(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || !event.repeat || !(event.target instanceof HTMLButtonElement)) return;
    if (event.target.form) event.preventDefault();
}
