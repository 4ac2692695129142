// Makes a part of the page equal to freshly rendered HTML by changing only what differs, so that focus,
// selection, scroll position and what someone is typing stay as they are.

/** The single element of the HTML text. */
export function elementFrom(html: string): HTMLElement {
    const template = document.createElement('template');
    template.innerHTML = html;
    const element = template.content.firstElementChild;
    if (!(element instanceof HTMLElement)) throw new Error('the template renders no element');
    return element;
}

/** Changes old into what html says; returns the element that stands there now. */
export function patch(old: HTMLElement, html: string): HTMLElement {
    const next = elementFrom(html);
    if (old.tagName !== next.tagName) {
        old.replaceWith(next);
        return next;
    }
    patchElement(old, next);
    return old;
}

function isTyped(element: Element): boolean {
    return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement;
}

function patchElement(old: Element, next: Element): void {
    if (old.hasAttribute('data-keep')) return;
    patchAttributes(old, next);
    if (!isTyped(old)) patchChildren(old, next);
}

// What the reader or the script did to an element and no template knows: an open <details>, the tabindex
// of something that was given focus (without it the focus would be lost).
const OWN_ATTRIBUTES = new Set(['open', 'tabindex']);

function patchAttributes(old: Element, next: Element): void {
    for (const { name } of Array.from(old.attributes)) {
        if (!next.hasAttribute(name) && !OWN_ATTRIBUTES.has(name)) old.removeAttribute(name);
    }
    for (const { name, value } of Array.from(next.attributes)) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
}

function isAlike(a: Node, b: Node): boolean {
    if (a.nodeType !== b.nodeType) return false;
    if (!(a instanceof Element) || !(b instanceof Element)) return true;
    return a.tagName === b.tagName && (a.id === b.id || !a.id || !b.id);
}

// An element that is not next is looked for further on, so that one that went does not cost those behind
// it; a text is not, since white space is everywhere.
function findMatch(here: ChildNode | null, wanted: ChildNode): ChildNode | null {
    if (!(wanted instanceof Element)) return here && isAlike(here, wanted) ? here : null;
    let match = here;
    while (match && !isAlike(match, wanted)) match = match.nextSibling;
    return match;
}

function patchChildren(old: Element, next: Element): void {
    let here: ChildNode | null = old.firstChild;
    for (const wanted of Array.from(next.childNodes)) {
        const match = findMatch(here, wanted);
        if (!match) {
            old.insertBefore(wanted, here);
            continue;
        }
        while (here && here !== match) {
            const gone: ChildNode = here;
            here = here.nextSibling;
            gone.remove();
        }
        patchNode(match, wanted);
        here = match.nextSibling;
    }
    while (here) {
        const gone: ChildNode = here;
        here = here.nextSibling;
        gone.remove();
    }
}

function patchNode(old: ChildNode, wanted: ChildNode): void {
    if (old instanceof Element && wanted instanceof Element) patchElement(old, wanted);
    else if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
}
