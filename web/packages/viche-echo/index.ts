// Recovery for stock pusher-js and Laravel Echo: after a reconnect a channel gets what it missed, in order, or
// is told that it cannot.
//
//     import { recover } from 'viche-echo';
//     const recovery = recover(echo.connector.pusher);        // or: recover(new Pusher(...))
//     channel.bind('recovery_lost', ({ code }) => refetch()); // Echo: .listen('.recovery_lost', ...)
//
// How: a subscribe carries the position that was reached (stream and serial). Frames have no number: the
// server says where they start, and they are counted here, before anybody else sees them. A server that knows
// nothing of it (Pusher, Reverb) ignores the field, and nothing changes.

interface Position {
    stream_id: string;
    serial: number;
    socket_id: string; // the connection that got so far: what it published itself it is not to get again
}

interface Message {
    event: string;
    channel?: string;
    data?: any;
}

/** What is used of a Pusher client: its public methods. */
export interface PusherLike {
    send_event(event: string, data: any, channel?: string): boolean;
    channel(name: string): { emit(event: string, data?: any): unknown } | undefined;
    connection: { socket_id: string; emit(event: string, data?: any, metadata?: any): any };
}

export interface Recovery {
    /** Did the last subscribe of that channel bring all that was missed? */
    recovered(channel: string): boolean;
}

/** Makes every subscription of the client recoverable, those to come. */
export function recover(pusher: PusherLike): Recovery {
    const positions = new Map<string, Position>();
    const asking = new Set<string>(); // what comes before the answer is not counted: it is what a cache channel keeps
    const whole = new Set<string>();
    const { connection } = pusher;
    const send = pusher.send_event.bind(pusher);
    const emit = connection.emit.bind(connection);

    pusher.send_event = (event, data, channel) => {
        const name = data?.channel;
        if (event === 'pusher:unsubscribe') positions.delete(name);
        if (event !== 'pusher:subscribe') return send(event, data, channel);
        asking.add(name);
        return send(event, { ...data, recover: positions.get(name) ?? {} }, channel);
    };

    const start = (name: string, { stream_id, serial }: Position): void => {
        positions.set(name, { stream_id, serial, socket_id: connection.socket_id });
    };

    /** Keeps count; gives the code when something is lost. */
    const follow = ({ event, data }: Message, name: string): string | undefined => {
        const position = positions.get(name);
        if (event === 'pusher_internal:subscription_succeeded') {
            const answer = data?.recovery;
            asking.delete(name);
            positions.delete(name);
            whole.delete(name);
            if (answer?.stream_id) start(name, answer);
            if (answer?.recovered) whole.add(name);
            return answer?.recovered === false ? answer.code : undefined;
        }
        if (!position || asking.has(name)) return;
        if (event === 'pusher_internal:skip') position.serial = data.serial;
        else if (event === 'pusher_internal:position') {
            const isSame = position.serial === data.serial && position.stream_id === data.stream_id;
            start(name, data);
            return isSame ? undefined : 'gap';
        } else if (!/^(pusher(_internal)?:|client-)/.test(event)) position.serial++;
    };

    connection.emit = (event, message, metadata) => {
        const name = event === 'message' ? message?.channel : undefined;
        const code = name && follow(message, name);
        const result = emit(event, message, metadata);
        if (code) pusher.channel(name)?.emit('recovery_lost', { code });
        return result;
    };
    return { recovered: (channel) => whole.has(channel) };
}
