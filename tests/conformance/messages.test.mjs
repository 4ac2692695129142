// Messages of clients and what is answered: pings, rubbish, too many.
import { after, before } from 'node:test';
import { BAD_MESSAGE, PONG_EVENT, TEXT, app1, appWith, conform, error, frame, startHub, subscribed } from './lib.mjs';

const limit = (max_attempts, change = {}) => ({
    rate_limiting: { enabled: true, max_attempts, decay_seconds: 600, terminate_on_limit: false, ...change },
});
const limited = appWith('limited', limit(3));
const brief = appWith('brief-limit', limit(3, { decay_seconds: 1 }));
const strict = appWith('strict-limit', limit(1, { terminate_on_limit: true }));

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, limited, brief, strict] });
});
after(() => hub.stop());

/** Each text is answered with 4200, and the connection stays. */
async function isRubbish(...texts) {
    const c = await hub.connect();
    for (const text of texts) {
        c.text(text);
        await c.expect(BAD_MESSAGE, text);
    }
    await c.expectQuiet();
}
const asking = (data) => JSON.stringify({ event: 'pusher:subscribe', data });

conform('C050', 'MUST', 'pusher:ping is answered with pusher:pong, with data and without', async () => {
    const c = await hub.connect();
    for (const text of ['{"event":"pusher:ping"}', '{"event":"pusher:ping","data":{}}']) {
        c.text(text);
        await c.expect(PONG_EVENT);
    }
});

conform('C052', 'MUST', 'what is not JSON gets 4200 and the connection stays', () => isRubbish('Hi'));
conform('C053', 'MUST', 'an array gets 4200', () => isRubbish('[]'));
conform('C054', 'MUST', 'a number gets 4200', () => isRubbish('5'));
conform('C056', 'MUST', 'null gets 4200', () => isRubbish('null'));
conform('C057', 'MUST', 'an event that is not a string gets 4200', () => isRubbish('{"event":[]}'));
conform('C058', 'MUST', 'a message without an event gets 4200', () => isRubbish('{"data":{}}'));
conform('C060', 'MUST', 'a subscription whose channel is an array or null gets 4200', () =>
    isRubbish(asking({ channel: [] }), asking({ channel: null })));
conform('C061', 'MUST', 'a subscription whose auth is an array gets 4200', () =>
    isRubbish(asking({ channel: 'presence-test-channel', auth: [] })));
conform('C062', 'MUST', 'a subscription whose channel_data is no string of JSON gets 4200', () =>
    isRubbish(
        asking({ channel: 'presence-test-channel', auth: '', channel_data: [] }),
        asking({ channel: 'presence-test-channel', auth: '', channel_data: 'Hello' }),
    ));
conform('C064', 'COMPAT', 'an unknown pusher: event gets 4200', () => isRubbish('{"event":"pusher:nosuch","data":{}}'));

conform('C065', 'COMPAT', 'an event that is not a client event is ignored', async () => {
    const c = await hub.connect();
    c.text('{"event":"foo","channel":"c","data":{}}');
    await c.expectQuiet();
});

conform('C066', 'MUST', 'a subscription with a string for data gets 4200 and the server lives', () =>
    isRubbish('{"event":"pusher:subscribe","data":""}'));
conform('C068', 'COMPAT', 'a client that sends the greeting itself gets 4200', () =>
    isRubbish('{"event":"pusher:connection_established"}'));

const TOO_MANY = error(4301, 'Rate limit exceeded');

conform('C069', 'MUST', 'a message over the rate limit gets 4301 and the connection stays', async () => {
    const c = await hub.connect(limited);
    for (let i = 0; i < 4; i++) c.ask(`c${i}`);
    for (let i = 0; i < 3; i++) await c.expect(subscribed(`c${i}`));
    await c.expect(TOO_MANY);
    c.ask('c4');
    await c.expect(TOO_MANY);
});

conform('C070', 'MUST', 'with terminate_on_limit the 4301 arrives and the connection ends', async () => {
    const c = await hub.connect(strict);
    c.say('pusher:ping');
    c.say('pusher:ping');
    await c.expect(PONG_EVENT);
    await c.expect(TOO_MANY);
    await c.expectClose(4301);
});

conform('C072', 'COMPAT', 'the count starts anew when its window is over', async () => {
    const c = await hub.connect(brief);
    c.send(...Array(5).fill(frame(TEXT, '{"event":"pusher:ping"}'))); // in one write: in one window
    for (const answer of [PONG_EVENT, PONG_EVENT, PONG_EVENT, TOO_MANY, TOO_MANY]) await c.expect(answer);
    await new Promise((done) => setTimeout(done, 1200)); // the window itself
    c.say('pusher:ping');
    await c.expect(PONG_EVENT);
});
