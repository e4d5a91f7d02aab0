import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { createAdapter } from '@socket.io/mongo-adapter';
import { MongoClient } from 'mongodb';
import { Server } from 'socket.io';
import { endWithBench, listening } from './options.ts';
import { IO_OPTIONS, serveRooms } from './socket-io-rooms.ts';
import { watchNumbers } from './watcher.ts';

/**
 * One of two instances of Socket.IO joined by @socket.io/mongo-adapter: `--watch` makes it the one that follows the
 * numbers and emits; the other gets them through the adapter's capped collection and its change stream.
 */

const { values } = parseArgs({
  options: { uri: { type: 'string' }, database: { type: 'string' }, watch: { type: 'boolean', default: false } },
});
const { uri, database, watch } = values;
if (uri === undefined || database === undefined) throw new Error('--uri and --database are needed');

const EVENTS = 'socket.io-adapter-events';
const NAMESPACE_EXISTS = 48;
const client = new MongoClient(uri);
await client.connect();
await client
  .db(database)
  .createCollection(EVENTS, { capped: true, size: 1e6 })
  .catch((error: unknown) => {
    // The other instance has made it.
    if (!(error instanceof Error && 'code' in error && error.code === NAMESPACE_EXISTS)) throw error;
  });

const http = createServer();
const io = new Server(http, IO_OPTIONS);
io.adapter(createAdapter(client.db(database).collection(EVENTS)));
serveRooms(io);
if (watch) {
  await watchNumbers({ uri, database }, (events) => {
    for (const { topic, message } of events) io.to(topic).emit('new_number', message);
  });
}
http.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') listening(address.port);
});
endWithBench();
