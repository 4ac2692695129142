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

function patchAttributes(old: Element, next: Element): void {
    for (const { name } of Array.from(old.attributes)) {
        if (!next.hasAttribute(name) && !(name === 'open' && old.tagName === 'DETAILS')) old.removeAttribute(name);
    }
    for (const { name, value } of Array.from(next.attributes)) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
}

function isAlike(a: Node, b: Node): boolean {
    if (a.nodeType !== b.nodeType) return false;
    if (!(a instanceof Element) || !(b instanceof Element)) return true;
    return a.tagName === b.tagName && a.id === b.id;
}

// Walks both lists of children; a node that is not alike is looked for further on, else it is new.
function patchChildren(old: Element, next: Element): void {
    let here: ChildNode | null = old.firstChild;
    for (const wanted of Array.from(next.childNodes)) {
        let match = here;
        while (match && !isAlike(match, wanted)) match = match.nextSibling;
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
