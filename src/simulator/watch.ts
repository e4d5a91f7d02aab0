import { z } from 'zod';
import { ALL_TABLES } from '../protocol/messages.ts';
import { endingWith } from './ending.ts';
import { reasonOf } from './post.ts';

/** A stream that brings nothing, not even a sync, for so long is dead: half-open connections look like this. */
const SILENCE_MS = 40_000;
const RECONNECT_MS = 500;

export interface WatchOptions {
  readonly url: URL;
  /** A subscriber's token where the service asks for one. */
  readonly token: string | null;
  readonly signal: AbortSignal;
}

/** What the watcher reports. Called in the order of arrival. */
export interface WatchEvents {
  /** An event arrived live or by replay; snapshots bring the same things with `snapshot` true. */
  delivered(key: string, snapshot: boolean): void;
  subscribed(): void;
  error(reason: string): void;
}

/** How a number is recognised on its way out. */
export const numberKey = (id: string): string => `n ${id}`;
/** Strategies have no id on the wire; a table has one state at a time. */
export const strategyKey = (table: string, timestamp: string): string => `s ${table} ${timestamp}`;

const item = z.object({ id: z.string() });
const strategy = z.object({ timestamp: z.string().nullable() });
const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('new_number'), id: z.string() }),
  z.object({ type: z.literal('strategy_update'), roleta_id: z.string(), timestamp: z.string().nullable() }),
  z.object({
    type: z.literal('snapshot'),
    roleta_id: z.string(),
    numeros: z.array(item),
    estrategia: strategy.nullable(),
  }),
  z.object({ type: z.literal('subscribed') }),
]);

/** Follows all tables over Server-Sent Events, and comes back with its last position after every break. */
export async function watch(options: WatchOptions, events: WatchEvents): Promise<void> {
  const url = new URL('/events', options.url);
  url.searchParams.set('topics', ALL_TABLES);
  let lastId = '';
  while (!options.signal.aborted) {
    const attempt = endingWith(options.signal);
    attempt.within(SILENCE_MS, new Error('silent'));
    try {
      const response = await fetch(url, {
        headers: {
          accept: 'text/event-stream',
          ...(lastId === '' ? {} : { 'last-event-id': lastId }),
          ...(options.token === null ? {} : { authorization: `Bearer ${options.token}` }),
        },
        signal: attempt.signal,
      });
      if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
      for await (const { id, data } of serverSentEvents(response.body)) {
        attempt.within(SILENCE_MS, new Error('silent'));
        if (id !== null) lastId = id;
        report(data, events);
      }
      throw new Error('ended');
    } catch (error) {
      if (!options.signal.aborted) {
        events.error(`events: ${reasonOf(error)}`);
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      }
    } finally {
      attempt.release();
    }
  }
}

function report(data: string, events: WatchEvents): void {
  const read = message.safeParse(JSON.parse(data));
  // Every other type (sync, status, hello) is of no interest here.
  if (!read.success) return;
  const frame = read.data;
  switch (frame.type) {
    case 'new_number':
      events.delivered(numberKey(frame.id), false);
      return;
    case 'strategy_update':
      events.delivered(strategyKey(frame.roleta_id, frame.timestamp ?? ''), false);
      return;
    case 'snapshot':
      for (const { id } of frame.numeros) events.delivered(numberKey(id), true);
      if (frame.estrategia !== null)
        events.delivered(strategyKey(frame.roleta_id, frame.estrategia.timestamp ?? ''), true);
      return;
    case 'subscribed':
      events.subscribed();
      return;
    default:
      frame satisfies never;
  }
}

interface ServerSentEvent {
  readonly id: string | null;
  readonly data: string;
}

/** Parses an event stream (WHATWG HTML, 9.2.6): `id` null where the event had none; events without data are dropped. */
export async function* serverSentEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let id: string | null = null;
  let data: string[] = [];
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0 || id !== null) yield { id, data: data.join('\n') };
        [id, data] = [null, []];
        continue;
      }
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      if (field === 'data') data.push(value ?? '');
      if (field === 'id') id = value ?? '';
    }
  }
}
