/**
 * A server that measures the processor time, the garbage collector's included, of each turn of its event loop. Every
 * message over IPC is answered with the longest since the one before.
 */

import { startEmbeddedMongo } from '../../../src/embedded/server.ts';

const milliseconds = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1000;

const server = await startEmbeddedMongo();
let longestMs = 0;
let began = process.cpuUsage();

function endTurn(): void {
  longestMs = Math.max(longestMs, milliseconds(process.cpuUsage(began)));
  began = process.cpuUsage();
  // It runs at the end of each turn that there is anyway, and makes none of its own.
  setImmediate(endTurn).unref();
}

endTurn();
process.on('message', () => {
  process.send?.({ longestMs, rss: process.memoryUsage.rss() });
  setImmediate(() => {
    longestMs = 0;
  });
});
process.on('disconnect', () => process.exit());
process.send?.({ uri: server.uri });
