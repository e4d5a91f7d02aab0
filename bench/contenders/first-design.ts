import { createServer } from 'node:http';
import { MongoClient } from 'mongodb';
import { Server } from 'socket.io';
import { z } from 'zod';
import { topicOf } from '../../src/protocol/messages.ts';
import { ORIGIN } from '../../src/protocol/position.ts';
import { loadTables, messageOf, spinDocument } from '../harness/spin.ts';
import { contenderOptions, endWithBench, listening } from './options.ts';
import { IO_OPTIONS, serveRooms } from './socket-io-rooms.ts';

/**
 * RunCash's first design: Socket.IO, every 2 s the newest number of each table is read and sent whether it is new or
 * not, and every 8 s the last 20 numbers of each table go out as a snapshot. Kinder than it was: one room per table
 * instead of a copy to everybody as well, and the index that it lacked.
 */

const POLL_MS = 2_000;
const SNAPSHOT_MS = 8_000;
const SNAPSHOT_NUMBERS = 20;

const { uri, database } = contenderOptions();
const client = new MongoClient(uri);
await client.connect();
const numbers = client.db(database).collection('roleta_numeros');
await numbers.createIndex({ roleta_id: 1, timestamp: -1 });

const http = createServer();
const io = new Server(http, IO_OPTIONS);
serveRooms(io);
const tables = loadTables();
const documents = z.array(spinDocument);

async function newest(table: string, limit: number): Promise<z.infer<typeof documents>> {
  return documents.parse(await numbers.find({ roleta_id: table }).sort({ timestamp: -1 }).limit(limit).toArray());
}

async function poll(): Promise<void> {
  for (const { id } of tables) {
    for (const document of await newest(id, 1)) {
      io.to(topicOf(id)).emit('new_number', messageOf(document, ORIGIN, ORIGIN));
    }
  }
}

async function snapshot(): Promise<void> {
  for (const { id } of tables) {
    const numeros = await newest(id, SNAPSHOT_NUMBERS);
    if (numeros.length > 0) io.to(topicOf(id)).emit('recent_history', { roleta_id: id, numeros });
  }
}

async function every(ms: number, act: () => Promise<void>): Promise<never> {
  for (;;) {
    await act();
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}

const failed = (error: unknown): void => {
  console.error(error);
  process.exit(1);
};
every(POLL_MS, poll).catch(failed);
every(SNAPSHOT_MS, snapshot).catch(failed);
http.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') listening(address.port);
});
endWithBench();
