import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { contenderOptions, endWithBench, listening } from './options.ts';
import { IO_OPTIONS, serveRooms } from './socket-io-rooms.ts';
import { watchNumbers } from './watcher.ts';

/** Socket.IO on ws and a change stream: one emit to a room per event. */

const http = createServer();
const io = new Server(http, IO_OPTIONS);
serveRooms(io);
await watchNumbers(contenderOptions(), (events) => {
  for (const { topic, message } of events) io.to(topic).emit('new_number', message);
});
http.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') listening(address.port);
});
endWithBench();
