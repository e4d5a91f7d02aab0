import { createServer } from 'node:net';
import { decode } from '../src/embedded/values/bson.ts';
import { createFraming } from '../src/embedded/wire/framing.ts';
import { encodeMessage, parseMessage } from '../src/embedded/wire/messages.ts';
import { encodeReply } from '../src/embedded/wire/reply.ts';

/** The limit for a server in this language: it decodes each message, stores nothing, and answers ok. */
const server = createServer({ noDelay: true }, (socket) => {
  const framing = createFraming();
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    for (const message of framing.push(chunk)) {
      const request = parseMessage(message);
      const inserted = Object.hasOwn(decode(request.body), 'insert') ? 1 : 0;
      const body = encodeReply({ n: inserted, ok: 1 });
      const { head } = encodeMessage(request.opcode, request.requestId, body, false);
      socket.write(Buffer.concat([head, body]));
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`listening mongodb://127.0.0.1:${address.port}/`);
});
