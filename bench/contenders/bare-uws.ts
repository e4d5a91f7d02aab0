import uWS from 'uWebSockets.js';
import { z } from 'zod';
import { endWithBench, listening } from './options.ts';

/** The limit: uWebSockets publishes ready texts to whoever subscribed, and nothing else happens in its process. */

const publication = z.object({ publish: z.array(z.object({ topic: z.string(), text: z.string() })) });
const subscription = z.object({ topics: z.array(z.string()) });

const app = uWS.App().ws('/*', {
  compression: uWS.DISABLED,
  maxBackpressure: 256 * 1024,
  closeOnBackpressureLimit: 1,
  idleTimeout: 41,
  sendPingsAutomatically: true,
  message(ws, bytes) {
    for (const topic of subscription.parse(JSON.parse(Buffer.from(bytes).toString())).topics) ws.subscribe(topic);
    ws.send('{"type":"subscribed"}');
  },
});
app.listen('127.0.0.1', 0, (socket) => {
  if (socket === false) throw new Error('cannot listen');
  listening(uWS.us_socket_local_port(socket));
});
process.on('message', (message) => {
  for (const { topic, text } of publication.parse(message).publish) app.publish(topic, text);
});
endWithBench();
