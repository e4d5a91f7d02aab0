import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { contenderOptions, endWithBench, listening } from './options.ts';
import { watchNumbers } from './watcher.ts';

/** ws and a change stream: encoded once, sent to the sockets of a topic one after the other. */

const subscription = z.object({ topics: z.array(z.string()) });
const byTopic = new Map<string, Set<WebSocket>>();

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 4_096 });
server.on('connection', (socket) => {
  let joined: readonly string[] = [];
  socket.on('message', (data) => {
    joined = subscription.parse(JSON.parse(data.toString())).topics;
    for (const topic of joined) {
      const sockets = byTopic.get(topic) ?? new Set();
      byTopic.set(topic, sockets.add(socket));
    }
    socket.send('{"type":"subscribed"}');
  });
  socket.on('close', () => {
    for (const topic of joined) byTopic.get(topic)?.delete(socket);
  });
  socket.on('error', () => socket.terminate());
});
await watchNumbers(contenderOptions(), (events) => {
  for (const { topic, text } of events) {
    const bytes = Buffer.from(text);
    for (const socket of byTopic.get(topic) ?? []) socket.send(bytes, { binary: false });
  }
});
const address = server.address();
if (address !== null && typeof address === 'object') listening(address.port);
endWithBench();
