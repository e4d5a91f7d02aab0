import { z } from 'zod';
import type { Log } from '../../log/log.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { time } from '../../protocol/message-schemas.ts';
import { problemsOf } from '../../protocol/requests.ts';
import type { Denial } from '../door/access.ts';
import { json } from '../door/answer.ts';
import { type Exchange, jsonBodyOf } from '../door/exchange.ts';
import { adminCheck } from './callers.ts';
import type { HttpOptions } from './options.ts';
import { integerParameter, need } from './query.ts';
import type { Operation, Parameter, Route } from './route.ts';
import { named } from './schemas.ts';

/** Of the open connections, which are wanted. */
export interface ClientPage {
  /** Those of this subject; null is all. */
  readonly subject: string | null;
  /** Those whose id is above. */
  readonly after: number;
  readonly limit: number;
}

/** What operators see and order. */
export interface OperatorDeps {
  /** Open connections of this process and its siblings on the port, by id, which grows with time in each process. */
  clients(page: ClientPage): Promise<readonly ClientItem[]>;
  /**
   * Closes the connections of a subject, on other instances by the stream; how many they were in this process and its
   * siblings on the port, null when one of them did not say. Rejects when the order was not stored: nothing is closed.
   */
  removeClients(subject: string): Promise<number | null>;
  denials(): readonly Denial[];
  /** All orders as the database has them now. */
  readOrders(): Promise<AllOrders>;
  deny(denial: Denial): Promise<void>;
  /** False when nothing was denied by this name. */
  allow(kind: Denial['kind'], value: string): Promise<boolean>;
}

/** What operators have ordered; times in milliseconds since 1970. */
export interface AllOrders {
  readonly denials: readonly Denial[];
  /** By subject: connections opened before this time are closed. */
  readonly removals: ReadonlyMap<string, number>;
}

const PAGE = { min: 1, max: 1000, fallback: 100 } as const;
const AFTER = { min: 0, max: 999_999_999_999_999, fallback: 0 } as const;
const MAX_NAME = 200;

const CLIENT = z.strictObject({
  id: z.number().int(),
  subject: z.string().nullable(),
  token_id: z.string().nullable(),
  address: z.string(),
  transport: z.enum(['websocket', 'sse', 'poll', 'socketio']),
  topics: z.array(z.string()),
  since: time,
  expires: time.nullable(),
  sent: z.number().int(),
  lag_bytes: z.number().int(),
});
/** One connection as `GET /api/v1/clients` shows it. */
export type ClientItem = z.infer<typeof CLIENT>;

/** Connections as one process tells another of them. */
export const clientItems = z.array(CLIENT);

const CLIENTS = named('Clients', z.strictObject({ clients: clientItems, next: z.number().int().nullable() }));
const REMOVED = named('Removed', z.strictObject({ closed: z.number().int().nullable() }));
const DENIAL = z.strictObject({
  sub: z.string().optional(),
  jti: z.string().optional(),
  reason: z.string().nullable(),
  since: time,
  until: time.nullable(),
});
const ORDERS = named(
  'AllOrders',
  z.strictObject({
    denials: z.array(DENIAL),
    removals: z.array(z.strictObject({ sub: z.string(), at: time })),
  }),
);
const DENIALS = named('Denials', z.strictObject({ denials: z.array(DENIAL) }));

const name = z.string().trim().min(1).max(MAX_NAME);
const DENIAL_POST = named(
  'DenialPost',
  z
    .object({
      sub: name.optional().describe('Everybody of this subject; or `jti`.'),
      jti: name.optional().describe('This one token.'),
      reason: z.string().trim().max(500).optional(),
      until: z.iso.datetime({ offset: true }).optional().describe('Absent: for ever.'),
    })
    .refine(({ sub, jti }) => (sub === undefined) !== (jti === undefined), { message: 'needs either sub or jti' }),
);

const SUB: Parameter = { name: 'sub', in: 'query', about: 'The subject (`sub`) of their tokens.' };
const ADMIN = { group: 'Running it', access: 'admin' } as const;

const LIST: Operation = {
  ...ADMIN,
  summary: 'Who is connected here, to any of the WORKERS, in the order of their ids',
  parameters: [
    SUB,
    { name: 'limit', in: 'query', about: 'How many.', integer: PAGE },
    { name: 'after', in: 'query', about: '`next` of the page before.', integer: AFTER },
  ],
  answers: { '200': CLIENTS },
  errors: [400],
};
const REMOVE: Operation = {
  ...ADMIN,
  summary: 'Close the connections of a subject, on every instance, with 4006',
  about:
    '`closed` counts the connections to the instance that carried the order out, to all of its WORKERS; other instances close theirs within a second and are not counted. It is null when one of the WORKERS did not say its number in time; the order is carried out all the same. A leaf passes the order on to its core. Close a subject for good by `/api/v1/denials`.',
  parameters: [{ ...SUB, required: true }],
  answers: { '200': REMOVED },
  errors: [400, 503],
};
const LIST_ORDERS: Operation = {
  ...ADMIN,
  summary: 'What is revoked, and whose connections were closed when, as the database has it',
  about: 'For instances that follow this one by `UPSTREAM`.',
  answers: { '200': ORDERS },
  errors: [503],
};
const LIST_DENIALS: Operation = {
  ...ADMIN,
  summary: 'Which subjects and tokens are revoked',
  answers: { '200': DENIALS },
};
const DENY: Operation = {
  ...ADMIN,
  summary: 'Revoke a token, or all tokens of a subject, on every instance',
  about: 'Their connections are closed with 4005, within a second.',
  body: [DENIAL_POST],
  example: { sub: 'ana', reason: 'contract ended' },
  answers: { '201': DENIALS },
  errors: [400, 403, 413, 415, 503],
};
const ALLOW: Operation = {
  ...ADMIN,
  summary: 'Take a revocation back',
  parameters: [SUB, { name: 'jti', in: 'query', about: 'The id of the token.' }],
  answers: { '200': DENIALS },
  errors: [400, 404, 503],
};

