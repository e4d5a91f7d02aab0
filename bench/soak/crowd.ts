import http from 'node:http';
import { WebSocket } from 'ws';
import { below, type Random, seededRandom } from '../../src/simulator/round.ts';
import { KNOWN_TABLES } from '../../src/simulator/tables.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { crowdOrder, type crowdReport, type Tally } from './orders.ts';

/** The program of the soak's clients: so many at any time, each staying for a while, then coming back or making room. */

const total: Tally = {
  open: 0,
  opened: 0,
  refused: 0,
  lost: 0,
  events: 0,
  gaps: 0,
  repeated: 0,
  resumed: 0,
  unrecovered: 0,
};

const STAY_MS = { least: 5_000, most: 55_000 };
const AWAY_MS = { least: 50, most: 3_000 };
/** Shares of all clients. */
const ALL_TABLES = 0.1;
const BY_SSE = 0.05;
const COMES_BACK = 0.7;
const WITHOUT_GOODBYE = 0.5;

interface Visit {
  readonly port: number;
  readonly topics: readonly string[];
  readonly ledger: Ledger;
  readonly random: Random;
  /** Called once, when the connection is over or could not be had. */
  readonly over: () => void;
  /** Called once, when the server has answered the subscription. */
  readonly settled: () => void;
}

const between = (random: Random, { least, most }: typeof STAY_MS): number => least + random() * (most - least);

function topicsFor(random: Random): string[] {
  if (random() < ALL_TABLES) return ['roulette:*'];
  const wanted = 1 + below(random, 5);
  const ids = Array.from({ length: wanted }, () => KNOWN_TABLES[below(random, KNOWN_TABLES.length)]?.id ?? '');
  return [...new Set(ids)].map((id) => `roulette:${id}`);
}

/** Opens, closed by us, lost by the server: counted in one place for both transports. */
function presence({ random, over, settled }: Visit, leave: () => void) {
  let open = false;
  let leaving = false;
  let timer: NodeJS.Timeout | null = null;
  return {
    opened() {
      open = true;
      total.open++;
      total.opened++;
    },
    settled() {
      settled();
      timer ??= setTimeout(
        () => {
          leaving = true;
          leave();
        },
        between(random, STAY_MS),
      );
    },
    closed() {
      if (timer !== null) clearTimeout(timer);
      if (!open) total.refused++;
      else {
        total.open--;
        if (!leaving) total.lost++;
      }
      settled();
      over();
    },
  };
}

function visitByWebsocket(visit: Visit): void {
  const { port, topics, ledger, random } = visit;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false });
  const here = presence(visit, () => (random() < WITHOUT_GOODBYE ? socket.terminate() : socket.close()));
  socket.on('open', () => {
    here.opened();
    const stand = ledger.stand();
    const resume = stand === null ? {} : { after: stand.position, epoch: stand.epoch, seen: stand.position };
    socket.send(JSON.stringify({ type: 'subscribe', id: 1, topics, history: 5, ...resume }));
  });
  socket.on('message', (data) => {
    if (ledger.take(String(data)) === 'subscribed') here.settled();
  });
  // Every error is followed by `close`, where it is counted.
  socket.on('error', () => undefined);
  socket.on('close', () => here.closed());
}

function visitByEvents(visit: Visit): void {
  const { port, topics, ledger } = visit;
  const stand = ledger.stand();
  const after = stand === null ? '' : `&after=${encodeURIComponent(`${stand.epoch}.${stand.position}`)}`;
  const path = `/events?topics=${topics.map(encodeURIComponent).join(',')}&history=5${after}`;
  const request = http.get({ host: '127.0.0.1', port, path, agent: false });
  const here = presence(visit, () => request.destroy());
  request.on('response', (response) => {
    if (response.statusCode !== 200) {
      request.destroy();
      return;
    }
    here.opened();
    let rest = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('data:') && ledger.take(line.slice(5).trim()) === 'subscribed') here.settled();
      }
    });
    response.on('error', () => undefined);
  });
  request.on('error', () => undefined);
  request.on('close', () => here.closed());
}

/** One place among the clients, taken by one after the other. Resolves when the first of them was answered. */
function occupy(port: number, random: Random): Promise<void> {
  return new Promise((resolve) => {
    const next = (topics: readonly string[], ledger: Ledger, bySse: boolean): void => {
      const over = (): void => {
        const again = random() < COMES_BACK;
        const fresh = !again || ledger.stand() === null;
        setTimeout(
          () => {
            if (fresh) arrive();
            else {
              ledger.begin(ledger.stand());
              next(topics, ledger, bySse);
            }
          },
          between(random, AWAY_MS),
        );
      };
      const visit: Visit = { port, topics, ledger, random, over, settled: resolve };
      if (bySse) visitByEvents(visit);
      else visitByWebsocket(visit);
    };
    const arrive = (): void => {
      const ledger = createLedger(total);
      ledger.begin(null);
      next(topicsFor(random), ledger, random() < BY_SSE);
    };
    arrive();
  });
}

const tell = (report: ReturnType<typeof crowdReport.parse>): void => void process.send?.(report);

process.on('message', (raw) => {
  const order = crowdOrder.parse(raw);
  if (order.order === 'tell') {
    tell({ report: 'tally', tally: total });
    return;
  }
  const random = seededRandom(order.seed);
  const places = Array.from({ length: order.clients }, () => occupy(order.port, random));
  void Promise.all(places).then(() => tell({ report: 'gathered' }));
});
process.on('disconnect', () => process.exit(0));
