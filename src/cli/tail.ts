import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { connect } from '../client/connect.ts';
import { ClientError, type Handlers } from '../client/types.ts';
import type { EventMessage } from '../protocol/messages.ts';
import { endingWith } from '../simulator/ending.ts';

export const TAIL_USAGE = `runcash-live tail <topic> [options]

Prints events as they happen, and goes on without a gap after a break.
A topic is roulette:<id, UUID or name>, or * for all tables.

  --url URL      the service (default http://HOST:PORT of the configuration)
  --token TOKEN  where the service asks for one
  --history N    begin with the last N numbers of each table (default 0)
  --count N      end after so many events
  --json         one JSON object per line, as it came

Exit codes: 0 ended by --count or a signal, 1 the service refuses, 2 the command line cannot be followed.`;

export interface TailDeps {
  readonly print: (line: string) => void;
  /** For what is not an event. */
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  readonly defaultUrl: string;
}

/** The `tail` command. Returns the exit code that its usage names. */
export async function runTail(args: readonly string[], deps: TailDeps): Promise<number> {
  const given = tailOptions(args);
  const cannot = (why: string): number => {
    deps.note(`${why}\n${TAIL_USAGE}`);
    return 2;
  };
  if (typeof given === 'string') return cannot(given);
  if (given.help) {
    deps.print(TAIL_USAGE);
    return 0;
  }
  const ending = endingWith(deps.signal);
  try {
    return await follow(given, deps, ending);
  } catch (error) {
    // The client takes no such address or topic, and says so before it asks anybody.
    if (error instanceof ClientError) return cannot(error.message);
    throw error;
  } finally {
    ending.release();
  }
}

/** Prints events until there were enough, the service refuses, or `ending` ends. Throws ClientError before it asks. */
async function follow(given: TailOptions, deps: TailDeps, ending: ReturnType<typeof endingWith>): Promise<number> {
  const { signal } = ending;
  let code = 0;
  const refuse = (why: string): void => {
    deps.note(why);
    code = 1;
    ending.end();
  };
  const client = connect(given.url ?? deps.defaultUrl, {
    signal,
    ...(given.token === undefined ? {} : { token: given.token }),
  });
  client.listen('message', (message) => {
    if (message.type !== 'subscribed' || !message.topics.some(({ pending }) => pending)) return;
    deps.note(`no table is known as "${given.topic}" yet: waiting for it`);
  });
  client.listen('error', (error) => deps.note(`${error.code}: ${error.message}`));
  client.listen('state', (state) => {
    if (state.name === 'recovering' && state.attempt === 0) deps.note(`connection lost (${state.reason}); resuming`);
    if (state.name === 'failed') refuse(`refused: ${state.reason}`);
  });
  try {
    const onError = (error: ClientError): void => refuse(`${error.code}: ${error.message}`);
    client.subscribe(given.topic, { ...printing(given, deps, ending), onError, history: given.history });
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    client.close();
  }
  return code;
}

/** What prints snapshots and events, up to their count. */
function printing(given: TailOptions, { print }: TailDeps, { signal, end }: ReturnType<typeof endingWith>): Handlers {
  let left = given.count;
  const show = (event: EventMessage): void => {
    if (signal.aborted) return;
    print(given.json ? JSON.stringify(event) : lineOf(event));
    left -= 1;
    if (left === 0) end();
  };
  const shown = new Set<string>();
  return {
    onNumber: show,
    onCorrected: show,
    onRemoved: show,
    onStrategy: show,
    onSnapshot(table) {
      if (given.json || shown.has(table.id)) return;
      shown.add(table.id);
      const last = table.numeros.map(({ numero, rotulo }) => rotulo ?? numero).join(' ');
      if (given.history > 0) print(`${table.id}  ${table.nome}  last: ${last === '' ? '-' : last}`);
    },
  };
}

interface TailOptions {
  readonly topic: string;
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly history: number;
  readonly count: number;
  readonly json: boolean;
  readonly help: boolean;
}

/** The options, or what is wrong with the command line. */
function tailOptions(args: readonly string[]): TailOptions | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        url: { type: 'string' },
        token: { type: 'string' },
        history: { type: 'string', default: '0' },
        count: { type: 'string', default: '0' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [topic = '', ...more] = positionals;
    const [history, count] = [Number(values.history), Number(values.count)];
    if (!values.help && (topic === '' || more.length > 0)) return 'Name one topic.';
    if (!(Number.isInteger(history) && history >= 0 && history <= 200)) return '--history must be 0 to 200.';
    if (!(Number.isInteger(count) && count >= 0)) return '--count must be a whole number.';
    const { url, token, json, help } = values;
    // A bare id is a topic too, for those who type.
    const full = topic === '*' || topic.startsWith('roulette:') ? topic : `roulette:${topic}`;
    return { topic: full, url, token, history, count: count === 0 ? Number.POSITIVE_INFINITY : count, json, help };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function lineOf(event: EventMessage): string {
  const place = `${event.roleta_id}  ${event.roleta_nome}`;
  switch (event.type) {
    case 'new_number':
      return `${event.timestamp}  ${place}  ${event.rotulo ?? event.numero} ${event.cor}${event.suspeito ? '  (suspect)' : ''}`;
    case 'number_corrected':
      return `${event.timestamp}  ${place}  corrected to ${event.rotulo ?? event.numero} ${event.cor}`;
    case 'number_removed':
      return `-  ${place}  removed ${event.id}`;
    case 'strategy_update': {
      const bet = event.terminais_gatilho.length > 0 ? `  terminals ${event.terminais_gatilho.join(',')}` : '';
      return `${event.timestamp ?? '-'}  ${place}  ${event.estado}${bet}  ${event.vitorias} won ${event.derrotas} lost`;
    }
    default:
      return event satisfies never;
  }
}
