import uWS from 'uWebSockets.js';
import { Server } from 'socket.io';
import { contenderOptions, endWithBench, listening } from './options.ts';
import { IO_OPTIONS, serveRooms } from './socket-io-rooms.ts';
import { watchNumbers } from './watcher.ts';

/** Socket.IO on uWebSockets and a change stream: its emits to a room go through uWebSockets' own publish. */

const app = uWS.App();
const io = new Server(IO_OPTIONS);
io.attachApp(app);
serveRooms(io);
await watchNumbers(contenderOptions(), (events) => {
  for (const { topic, message } of events) io.to(topic).emit('new_number', message);
});
app.listen('127.0.0.1', 0, (socket) => {
  if (socket === false) throw new Error('cannot listen');
  listening(uWS.us_socket_local_port(socket));
});
endWithBench();
