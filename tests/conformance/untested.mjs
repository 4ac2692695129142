// untested.mjs -- cases that no file beside this one tests: tested elsewhere, not there yet, or without meaning here.

/** id: why the case is skipped until that part of the hub is there. */
export const notYet = {
    C196: 'limits of events are not enforced yet',
    C197: 'limits of events are not enforced yet',
    C198: 'limits of events are not enforced yet',
    C205: 'limits of events are not enforced yet',
    C088: 'the reading calls are not there yet',
    C089: 'the reading calls are not there yet',
    C090: 'the reading calls are not there yet',
    C092: 'the reading calls are not there yet',
    C172: 'the reading calls are not there yet',
    C188: 'the reading calls are not there yet',
    C201: 'the reading calls are not there yet',
    C202: 'the reading calls are not there yet',
    C208: 'the reading calls are not there yet',
    C209: 'the reading calls are not there yet',
    C210: 'the reading calls are not there yet',
    C212: 'the reading calls are not there yet',
    C213: 'the reading calls are not there yet',
    C214: 'the reading calls are not there yet',
    C216: 'the reading calls are not there yet',
    C217: 'the reading calls are not there yet',
    C218: 'the reading calls are not there yet',
    C220: 'the reading calls are not there yet',
    C221: 'the reading calls are not there yet',
    C222: 'the reading calls are not there yet',
    C237: 'the reading calls are not there yet',
    C240: 'the reading calls are not there yet',
    C254: 'the reading calls are not there yet',
    C224: 'users cannot be thrown out yet',
    C225: 'users cannot be thrown out yet',
    C226: 'users cannot be thrown out yet',
    C245: 'users cannot be thrown out yet',
    C018: 'a path prefix is not there yet',
    C169: 'a path prefix is not there yet',
    C170: 'a path prefix is not there yet',
};

/** [id, level, what holds, where it is tested or why it is not] */
export const untested = [
    ['C081', 'MUST', 'the signature of Pusher\'s documentation for private-foobar is accepted', 'tests/unit/test_hub_auth.c: a client cannot choose the socket id 1234.1234'],
    ['C166', 'MUST', 'the signature of the Node SDK\'s own tests is accepted', 'tests/unit/test_hub_auth.c: its path is none of ours'],
    ['C229', 'IMPROVE', 'the signature of Pusher\'s documentation for a user is accepted', 'tests/unit/test_hub_auth.c: a client cannot choose the socket id 1234.1234'],
    ['C242', 'IMPROVE', 'a foreign subscriber or a dead node on the bus delays no answer', 'no bus: the loops of one process share the work'],
    ['C244', 'IMPROVE', 'rubbish on the bus is logged and harms nobody', 'no bus'],
    ['C246', 'MUST', 'a lost bus is connected to again and what waited for it is sent', 'no bus'],
];
