import { z } from 'zod';
import { isoOf } from '../roulette/bson-value.ts';
import { labelOf } from '../roulette/wheel.ts';
import { emittedBody } from './legacy.ts';
import type { Sender, SendOutcome, Stamped } from './round.ts';

const ATTEMPT_TIMEOUT_MS = 10_000;

export interface PostOptions {
  /** The service's address, such as `http://127.0.0.1:5000`. */
  readonly url: URL;
  /** `name:secret` or the secret alone; null posts without credentials. */
  readonly key: string | null;
  /** Through `/emit-event`, as the first scrapers did. */
  readonly legacy: boolean;
}

const answer = z.object({ id: z.string().nullish(), status: z.string().nullish() });
const problem = z.object({
  code: z.string().optional(),
  detail: z.string().optional(),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** Sends through `POST /api/v1/numbers` and `/api/v1/strategies`, as a scraper would, or through `/emit-event`. */
export function postSender(options: PostOptions): Sender {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (options.key !== null) headers['authorization'] = credentialsOf(options.key);
  return {
    async send(item) {
      const path = options.legacy ? '/emit-event' : item.kind === 'number' ? '/api/v1/numbers' : '/api/v1/strategies';
      try {
        const response = await fetch(new URL(path, options.url), {
          method: 'POST',
          headers: { ...headers, 'idempotency-key': item.key },
          body: JSON.stringify(options.legacy ? emittedBody(item) : bodyOf(item)),
          signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
        });
        return outcomeOf(response, await response.text());
      } catch (error) {
        return { kind: 'failed', reason: reasonOf(error) };
      }
    },
    close: () => Promise.resolve(),
  };
}

/** `name:secret` goes as Basic (RFC 7617), since Bearer has no place for a name. */
export function credentialsOf(key: string): string {
  return key.includes(':') ? `Basic ${Buffer.from(key).toString('base64')}` : `Bearer ${key}`;
}

/** An item as the service's ingest takes it, marked as what it is: a field of the writer's own, which is stored. */
export function bodyOf(item: Stamped): Record<string, unknown> {
  const common = {
    roleta_id: item.table,
    roleta_nome: item.name,
    timestamp: isoOf(item.timestampMs),
    simulado: true,
  };
  if (item.kind === 'number') return { ...common, numero: item.numero, cor: item.cor, ...labelOf(item.numero) };
  return {
    ...common,
    estado: item.estado,
    numero_gatilho: item.numeroGatilho,
    terminais_gatilho: item.terminaisGatilho,
    vitorias: item.vitorias,
    derrotas: item.derrotas,
    sugestao_display: item.sugestaoDisplay,
  };
}

function outcomeOf(response: Response, text: string): SendOutcome {
  const body = parsed(text);
  if (response.ok) {
    const read = answer.safeParse(body);
    const id = read.success ? (read.data.id ?? null) : null;
    const isDuplicate = read.success && read.data.status === 'duplicate';
    return { kind: isDuplicate ? 'duplicate' : 'acknowledged', id };
  }
  const reason = `HTTP ${response.status}${describe(body)}`;
  const mayRepeat = response.status === 408 || response.status === 429 || response.status >= 500;
  if (!mayRepeat) return { kind: 'refused', reason };
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return { kind: 'failed', reason, ...(seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}) };
}

function describe(body: unknown): string {
  const read = problem.safeParse(body);
  if (!read.success) return '';
  const { code, detail, problems } = read.data;
  const named = problems?.map(({ path, message }) => `${path} ${message}`) ?? [];
  return [code, named.length > 0 ? named.join(', ') : detail].flatMap((part) => (part ? [` ${part}`] : [])).join(':');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's HTML page, for example: the status alone is reported then.
    return null;
  }
}

/** The innermost cause: fetch wraps what matters (`ECONNREFUSED`) in "fetch failed". */
export function reasonOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return String(inner);
  return 'code' in inner && typeof inner.code === 'string' ? inner.code : inner.message || inner.name;
}
