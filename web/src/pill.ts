// "3 new comments": a button above a list, instead of things that push the reader's text away.

import { plural } from './words';

export class Pill {
    private readonly button: HTMLButtonElement;

    /** button: the one of the template, or null to make one before the list. key: plural text. */
    constructor(
        list: HTMLElement,
        button: HTMLButtonElement | null,
        private readonly key: string,
        onPress: () => void,
    ) {
        this.button = button ?? makeBefore(list);
        this.button.addEventListener('click', onPress);
    }

    show(count: number): void {
        this.button.hidden = count === 0;
        if (count > 0) this.button.textContent = plural(this.key, count);
    }

    hide(): void {
        this.show(0);
    }
}

function makeBefore(list: HTMLElement): HTMLButtonElement {
    const place = document.createElement('p');
    place.className = 'pill-place';
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'pill';
    button.hidden = true;
    place.append(button);
    list.before(place);
    return button;
}
