// Users who sign in: their own events, watchlists, and apps that let nobody else stay.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { TEXT, app1, appWith, bound, conform, frame, hmac, opened, startHub, subscribed, until, within } from './lib.mjs';

const closed = appWith('closed', { require_authorized_connections: true, authorized_connection_timeout: 1 });

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, closed] });
});
after(() => hub.stop());

/** Sends pusher:signin as that user. */
function signIn(c, user) {
    const user_data = typeof user === 'string' ? user : JSON.stringify(user);
    c.say('pusher:signin', { auth: `${c.app.key}:${hmac(c.app.secret, `${c.id}::user::${user_data}`)}`, user_data });
}
async function signedIn(user, app) {
    const c = await hub.connect(app);
    signIn(c, user);
    assert.equal((await c.json()).event, 'pusher:signin_success');
    return c;
}

conform('C228', 'IMPROVE', 'a user signs in and hears what is sent to the user', async () => {
    const c = await hub.connect();
    signIn(c, { id: '12345' });
    const answer = opened(await c.json());
    assert.equal(answer.event, 'pusher:signin_success');
    assert.equal(answer.data.string.user_data, '{"id":"12345"}');

    const client = hub.pusher(app1, { user_id: '12345', user_info: { name: 'U' } });
    const welcome = bound(client.user, 'welcome');
    client.signin();
    await client.user.signinDonePromise;
    const backend = hub.backend();
    let isWelcome = false;
    welcome.then(() => (isWelcome = true));
    await until(async () => {
        // pusher-js subscribes to the user's channel behind the sign-in and tells nobody when that is done.
        await backend.sendToUser('12345', 'welcome', { n: 1 });
        return isWelcome;
    });
    assert.deepEqual(await welcome, { n: 1 });
});

conform('C230', 'IMPROVE', 'a wrong signature and user data without an id get 4009', async () => {
    const c = await hub.connect();
    c.say('pusher:signin', { auth: `${app1.key}:${'0'.repeat(64)}`, user_data: '{"id":"1"}' });
    assert.equal(opened(await c.json()).data.string.code, 4009);
    for (const user of [{ name: 'nobody' }, { id: '' }, { id: 5 }]) {
        const d = await hub.connect();
        signIn(d, user);
        assert.equal(opened(await d.json()).data.string.code, 4009, JSON.stringify(user));
    }
});

conform('C232', 'IMPROVE', 'the channel of a user is for that user alone', async () => {
    const stranger = await hub.connect(), other = await signedIn({ id: '2' });
    for (const c of [stranger, other]) {
        c.ask('#server-to-user-1');
        assert.equal(opened(await c.json()).data.string.code, 4009);
        assert.equal((await c.json()).event, 'pusher:subscription_error');
    }
    const owner = await signedIn({ id: '1' });
    await owner.join('#server-to-user-1');
    await hub.publish('e', '#server-to-user-1', 'x');
    await owner.expect({ event: 'e', data: 'x', channel: '#server-to-user-1' });
    await stranger.expectQuiet();
});

conform('C233', 'IMPROVE', 'an app may require that a connection shows in time whose it is', async () => {
    const member = await within(1000, async () => {
        const c = await hub.connect(closed);
        await c.join('private-a');
        return c;
    });
    const user = await within(1000, () => signedIn({ id: '1' }, closed));
    const idle = await hub.connect(closed);
    const early = frame(TEXT, '{"event":"pusher:subscribe","data":{"channel":"public"}}');
    const publicOnly = await hub.connect(closed, { early });
    await publicOnly.expect(subscribed('public'));
    for (const c of [idle, publicOnly]) {
        assert.equal(opened(await c.json()).data.string.code, 4009);
        await c.expectClose(4009);
    }
    for (const c of [member, user]) await c.expectQuiet();
});

conform('C234', 'IMPROVE', 'a user learns who of the watchlist comes online and goes', async () => {
    const watching = async (c, name, ...user_ids) => {
        const { event, data } = opened(await c.json());
        assert.equal(event, 'pusher_internal:watchlist_events');
        assert.deepEqual(data.string ?? data, { events: [{ name, user_ids }] });
    };
    const present = await signedIn({ id: 'present' });
    const a = await signedIn({ id: 'A', watchlist: ['B', 'present'] });
    await watching(a, 'online', 'present');
    const b = await signedIn({ id: 'B' });
    await watching(a, 'online', 'B');
    const again = await signedIn({ id: 'B' });
    b.destroy();
    await a.expectQuiet('a second connection of a user is no news');
    again.destroy();
    await watching(a, 'offline', 'B');
    present.destroy();
    await watching(a, 'offline', 'present');
    await a.expectQuiet();
});
