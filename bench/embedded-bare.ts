import { createServer } from 'node:net';
import { decode } from '../src/embedded/values/bson.ts';
import { createFraming } from '../src/embedded/wire/framing.ts';
import { parseMessage } from '../src/embedded/wire/messages.ts';
import { writeReply } from '../src/embedded/wire/reply.ts';
import { createWriter } from '../src/embedded/wire/writer.ts';

const writer = createWriter();

/** The limit for a server in this language: it decodes each message, stores nothing, and answers ok. */
const server = createServer({ noDelay: true }, (socket) => {
  const framing = createFraming();
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    for (const message of framing.push(chunk)) {
      const request = parseMessage(message);
      const inserted = Object.hasOwn(decode(request.body), 'insert') ? 1 : 0;
      writeReply(writer, request.opcode, request.requestId, {
        documents: [{ n: inserted, ok: 1 }],
        times: undefined,
      });
      socket.write(Buffer.from(writer.view()));
      writer.clear();
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`listening mongodb://127.0.0.1:${address.port}/`);
});
