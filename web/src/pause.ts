// "Pause live updates": a switch that is remembered. While it is on, numbers stand still and new things
// only count up in the pill; what came last is shown when it is switched off.

const KEY = 'viche.paused';

const held = new Map<string, () => void>();
let isOn = false;

export function isPaused(): boolean {
    return isOn;
}

/** Runs show() now, or when updates go on; of several with one name only the last. */
export function whenRunning(name: string, show: () => void): void {
    if (isOn) held.set(name, show);
    else show();
}

function store(): void {
    try {
        if (isOn) localStorage.setItem(KEY, '1');
        else localStorage.removeItem(KEY);
    } catch {
        // then it lasts as long as the page
    }
}

function set(next: boolean): void {
    isOn = next;
    if (isOn) return;
    for (const show of held.values()) show();
    held.clear();
}

function stored(): boolean {
    try {
        return localStorage.getItem(KEY) === '1';
    } catch {
        return false;
    }
}

/** The switch is a checkbox [data-pause], hidden without JavaScript. onChange: after it was used. */
export function startPause(onChange: () => void): void {
    set(stored());
    const box = document.querySelector<HTMLInputElement>('input[data-pause]');
    if (!box) return;
    box.checked = isOn;
    box.closest('[hidden]')?.removeAttribute('hidden');
    box.addEventListener('change', () => {
        set(box.checked);
        store();
        onChange();
    });
}
