import type { Parameter, Route } from './route.ts';

const TOPICS: readonly Parameter[] = [
  {
    name: 'topics',
    in: 'query',
    required: true,
    about: 'Topics with commas between: `roulette:*`, `roulette:2010165`, `roulette:Roulette`.',
  },
  { name: 'after', in: 'query', about: '`epoch.position` of what was last received.' },
  { name: 'history', in: 'query', about: 'Numbers in a snapshot.', integer: { min: 0, max: 200, fallback: 20 } },
];

/** Served by the transports, described here with the rest; `/ws` is described by the protocol document. */
export const TRANSPORT_ROUTES: readonly Route[] = [
  {
    pattern: '/events',
    operations: {
      get: {
        group: 'Subscribers',
        summary: 'The frames of the WebSocket protocol as Server-Sent Events',
        parameters: [
          ...TOPICS,
          { name: 'Last-Event-ID', in: 'header', about: 'As `after`; browsers send it by themselves.' },
          {
            name: 'lastEventId',
            in: 'query',
            about: 'The same for clients that cannot set a header (or `lastEventID`).',
          },
        ],
        answers: { '200': null },
        errors: [400, 401, 403, 404, 429, 503],
      },
    },
  },
  {
    pattern: '/poll',
    operations: {
      get: {
        group: 'Subscribers',
        summary: 'The same by long-polling: an array of frames, and the position to ask with next',
        parameters: [...TOPICS, { name: 'wait', in: 'query', about: 'Seconds to wait for the first event.' }],
        answers: { '200': null },
        errors: [400, 401, 403, 404, 429, 503],
      },
    },
  },
  {
    pattern: '/api/stream/roulettes',
    operations: {
      get: {
        group: 'Legacy',
        access: 'tables',
        summary: 'Every table whole, then each that changes, as Server-Sent Events of RunCash’s later clients',
        parameters: [{ name: 'nostream', in: 'query', about: '`true`: one JSON answer in place of a stream.' }],
        answers: { '200': null },
        errors: [401, 403, 429, 503],
      },
    },
  },
];
