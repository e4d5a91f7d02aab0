import { z } from 'zod';
import type { Cor } from '../protocol/messages.ts';
import { MAX_TEXT, parseTimestamp } from './bson-value.ts';
import { numeroFrom } from './number.ts';
import { countOf, terminalsOf, triggerOf } from './strategy.ts';
import { DOUBLE_ZERO_LABEL } from './wheel.ts';

/**
 * The fields of ingest bodies as real scrapers send them: digits in strings for integers, timestamps without a zone,
 * older names, nulls. Each schema reads its field into the value that is stored.
 */

const numberOrText = (error: string) => z.union([z.number(), z.string()], { error });

/** A reader that answers null for what it refuses, as a schema step with this message. */
const readWith =
  <In, Out>(read: (value: In) => Out | null, message: string) =>
  (value: In, context: z.RefinementCtx<In>): Out => {
    const result = read(value);
    if (result !== null) return result;
    context.addIssue({ code: 'custom', message, input: value });
    return z.NEVER;
  };

const ON_WHEEL = 'must be an integer from 0 to 36';
/** 37 stands for the double zero; whether it may, the label tells. */
const numeroOf = (value: unknown): number | null => numeroFrom(value, DOUBLE_ZERO_LABEL);

const ON_ANY_WHEEL = `${ON_WHEEL}, or "00"`;
const numero = numberOrText(ON_ANY_WHEEL).transform(readWith(numeroOf, ON_ANY_WHEEL));
const rotulo = z.string({ error: 'must be text' }).max(8).nullish();

const COLOURS: readonly Cor[] = ['verde', 'vermelho', 'preto'];
const NO_COLOUR = `must be one of ${COLOURS.join(', ')}, or left out`;
const cor = z
  .string({ error: NO_COLOUR })
  .nullish()
  .transform(
    readWith((value) => {
      const text = (value ?? '').trim().toLowerCase();
      return text === ''
        ? { given: null }
        : (COLOURS.map((given) => ({ given })).find(({ given }) => given === text) ?? null);
    }, NO_COLOUR),
  );

const NO_TIMESTAMP =
  'must be ISO-8601 (UTC where it names no zone), epoch milliseconds, or epoch seconds from 2001 to 2100, or left out';
const timestamp = numberOrText(NO_TIMESTAMP)
  .nullish()
  .transform(
    readWith((value) => {
      const given = typeof value === 'string' ? value.trim() : value;
      if (given === undefined || given === null || given === '') return { ms: null };
      const ms = parseTimestamp(given);
      return ms === null ? null : { ms };
    }, NO_TIMESTAMP),
  );

const EVENT_KEY = /^[^\p{C}]{1,200}$/u;
export const BAD_KEY = 'must be 1 to 200 printable characters';

/** A caller's event id as it goes into the `_id`; null when it is none. */
export function eventKeyOf(value: string | number): string | null {
  const text = String(value).trim();
  return EVENT_KEY.test(text) ? text : null;
}

const eventId = numberOrText(BAD_KEY)
  .nullish()
  .transform(
    readWith((value) => {
      if (value === undefined || value === null || value === '') return { key: null };
      const key = eventKeyOf(value);
      return key === null ? null : { key };
    }, BAD_KEY),
  );

const text = (limit: number) =>
  z.string({ error: 'must be text' }).max(limit, `must have at most ${limit} characters`).nullish();

const table = {
  roleta_id: numberOrText('must be a table id').nullish(),
  roleta_nome: text(200),
};

/** One posted number. `roleta_id`, or a `roleta_nome` that one known table bears, is required. */
export const numberPost = z
  .object(
    { ...table, numero, rotulo, cor, timestamp, evento_id: eventId, rodada_id: eventId },
    { error: 'must be an object' },
  )
  .meta({ id: 'NumberPost' });

const BAD_TRIGGER = 'must be an integer from -1 (none) to 36';
const trigger = numberOrText(BAD_TRIGGER).nullish().transform(readWith(triggerOf, BAD_TRIGGER));

const BAD_TERMINALS = 'must be up to three integers from 0 to 36';
const terminals = z
  .array(numberOrText(ON_WHEEL), { error: BAD_TERMINALS })
  .nullish()
  .transform(readWith(terminalsOf, BAD_TERMINALS));

const BAD_COUNT = 'must be an integer of at least 0';
const count = numberOrText(BAD_COUNT).nullish().transform(readWith(countOf, BAD_COUNT));

/** One posted strategy state. `estado` (older: `estado_estrategia`) is required; nothing is assumed for it. */
export const strategyPost = z
  .object(
    {
      ...table,
      estado: text(MAX_TEXT),
      estado_estrategia: text(MAX_TEXT),
      numero_gatilho: trigger,
      terminais_gatilho: terminals,
      terminais: terminals,
      vitorias: count,
      derrotas: count,
      sugestao_display: text(MAX_TEXT),
      display_suggestion: text(MAX_TEXT),
      timestamp,
      evento_id: eventId,
      rodada_id: eventId,
    },
    { error: 'must be an object' },
  )
  .meta({ id: 'StrategyPost' });

/** The body of the legacy `/emit-event`. */
export const emitEventPost = z
  .object({
    event: z.enum(['new_number', 'strategy_update', 'global_update', 'global_strategy_update']),
    data: z.union([numberPost, strategyPost]),
  })
  .meta({ id: 'EmitEventPost' });
