// untested.mjs -- cases that no file beside this one tests: tested elsewhere, or without meaning here.

/** [id, level, what holds, where it is tested or why it is not] */
export const untested = [
    ['C032', 'MUST', 'sections 12 and 13: compression, in every mix of parameters', 'tests/integration/ws_deflate.test.mjs'],
    ['C081', 'MUST', 'the signature of Pusher\'s documentation for private-foobar is accepted', 'tests/unit/test_hub_auth.c: a client cannot choose the socket id 1234.1234'],
    ['C166', 'MUST', 'the signature of the Node SDK\'s own tests is accepted', 'tests/unit/test_hub_auth.c: its path is none of ours'],
    ['C229', 'IMPROVE', 'the signature of Pusher\'s documentation for a user is accepted', 'tests/unit/test_hub_auth.c: a client cannot choose the socket id 1234.1234'],
    ['C242', 'IMPROVE', 'a foreign subscriber or a dead node on the bus delays no answer', 'no bus: the loops of one process share the work'],
    ['C244', 'IMPROVE', 'rubbish on the bus is logged and harms nobody', 'no bus'],
    ['C246', 'MUST', 'a lost bus is connected to again and what waited for it is sent', 'no bus'],
];
