import { encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { delayBefore } from '../../src/client/reconnect.ts';
import { nowUs } from '../harness/clock.ts';
import { createHistogram, record } from '../harness/histogram.ts';
import { type Asked, dialectOf } from './dialects.ts';
import { createLedger } from './ledger.ts';
import { type Order, order, type Report } from './orders.ts';
import { openWire, type Wire } from './wire.ts';

/** A process that is many subscribers: it connects them, counts what each gets, and reports to the bench by IPC. */

interface Client {
  wire: Wire | null;
  startedUs: number;
  ready: boolean;
  stalled: boolean;
  gone: boolean;
  attempt: number;
  /** Where it stands, when it is to come back there. */
  after: string | null;
}

type ConnectOrder = Extract<Order, { order: 'connect' }>;
type ComeBackOrder = Extract<Order, { order: 'comeBack' }>;

const tell = (report: Report): void => void process.send?.(report);

const clients: Client[] = [];
let place: ConnectOrder | null = null;
let ledger = createLedger({ clients: 0, first: 0, count: 0, keepTimes: false, several: false });
let awaited: { clients: number; complete: number } | null = null;
let counted = { events: 0, notices: 0, bytes: 0, closed: 0, stalledClosed: 0 };
let histogram = createHistogram();
let readyCount = 0;
let failed = 0;
let connecting = 0;
let nextToConnect = 0;
let startedUs = 0;
/** Once clients are to come back, each remembers where it stands. */
let isReturning = false;
let returning: { port: number; startedUs: number; attempts: number; perTenth: number[]; recovered: number } | null =
  null;

const RECOVERED = Buffer.from('"recovered":true');
const POSITION = /"position":"([0-9a-f]{22})"/;
const EPOCH = /"epoch":"([^"]*)"/;
let epoch: string | null = null;

const positionIn = (bytes: Buffer, start: number, end: number): string | null =>
  POSITION.exec(bytes.toString('latin1', start, end))?.[1] ?? null;

function readyNow(client: Client, bytes: Buffer, start: number, end: number): void {
  client.ready = true;
  client.attempt = 0;
  readyCount++;
  record(histogram, nowUs() - client.startedUs);
  if (returning !== null && bytes.subarray(start, end).includes(RECOVERED)) returning.recovered++;
  if (place?.dialect === 'runcash') {
    client.after = positionIn(bytes, start, end);
    epoch = EPOCH.exec(bytes.toString('latin1', start, end))?.[1] ?? null;
  }
  if (returning === null) {
    connecting--;
    connectMore();
  } else if (readyCount === clients.length) tellBack();
}

function tellBack(): void {
  if (returning === null) return;
  const { startedUs: from, attempts, perTenth, recovered } = returning;
  returning = null;
  tell({
    report: 'back',
    clients: readyCount,
    tookUs: nowUs() - from,
    attempts,
    startedUs: from,
    perTenth: Array.from(perTenth, (count) => count ?? 0),
    recovered,
  });
}

function open(client: Client, index: number): void {
  if (place === null) return;
  const dialect = dialectOf[place.dialect];
  client.startedUs = nowUs();
  client.ready = false;
  client.gone = false;
  const wanted: Asked = { topics: place.topics, after: client.after, epoch: client.after === null ? null : epoch };
  const { host, port } = place;
  client.wire = openWire(
    {
      host,
      port,
      path: dialect.path(wanted),
      subprotocol: dialect.subprotocol,
      localAddress: `127.0.0.${place.from}`,
    },
    {
      opened(wire) {
        if (dialect.opened(wire, wanted)) readyNow(client, Buffer.alloc(0), 0, 0);
      },
      frame(wire, bytes, start, end) {
        counted.bytes += end - start;
        const meaning = dialect.frame(wire, bytes, start, end, wanted);
        if (meaning === 'event') {
          counted.events++;
          if (isReturning) client.after = positionIn(bytes, start, end);
          if (ledger.book(index, bytes, start, end, nowUs()) && awaited !== null && !client.stalled) {
            awaited.complete++;
            if (awaited.complete === awaited.clients) tell({ report: 'complete' });
          }
          return;
        }
        counted.notices++;
        if (meaning === 'ready' && !client.ready) readyNow(client, bytes, start, end);
        if (bytes.toString('latin1', start, start + 13) === '{"type":"bye"') {
          const retryMs = /"retry_ms":(\d+)/.exec(bytes.toString('latin1', start, end))?.[1];
          farewell.set(client, Number(retryMs));
        }
      },
      closed: () => closed(client, index),
    },
  );
}

