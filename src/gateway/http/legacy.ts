import { ERRORS, type Problem, ProtocolError } from '../../protocol/errors.ts';
import type { Cor } from '../../protocol/messages.ts';
import type { LegacyQuery } from '../../roulette/history.ts';
import { parseNumberPost } from '../../roulette/ingest.ts';
import type { TableId } from '../../roulette/table.ts';
import { type Answer, errorMembers, json, retryHeaders } from './answer.ts';
import type { HttpDeps } from './deps.ts';
import type { Exchange } from './exchange.ts';
import { healthOf, needReady } from './health.ts';
import { checkJsonType, parseJsonBody } from './json-body.ts';
import { gate } from './limits.ts';
import type { HttpOptions } from './options.ts';
import { integerParameter, need } from './query.ts';
import type { Route } from './router.ts';
import { callerOf, type Writers } from './writers.ts';

type LegacyDeps = Pick<
  HttpDeps,
  'tables' | 'resolve' | 'legacyNumbers' | 'feedStatus' | 'databaseOk' | 'draining' | 'observe'
>;

const MAX_LIMIT = 1000;
/** A skip walks over what it skips; who needs more asks version 1 with its cursor. */
const SKIP = { min: 0, max: 100_000, fallback: 0 } as const;
const COLOURS: readonly Cor[] = ['verde', 'vermelho', 'preto'];
const EVERYTHING = { tables: null, numero: null, cor: null, skip: 0 } as const;

const limitOf = (query: URLSearchParams, fallback: number): number =>
  need(integerParameter(query, 'limit', { min: 1, max: MAX_LIMIT, fallback }));

const problem = (path: string, message: string): ProtocolError => {
  const problems: readonly Problem[] = [{ path, message }];
  return new ProtocolError('invalid', { problems });
};

/** `numero=0` is a filter; only an absent or empty one is none. */
function numeroOf(query: URLSearchParams): number | null {
  const text = query.get('numero');
  if (text === null || text === '') return null;
  return need(integerParameter(query, 'numero', { min: 0, max: 36, fallback: 0 }));
}

function corOf(query: URLSearchParams): Cor | null {
  const text = (query.get('cor') ?? '').trim().toLowerCase();
  if (text === '') return null;
  const cor = COLOURS.find((colour) => colour === text);
  if (cor === undefined) throw problem('cor', `must be one of ${COLOURS.join(', ')}`);
  return cor;
}

/** The addresses that RunCash's first callers use, with their exact shapes. New callers use `/api/v1`. */
export function legacyRoutes(deps: LegacyDeps, writers: Writers, options: HttpOptions): Route[] {
  const reads = gate(options.maxPendingReads, 'rate_limited');
  const query = (asked: LegacyQuery) => reads.run(1, () => deps.legacyNumbers(asked));

  const tablesOf = (parameters: URLSearchParams): readonly TableId[] | null => {
    const references = [parameters.get('roleta_id'), parameters.get('roleta_nome')];
    const given = references.filter((reference) => reference !== null && reference !== '');
    const [first, second] = given.map((reference) => deps.resolve(reference ?? ''));
    if (first === undefined) return null;
    return second === undefined ? first : first.filter((id) => second.includes(id));
  };

  /** Newest first; a name stands for every table that bears it, and an unknown one for none. */
  const newest = async (exchange: Exchange): Promise<Answer> => {
    needReady(deps);
    const tables = deps.resolve(exchange.params[0] ?? '');
    const limit = limitOf(exchange.query, 20);
    if (tables.length === 0) return json(200, []);
    const { data } = await query({ ...EVERYTHING, tables, limit });
    return json(200, data);
  };

  const list = (): Answer => {
    needReady(deps);
    return json(
      200,
      deps.tables().map(({ roleta_id, roleta_nome }) => ({ id: roleta_id, nome: roleta_nome })),
    );
  };

  const search = async ({ query: parameters }: Exchange): Promise<Answer> => {
    needReady(deps);
    const limit = limitOf(parameters, 100);
    const skip = need(integerParameter(parameters, 'skip', SKIP));
    const tables = tablesOf(parameters);
    const filter = { tables, numero: numeroOf(parameters), cor: corOf(parameters), limit, skip };
    const { total, data } = tables?.length === 0 ? { total: 0, data: [] } : await query(filter);
    return json(200, { total, skip, limit, data });
  };

  const insert = async (exchange: Exchange): Promise<Answer> => {
    const caller = callerOf(exchange, writers.admit(exchange, '/api/numbers'));
    checkJsonType(exchange);
    const body = parseJsonBody(await exchange.body());
    if (Array.isArray(body)) throw problem('', 'must be an object; arrays go to /api/v1/numbers');
    const context = writers.context(exchange.headers.get('idempotency-key') ?? null);
    const post = writers.read('number', caller, () => parseNumberPost(body, context));
    if (post.kind !== 'single') throw problem('', 'must be an object');
    const [result] = await writers.numbers(caller, [post.item]);
    if (result === undefined) throw new Error('no result for one item');
    if (result.status === 'error') throw result.error;
    const [status, message] = result.status === 'created' ? [201, 'Número inserido'] : [200, 'Número já inserido'];
    return json(status, { success: true, message: `${message} com sucesso`, id: result.id });
  };

  return [
    { pattern: '/api/roulettes', get: list, fail: legacyFailure },
    { pattern: '/api/roletas', get: list, fail: legacyFailure },
    { pattern: '/api/numbers', get: search, post: insert, fail: legacyFailure },
    { pattern: '/api/numbers/byid/:id', get: newest, fail: legacyFailure },
    { pattern: '/api/numbers/:nome', get: newest, fail: legacyFailure },
    {
      pattern: '/socket-status',
      get: () => json(200, { status: 'online', mongoConnected: deps.databaseOk(), ...now() }),
    },
    {
      pattern: '/api/status',
      get: () => json(200, { status: statusOf(deps), mongodb_connected: deps.databaseOk(), version: options.version }),
    },
  ];
}

const now = () => ({ timestamp: new Date().toISOString() });

/** What the first server always called `online`, whether it was or not. */
const statusOf = (deps: LegacyDeps): string => (healthOf(deps).live ? 'online' : 'degraded');

/** `GET /` for programs. */
export const legacyRoot = (deps: LegacyDeps, options: HttpOptions): Answer =>
  json(200, { status: statusOf(deps), service: options.service, ...now() });

/** First servers answered errors with one sentence under `error`; the members of version 1 stand beside it. */
function legacyFailure(error: ProtocolError): Answer {
  return json(ERRORS[error.code].status, { error: error.message, ...errorMembers(error) }, retryHeaders(error));
}
