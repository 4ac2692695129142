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

export class Bell {
    private readonly list = document.querySelector<HTMLElement>('[data-list="notifications"]');
    private readonly waiting = new Map<number, Notification>();
    private readonly pill: Pill | null;
    private unread = 0;

    constructor() {
        this.pill = this.list && new Pill(this.list, null, 'notification.count', () => this.reveal());
        this.unread = Number(document.querySelector('[data-bell-count]')?.textContent?.replace(/\D/g, '')) || 0;
        handleForm('notifications-read', (form, button) => this.markRead(form, button));
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
            for (const one of items) if (!one.is_read) this.receive(one, unread_count);
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

    private async markRead(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form)) return;
        const done = busy(button, text('form.recording'));
        try {
            await call('POST', '/notifications/read', { body: {} });
            settle(form);
            this.showAllRead(form);
        } catch (error) {
            complain(form, problemFrom(error));
        } finally {
            done();
        }
    }

    private showAllRead(form: HTMLFormElement): void {
        this.count(0);
        for (const item of this.list?.querySelectorAll('.is-unread') ?? []) {
            item.classList.remove('is-unread');
            item.querySelector('.new')?.remove();
        }
        const heading = document.querySelector<HTMLElement>('main h1');
        if (heading && form.contains(document.activeElement)) {
            heading.tabIndex = -1;
            heading.focus();
        }
        form.hidden = true;
    }
}
