import { z } from 'zod';
import type { TableDetail } from '../gateway/http/deps.ts';
import type { Frame } from '../protocol/messages.ts';

/** The name of the first system's event, and its arguments. */
export type Packet = readonly [event: string, ...args: readonly unknown[]];

/** A Socket.IO event packet of the main namespace, without Engine.IO's mark. */
export const packetOf = (packet: Packet): string => `2${JSON.stringify(packet)}`;

const table = { roleta_id: z.string(), roleta_nome: z.string() };
const number = { numero: z.number(), cor: z.string(), timestamp: z.string() };
const strategy = {
  estado: z.string(),
  numero_gatilho: z.number(),
  terminais_gatilho: z.array(z.number()),
  vitorias: z.number(),
  derrotas: z.number(),
  sugestao_display: z.string(),
  timestamp: z.string().nullable(),
};

const item = z.object({ id: z.string(), ...number });

/** What of the frames matters here. Fields that the first system did not have are left out by reading alone. */
const frames = z.discriminatedUnion('type', [
  z.object({ type: z.literal('new_number'), ...table, ...number }),
  z.object({ type: z.literal('strategy_update'), ...table, ...strategy }),
  z.object({ type: z.literal('number_corrected'), ...table }),
  z.object({ type: z.literal('number_removed'), ...table }),
  z.object({
    type: z.literal('snapshot'),
    ...table,
    epoch: z.string(),
    position: z.string(),
    numeros: z.array(item),
    estrategia: z.object(strategy).nullable(),
  }),
  z.object({
    type: z.literal('subscribed'),
    id: z.number(),
    topics: z.array(
      z.object({
        topic: z.string(),
        recovered: z.boolean(),
        replayed: z.number().optional(),
        reason: z.string().optional(),
        pending: z.boolean().optional(),
      }),
    ),
  }),
  z.object({ type: z.literal('resolved'), ...table }),
  z.object({ type: z.literal('unsubscribed'), id: z.number(), topics: z.array(z.string()) }),
  z.object({
    type: z.literal('error'),
    id: z.number().optional(),
    code: z.string(),
    message: z.string(),
    retry_ms: z.number().optional(),
  }),
  z.object({ type: z.literal('status'), feed: z.enum(['live', 'stale', 'down']) }),
]);

export type LegacyFrame = z.infer<typeof frames>;
export type SnapshotFrame = Extract<LegacyFrame, { type: 'snapshot' }>;
export type EventFrame = Extract<LegacyFrame, { type: 'new_number' | 'strategy_update' }>;
export type TopicAnswer = Extract<LegacyFrame, { type: 'subscribed' }>['topics'][number];

const KNOWN: ReadonlySet<Frame['type']> = new Set(frames.options.flatMap(({ shape }) => [...shape.type.values]));

const read = new WeakMap<Frame, LegacyFrame>();

/** A frame as the first system would have told it; null for what it had nothing like. Read once for all its readers. */
export function readFrame(frame: Frame): LegacyFrame | null {
  if (!KNOWN.has(frame.type)) return null;
  const known = read.get(frame);
  if (known !== undefined) return known;
  const fresh = frames.parse(JSON.parse(frame.text));
  read.set(frame, fresh);
  return fresh;
}

/** How many numbers `recent_history` has. */
export const RECENT = 20;

interface History {
  readonly roleta_id: string;
  readonly roleta_nome: string;
  readonly numeros: readonly z.infer<typeof item>[];
}

/**
 * `recent_history`: the last numbers, newest first, as documents. The first server searched by name, so that one answer
 * had the numbers of every table of that name.
 */
export function recentHistory(tables: readonly History[]) {
  return tables
    .flatMap(({ roleta_id, roleta_nome, numeros }) =>
      numeros.map(({ id, numero, cor, timestamp }) => ({ _id: id, roleta_id, roleta_nome, numero, cor, timestamp })),
    )
    .sort((a, b) => (tables.length === 1 ? 0 : Date.parse(b.timestamp) - Date.parse(a.timestamp)))
    .slice(0, RECENT);
}

/** `history_data`: everything that is at hand of one table. `roletaId` is what was asked for. */
export const historyData = (asked: string, { roleta_id, roleta_nome, numeros }: History) => ({
  roletaId: asked,
  roletaNome: roleta_nome,
  roleta_id,
  roleta_nome,
  numeros: numeros.map(({ numero, cor, timestamp }) => ({ numero, cor, timestamp })),
});

/** The current state of a table's strategy, for who comes late. */
export const strategyOf = ({ roleta_id, roleta_nome, estrategia }: SnapshotFrame) =>
  estrategia === null ? null : { type: 'strategy_update', roleta_id, roleta_nome, ...estrategia };

/** A table as RunCash's later clients know it. */
export interface Roulette {
  readonly id: string;
  readonly nome: string;
  /** What follows `@` in the id; empty where it does not say. */
  readonly provider: string;
  /** `offline` while MongoDB cannot be reached: the truth may have moved on. */
  readonly status: 'online' | 'offline';
  /** Newest first. */
  readonly numeros: readonly number[];
  readonly ultimoNumero: number | null;
  /** ISO-8601 of the last number; null when there is none. */
  readonly timestamp: string | null;
}

/** A table with so many of its last numbers. */
export function rouletteOf({ roleta_id, roleta_nome, numeros, stale }: TableDetail, count: number): Roulette {
  const [newest] = numeros;
  return {
    id: roleta_id,
    nome: roleta_nome,
    provider: roleta_id.split('@')[1] ?? '',
    status: stale ? 'offline' : 'online',
    numeros: numeros.slice(0, count).map(({ numero }) => numero),
    ultimoNumero: newest?.numero ?? null,
    timestamp: newest?.timestamp ?? null,
  };
}

export const allRoulettes = (roulettes: readonly Roulette[]) => ({ type: 'all_roulettes_update', data: roulettes });
