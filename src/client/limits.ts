/** The client's own numbers; what PROTOCOL.md says is said there. Times are milliseconds. */

/** Numbers per table are kept up to this many. */
export const MAX_HISTORY = 200;
/** How many numbers a snapshot that nobody asked for, or one of all tables, carries at most. */
export const MAX_STAR_HISTORY = 20;
/** Requests for what is missing before a topic goes on without it. */
export const MAX_TRIES = 3;
/** Messages that wait for a slow `for await`; more of them end the iteration with an error, since none is skipped. */
export const MAX_WAITING = 10_000;

/** How long a connection may take until its first frame. */
export const OPEN_MS = 10_000;
/** Silence beyond the server's ping interval after which a connection is given up. */
export const GRACE_MS = 10_000;
/** How long a connection may take to show that it outlived a sleep. */
export const WAKE_MS = 3_000;
/** After `bye` the server closes; a link that stays open longer is closed here. */
export const FAREWELL_MS = 2_000;
/** Lists that became too short are filled after a while, since deletions come in crowds. */
export const REFILL_MS = 1_000;
/** Timers take no more than some weeks: a token that is good for longer is renewed once a day. */
export const DAY_MS = 86_400_000;
/** Frames in a row that do not follow the protocol; then the other side is not what it says. */
export const MAX_MALFORMED = 20;

/** The server answers a subscribe within 5 s; while it is still starting, later. */
export const ANSWER_MS = 60_000;
/** Frames that go out unhurried; the server's bucket takes 40 at once and 20 a second. */
export const BURST = 15;
export const PACE_MS = 100;
/** Topics whose long histories are asked for at once. */
export const MOST_AGAIN = 20;
/** Bytes of a frame, as long as nobody complains. */
export const FRAME_BYTES = 4096;
/** What one topic takes of a frame, generously; a name is asked for alone. */
export const TOPIC_BYTES = 128;

/** Stability after which the next loss counts as the first again. */
export const STABLE_MS = 10_000;
/** How long a connection without subscriptions is kept, for the next one to come. */
export const LINGER_MS = 5_000;
/** Longest wait that a server may ask for. */
export const MAX_RETRY_MS = 300_000;
/** Attempts with a transport that never answered, before the next one is tried. */
export const PATIENCE = 2;

/** How often the wall clock is looked at, and the longest step of it that is no sleep. */
export const TICK_MS = 5_000;
export const SLEPT_MS = 20_000;
