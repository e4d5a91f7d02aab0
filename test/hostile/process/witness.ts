import { WebSocket } from 'ws';
import { parseMessage } from '../../support/inbox.ts';
import { STEADY, type WitnessMessage, type WitnessOrder } from './orders.ts';

/** 200 clients that behave, in a process of their own, so that attackers cost them nothing but the server's time. */
const CLIENTS = 200;
const PING_EVERY_MS = 300;

const url = process.argv[2] ?? '';
const report = (message: WitnessMessage): void => void process.send?.(message);

let events = 0;
let holes = 0;
let repeats = 0;
let closed = 0;
let roundTrips: number[] = [];

function follow(): Promise<void> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  const positions = new Map<unknown, string>();
  const pings = new Map<unknown, number>();
  let nextPing = 1;
  return new Promise((resolve) => {
    socket.on('open', () => {
      const topics = STEADY.map((table) => `roulette:${table}`);
      socket.send(JSON.stringify({ type: 'subscribe', id: 0, topics }));
    });
    socket.on('error', () => {
      closed += 1;
    });
    socket.on('close', () => {
      closed += 1;
    });
    socket.on('message', (data) => {
      const message = parseMessage(String(data));
      switch (message['type']) {
        case 'subscribed':
          for (const table of STEADY) positions.set(`roulette:${table}`, String(message['position']));
          setTimeout(ping, Math.random() * PING_EVERY_MS);
          resolve();
          return;
        case 'pong': {
          const sentAt = pings.get(message['id']);
          pings.delete(message['id']);
          if (sentAt !== undefined) roundTrips.push(performance.now() - sentAt);
          return;
        }
        case 'new_number': {
          events += 1;
          const has = positions.get(message['topic']) ?? '';
          const { position, prev } = message;
          if (typeof prev === 'string' && prev > has) holes += 1;
          if (String(position) <= has) repeats += 1;
          positions.set(message['topic'], String(position));
          return;
        }
        default:
      }
    });
    const ping = (): void => {
      if (socket.readyState !== WebSocket.OPEN) return;
      pings.set(nextPing, performance.now());
      socket.send(`{"type":"ping","id":${nextPing}}`);
      nextPing += 1;
      setTimeout(ping, PING_EVERY_MS * (0.9 + Math.random() * 0.2));
    };
  });
}

await Promise.all(Array.from({ length: CLIENTS }, follow));

process.on('message', ({ order }: WitnessOrder) => {
  if (order === 'report') {
    roundTrips.sort((a, b) => a - b);
    const p99Ms = roundTrips[Math.floor(roundTrips.length * 0.99)] ?? 0;
    report({ report: 'seen', events, holes, repeats, closed, p99Ms, pings: roundTrips.length });
  }
  events = holes = repeats = closed = 0;
  roundTrips = [];
});
process.on('disconnect', () => process.exit(0));
report({ report: 'ready' });