const invalid = (path: string, message: string): ProtocolError =>
  new ProtocolError('invalid', { problems: [{ path, message }] });

const nameIn = ({ query }: Exchange, parameter: string): string | null => {
  const value = query.get(parameter)?.trim() ?? '';
  if (value.length > MAX_NAME) throw invalid(parameter, `must have at most ${MAX_NAME} characters`);
  return value === '' ? null : value;
};

function denialOf(body: unknown): Denial {
  const parsed = DENIAL_POST.safeParse(body);
  if (!parsed.success) throw new ProtocolError('invalid', { problems: problemsOf(parsed.error) });
  const { sub, jti = '', reason = null, until } = parsed.data;
  const whom = sub === undefined ? ({ kind: 'jti', value: jti } as const) : ({ kind: 'sub', value: sub } as const);
  return { ...whom, reason, sinceMs: Date.now(), untilMs: until === undefined ? null : Date.parse(until) };
}

const shownDenial = ({ kind, value, reason, sinceMs, untilMs }: Denial) => ({
  [kind]: value,
  reason,
  since: new Date(sinceMs).toISOString(),
  until: untilMs === null ? null : new Date(untilMs).toISOString(),
});

const shownOrders = ({ denials, removals }: AllOrders): z.infer<typeof ORDERS> => ({
  denials: denials.map(shownDenial),
  removals: [...removals].map(([sub, atMs]) => ({ sub, at: new Date(atMs).toISOString() })),
});

/** Reads what `/api/v1/orders` of another instance answers. */
export function ordersIn(value: unknown): AllOrders {
  const { denials, removals } = ORDERS.parse(value);
  return {
    denials: denials.map(({ sub, jti, reason, since, until }) => ({
      kind: sub === undefined ? 'jti' : 'sub',
      value: sub ?? jti ?? '',
      reason,
      sinceMs: Date.parse(since),
      untilMs: until === null ? null : Date.parse(until),
    })),
    removals: new Map(removals.map(({ sub, at }) => [sub, Date.parse(at)])),
  };
}

/** `/api/v1/clients` and `/api/v1/denials`: for operators alone, with a line in the log for everything that they do. */
export function clientRoutes(deps: OperatorDeps, log: Log, options: HttpOptions): Route[] {
  const isAdmin = adminCheck(options.adminKey);
  const operator = (exchange: Exchange): void => {
    if (!isAdmin(exchange)) throw new ProtocolError('unauthorized');
  };
  const audit = ({ visitor, id }: Exchange, action: string, target: string): void =>
    log.info('admin_action', { action, target, address: visitor.text, request: id });
  const denials = () => ({ denials: deps.denials().map(shownDenial) });

  return [
    {
      pattern: '/api/v1/clients',
      atRest: ['delete'],
      operations: { get: LIST, delete: REMOVE },
      get: async (exchange) => {
        operator(exchange);
        const limit = need(integerParameter(exchange.query, 'limit', PAGE));
        const after = need(integerParameter(exchange.query, 'after', AFTER));
        const found = await deps.clients({ subject: nameIn(exchange, 'sub'), after, limit: limit + 1 });
        const clients = found.slice(0, limit);
        return json(200, { clients, next: found.length > limit ? (clients.at(-1)?.id ?? null) : null });
      },
      delete: async (exchange) => {
        operator(exchange);
        const subject = nameIn(exchange, 'sub');
        if (subject === null) throw invalid('sub', 'is required: whose connections are to be closed');
        const closed = await deps.removeClients(subject);
        audit(exchange, 'remove_clients', `sub ${subject}`);
        return json(200, { closed });
      },
    },
    {
      pattern: '/api/v1/orders',
      atRest: ['get'],
      operations: { get: LIST_ORDERS },
      get: async (exchange) => {
        operator(exchange);
        return json(200, shownOrders(await deps.readOrders()));
      },
    },
    {
      pattern: '/api/v1/denials',
      atRest: ['get', 'post', 'delete'],
      operations: { get: LIST_DENIALS, post: DENY, delete: ALLOW },
      get: (exchange) => {
        operator(exchange);
        return json(200, denials());
      },
      post: async (exchange) => {
        operator(exchange);
        const read = jsonBodyOf(exchange);
        const denial = denialOf(read(await exchange.body()));
        await deps.deny(denial);
        audit(exchange, 'deny', `${denial.kind} ${denial.value}`);
        return json(201, denials());
      },
      delete: async (exchange) => {
        operator(exchange);
        const subject = nameIn(exchange, 'sub');
        const token = nameIn(exchange, 'jti');
        const value = subject ?? token;
        if (value === null || (subject !== null && token !== null)) throw invalid('sub', 'needs either sub or jti');
        const kind = subject === null ? 'jti' : 'sub';
        if (!(await deps.allow(kind, value))) throw new ProtocolError('not_found');
        audit(exchange, 'allow', `${kind} ${value}`);
        return json(200, denials());
      },
    },
  ];
}