/** What a server asked for in its `bye`. */
const farewell = new Map<Client, number>();

function closed(client: Client, index: number): void {
  const wasReady = client.ready;
  if (client.gone) return;
  client.gone = true;
  client.ready = false;
  counted.closed++;
  if (client.stalled) counted.stalledClosed++;
  if (returning !== null) {
    if (wasReady) readyCount--;
    comeBackLater(client, index);
  } else if (!wasReady) {
    failed++;
    connecting--;
    connectMore();
  }
}

function comeBackLater(client: Client, index: number): void {
  const wanted = farewell.get(client) ?? null;
  farewell.delete(client);
  const waitMs = delayBefore(client.attempt, wanted, Math.random);
  client.attempt++;
  setTimeout(() => {
    if (returning === null || place === null) return;
    returning.attempts++;
    const tenth = Math.floor((nowUs() - returning.startedUs) / 1e5);
    returning.perTenth[tenth] = (returning.perTenth[tenth] ?? 0) + 1;
    place = { ...place, port: returning.port };
    open(client, index);
  }, waitMs);
}

function connectMore(): void {
  if (place === null) return;
  if (readyCount + failed === place.clients) {
    const report = { report: 'connected', clients: readyCount, failed, tookUs: nowUs() - startedUs } as const;
    tell({ ...report, histogram: encodeIntoCompressedBase64(histogram) });
    return;
  }
  while (connecting < place.atOnce && nextToConnect < place.clients) {
    const index = nextToConnect++;
    const client = clients[index];
    if (client === undefined) return;
    connecting++;
    open(client, index);
  }
}

function connect(given: ConnectOrder): void {
  place = given;
  epoch = given.epoch;
  for (let index = 0; index < given.clients; index++) {
    clients.push({
      wire: null,
      startedUs: 0,
      ready: false,
      stalled: false,
      gone: false,
      attempt: 0,
      after: given.after,
    });
  }
  if (given.awaited !== null) expect(given.awaited.first, given.awaited.count, false);
  startedUs = nowUs();
  histogram = createHistogram();
  connectMore();
}

function expect(first: number, count: number, keepTimes: boolean): void {
  const several = place !== null && dialectOf[place.dialect].several === true;
  ledger = createLedger({ clients: clients.length, first, count, keepTimes, several });
  counted = { events: 0, notices: 0, bytes: 0, closed: 0, stalledClosed: 0 };
  awaited = { clients: clients.filter(({ stalled }) => !stalled).length, complete: 0 };
}

function collect(): void {
  tell({
    report: 'collected',
    histogram: encodeIntoCompressedBase64(ledger.histogram),
    delivered: ledger.delivered(),
    lost: ledger.lost((client) => clients[client]?.stalled !== true),
    repeated: ledger.repeated(),
    disordered: ledger.disordered(),
    ...counted,
    lastUs: ledger.lastUs,
    times: ledger.times,
  });
}

function comeBack({ cut, port }: ComeBackOrder): void {
  isReturning = true;
  returning = { port, startedUs: nowUs(), attempts: 0, perTenth: [], recovered: 0 };
  if (cut) for (const client of clients) client.wire?.cut();
}

process.on('message', (message) => {
  const given = order.parse(message);
  switch (given.order) {
    case 'connect':
      connect(given);
      return;
    case 'expect':
      expect(given.first, given.count, given.keepTimes);
      tell({ report: 'expecting' });
      return;
    case 'stall':
      for (const client of clients.slice(0, given.clients)) {
        client.stalled = true;
        client.wire?.stall();
      }
      return;
    case 'collect':
      collect();
      return;
    case 'comeBack':
      comeBack(given);
      return;
    default:
      given satisfies never;
  }
});
process.on('disconnect', () => process.exit(0));
tell({ report: 'started' });
