import type { Histogram } from 'hdr-histogram-js';
import type { DialectName } from '../load/dialects.ts';
import { type Order, type Report, report } from '../load/orders.ts';
import { type Child, startProgram } from './child.ts';
import { merged } from './histogram.ts';

type ReportOf<Name extends Report['report']> = Extract<Report, { report: Name }>;

export interface CrowdOptions {
  readonly dialect: DialectName;
  readonly host: string;
  readonly port: number;
  readonly clients: number;
  readonly topics: readonly string[];
  readonly after?: string;
  readonly epoch?: string;
  /** Spins that are awaited from the connect on, as after a `expect`. */
  readonly awaited?: { readonly first: number; readonly count: number };
  /** Processes to spread the clients over. */
  readonly processes?: number;
  /** Clients that fail are counted by whoever asks, instead of being an error. */
  readonly mayFail?: true;
  /** Connects on their way at once, in all. */
  readonly atOnce?: number;
}

export interface Connected {
  readonly clients: number;
  readonly failed: number;
  readonly tookUs: number;
  /** Of each client, from its connect to its `subscribed`. */
  readonly histogram: Histogram;
}

export interface Counted {
  readonly histogram: Histogram;
  readonly delivered: number;
  readonly lost: number;
  readonly repeated: number;
  readonly disordered: number;
  readonly events: number;
  readonly notices: number;
  readonly bytes: number;
  readonly closed: number;
  readonly stalledClosed: number;
  readonly lastUs: Float64Array;
  /** Moments of deliveries, row after row, one row per client. */
  readonly times: Float64Array;
}

/** Many subscribers in processes of their own. */
export interface Crowd {
  readonly connected: Connected;
  /** Forgets what came so far; resolves when every process is ready to count. */
  expect(first: number, count: number, keepTimes?: boolean): Promise<void>;
  /** Resolves with true when everything awaited has come, with false after `waitMs` without. */
  complete(waitMs: number): Promise<boolean>;
  stall(clients: number): void;
  collect(): Promise<Counted>;
  /** Lets every client come back to `port` after its connection is lost, or cut now. */
  comeBack(options: { readonly cut: boolean; readonly port: number }): Promise<ReportOf<'back'>[]>;
  close(): Promise<void>;
}

/** Below the descriptors of one process, and below what one loopback address has ports for. */
const CLIENTS_PER_PROCESS = 5_000;
const AT_ONCE = 400;

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function next<Name extends Report['report']>(child: Child, name: Name): Promise<ReportOf<Name>> {
  const isWanted = (value: Report): value is ReportOf<Name> => value.report === name;
  return child.message((message) => {
    const read = report.parse(message);
    return isWanted(read) ? read : null;
  });
}

/** Starts the processes; `connect` then connects their clients. */
async function startProcesses(options: CrowdOptions): Promise<{ children: Child[]; counts: number[] }> {
  const wanted = options.processes ?? Math.ceil(options.clients / CLIENTS_PER_PROCESS);
  const counts = Array.from(
    { length: wanted },
    (_, index) => Math.floor((options.clients * (index + 1)) / wanted) - Math.floor((options.clients * index) / wanted),
  );
  const children = counts.map(() => startProgram('bench/load/subscribers'));
  await Promise.all(children.map((child) => next(child, 'started')));
  return { children, counts };
}

/** Connects a crowd and subscribes it; resolves when every client has been answered, or has failed. */
export async function gather(options: CrowdOptions): Promise<Crowd> {
  const { children, counts } = await startProcesses(options);
  const tell = (child: Child, order: Order): void => child.send(order);
  const all = <Name extends Report['report']>(name: Name): Promise<ReportOf<Name>[]> =>
    Promise.all(children.map((child) => next(child, name)));

  const answers = all('connected');
  for (const [index, child] of children.entries()) {
    tell(child, {
      order: 'connect',
      dialect: options.dialect,
      host: options.host,
      port: options.port,
      clients: counts[index] ?? 0,
      topics: [...options.topics],
      after: options.after ?? null,
      epoch: options.epoch ?? null,
      awaited: options.awaited ?? null,
      from: index + 2,
      atOnce: Math.ceil((options.atOnce ?? AT_ONCE) / children.length),
    });
  }
  const reports = await answers;
  const connected = {
    clients: sum(reports.map(({ clients }) => clients)),
    failed: sum(reports.map(({ failed }) => failed)),
    tookUs: Math.max(...reports.map(({ tookUs }) => tookUs)),
    histogram: merged(reports.map(({ histogram }) => histogram)),
  };

  if (connected.failed > 0 && options.mayFail !== true) {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    throw new Error(`${connected.failed} of ${options.clients} clients could not subscribe`);
  }

  let completion: Promise<unknown> = Promise.resolve();
  return {
    connected,
    async expect(first, count, keepTimes = false) {
      const expecting = all('expecting');
      completion = all('complete');
      completion.catch(() => undefined);
      for (const child of children) tell(child, { order: 'expect', first, count, keepTimes });
      await expecting;
    },
    async complete(waitMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => {
        timer = setTimeout(() => resolve(false), waitMs);
      });
      const isComplete = await Promise.race([completion.then(() => true), late]);
      clearTimeout(timer);
      return isComplete;
    },
    stall(clients) {
      const [first] = children;
      if (first !== undefined) tell(first, { order: 'stall', clients });
    },
    async collect() {
      const collected = all('collected');
      for (const child of children) tell(child, { order: 'collect' });
      return combine(await collected);
    },
    async comeBack({ cut, port }) {
      const back = all('back');
      for (const child of children) tell(child, { order: 'comeBack', cut, port });
      return await back;
    },
    async close() {
      await Promise.all(children.map((child) => child.end('SIGKILL')));
    },
  };
}

function combine(parts: readonly ReportOf<'collected'>[]): Counted {
  const total = (name: 'delivered' | 'lost' | 'repeated' | 'disordered' | 'events' | 'notices' | 'bytes' | 'closed') =>
    sum(parts.map((part) => part[name]));
  const spins = parts[0]?.lastUs.length ?? 0;
  return {
    histogram: merged(parts.map(({ histogram }) => histogram)),
    delivered: total('delivered'),
    lost: total('lost'),
    repeated: total('repeated'),
    disordered: total('disordered'),
    events: total('events'),
    notices: total('notices'),
    bytes: total('bytes'),
    closed: total('closed'),
    stalledClosed: sum(parts.map(({ stalledClosed }) => stalledClosed)),
    lastUs: Float64Array.from({ length: spins }, (_, spin) =>
      Math.max(...parts.map(({ lastUs }) => lastUs[spin] ?? 0)),
    ),
    times: Float64Array.from(parts.flatMap(({ times }) => [...times])),
  };
}
