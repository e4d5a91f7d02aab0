import uWS from 'uWebSockets.js';
import { z } from 'zod';
import { contenderOptions, endWithBench, listening } from './options.ts';
import { watchNumbers } from './watcher.ts';

/**
 * The limit: uWebSockets publishes ready texts to whoever subscribed, and nothing else happens in its process. With
 * `--uri` and `--database` it follows the numbers by itself: the least that such a service can be.
 */

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
const watches = process.argv.length > 2;
if (watches) {
  await watchNumbers(contenderOptions(), (events) => {
    for (const { topic, text } of events) app.publish(topic, text);
  });
}
app.listen('127.0.0.1', 0, (socket) => {
  if (socket === false) throw new Error('cannot listen');
  listening(uWS.us_socket_local_port(socket));
});
process.on('message', (message) => {
  for (const { topic, text } of publication.parse(message).publish) app.publish(topic, text);
});
endWithBench();
