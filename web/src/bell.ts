// Notifications: the count in the header of every page, and the list on its own.

import { announce } from './announce';
import { call, problemFrom } from './api';
import type { List, Notification } from './data';
import { dressNotification } from './dress';
import { busy, handleForm, isBusy } from './forms';
import { elementFrom } from './patch';
import { Pill } from './pill';
import { complain, settle } from './problem';
import { render } from './render';
import { number, plural, text } from './words';

type Notifications = List<Notification> & { unread_count: number };

// What one page tells the others: that a notification, or all (null), were read.
interface Read {
    id: number | null;
    unread: number;
}

export class Bell {
    private readonly list = document.querySelector<HTMLElement>('[data-list="notifications"]');
    private readonly waiting = new Map<number, Notification>();
    private readonly pill: Pill | null;
    private readonly tabs: BroadcastChannel | null; // other pages of the same reader
    private unread = 0;

    constructor(userId: number) {
        this.tabs = 'BroadcastChannel' in window ? new BroadcastChannel(`viche.bell.${userId}`) : null;
        this.pill = this.list && new Pill(this.list, null, 'notification.count', () => this.reveal());
        this.unread = Number(document.querySelector('[data-bell-count]')?.textContent?.replace(/\D/g, '')) || 0;
        handleForm('notifications-read', (form, button) => this.markRead(form, button));
        this.list?.addEventListener('click', (event) => this.open(event));
        this.list?.addEventListener('auxclick', (event) => this.open(event)); // in a new tab
        if (this.tabs) this.tabs.onmessage = ({ data }: MessageEvent<Read>) => this.hear(data);
    }

    receive(notification: Notification, unread: number): void {
        this.count(unread);
        if (!this.list || this.isKnown(notification.id)) return;
        this.waiting.set(notification.id, notification);
        this.pill?.show(this.waiting.size);
    }

    /** Fetches what events may have been missed. */
    async refresh(): Promise<void> {
        try {
            const { items, unread_count } = await call<Notifications>('GET', '/notifications');
            this.count(unread_count);
            for (const one of items) {
                if (one.is_read) this.showRead(one.id);
                else this.receive(one, unread_count);
            }
            if (unread_count === 0) this.showAllRead();
        } catch (error) {
            problemFrom(error); // the status in the header tells of the connection; the next refresh mends this
        }
    }

    private isKnown(id: number): boolean {
        return this.waiting.has(id) || document.getElementById(`notification-${id}`) !== null;
    }

    private count(unread: number): void {
        if (unread > this.unread) announce('bell', () => plural('notification.count', this.unread));
        this.unread = unread;
        for (const place of document.querySelectorAll<HTMLElement>('[data-bell-count]')) {
            place.textContent = number(unread);
            place.hidden = unread === 0;
        }
        const line = document.querySelector('[data-count="unread"]');
        if (line) line.textContent = plural('notification.count', unread);
        const form = document.querySelector<HTMLElement>('form[data-form="notifications-read"]');
        if (form && unread > 0) form.hidden = false;
    }

    private reveal(): void {
        const fresh = Array.from(this.waiting.values()).sort((a, b) => a.id - b.id);
        this.waiting.clear();
        this.pill?.hide();
        document.querySelector('[data-empty="notifications"]')?.remove();
        for (const one of fresh) {
            this.list?.prepend(elementFrom(render('notification', dressNotification(one))));
        }
        this.list?.querySelector<HTMLElement>('a')?.focus();
    }

    // Who opens a notification has read it. The page goes away meanwhile, so nothing is said when that fails: it
    // stays unread then.
    private open(event: MouseEvent): void {
        const link = event.target instanceof Element ? event.target.closest('a') : null;
        const item = link?.closest<HTMLElement>('.is-unread[data-notification]');
        if (!item || event.button > 1) return;
        const id = Number(item.dataset.notification);
        this.showRead(id);
        this.count(Math.max(0, this.unread - 1));
        this.tell({ id, unread: this.unread });
        call('POST', '/notifications/read', { body: { id }, isLeaving: true }).catch(problemFrom);
    }

    private tell(read: Read): void {
        this.tabs?.postMessage(read);
    }

    private hear({ id, unread }: Read): void {
        this.count(unread);
        if (id === null) this.showAllRead();
        else this.showRead(id);
    }

    private async markRead(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form)) return;
        const done = busy(button, text('form.recording'));
        try {
            await call('POST', '/notifications/read', { body: {} });
            settle(form);
            const hadFocus = form.contains(document.activeElement);
            this.count(0);
            this.showAllRead();
            if (hadFocus) focusHeading();
            this.tell({ id: null, unread: 0 });
        } catch (error) {
            complain(form, problemFrom(error));
        } finally {
            done();
        }
    }

    private showRead(id: number): void {
        const item = document.getElementById(`notification-${id}`);
        item?.classList.remove('is-unread');
        item?.querySelector('.new')?.remove();
        if (this.waiting.delete(id)) this.pill?.show(this.waiting.size);
    }

    private showAllRead(): void {
        for (const item of this.list?.querySelectorAll<HTMLElement>('.is-unread') ?? []) {
            this.showRead(Number(item.dataset.notification));
        }
        const form = document.querySelector<HTMLElement>('form[data-form="notifications-read"]');
        if (form) form.hidden = true;
    }
}

function focusHeading(): void {
    const heading = document.querySelector<HTMLElement>('main h1');
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus();
}
