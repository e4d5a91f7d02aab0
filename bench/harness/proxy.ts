import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Counts what a process asks of MongoDB, on the wire between them. */
export interface CountingProxy {
  /** Where to connect instead; `directConnection` keeps the driver from going to the server's own address. */
  readonly uri: string;
  /** Commands by name since the last `reset`; `find` and `aggregate` with the collection that they read. */
  commands(): ReadonlyMap<string, number>;
  /** Bytes that MongoDB answered since the last `reset`. */
  answeredBytes(): number;
  reset(): void;
  /** Resolves when no command for data has passed for so long. */
  quiet(ms: number): Promise<void>;
  stop(): Promise<void>;
}

const HEADER_BYTES = 16;
const OP_MSG = 2_013;
/** Message header, flags and the kind of the first section. */
const BODY_AT = HEADER_BYTES + 4 + 1;
const BSON_STRING = 2;

/** Commands that are no question about data. */
const CHATTER: ReadonlySet<string> = new Set([
  'hello',
  'isMaster',
  'ismaster',
  'ping',
  'getMore',
  'endSessions',
  'killCursors',
]);

/** What of the commands reads or writes data. */
export const dataCommands = (commands: ReadonlyMap<string, number>): [string, number][] =>
  [...commands].filter(([name]) => !CHATTER.has(name.split(' ')[0] ?? ''));

function cstring(bytes: Buffer, at: number): string {
  return bytes.toString('utf8', at, bytes.indexOf(0, at));
}

/** The name of a command, which is its first field, and the collection where that is the field's value. */
function commandIn(message: Buffer): string | null {
  if (message.readInt32LE(12) !== OP_MSG) return null;
  const type = message[BODY_AT + 4];
  const name = cstring(message, BODY_AT + 5);
  if (type !== BSON_STRING) return name;
  return `${name} ${cstring(message, BODY_AT + 5 + name.length + 1 + 4)}`;
}

export async function startProxy(uri: string): Promise<CountingProxy> {
  const target = new URL(uri);
  const commands = new Map<string, number>();
  const sockets = new Set<Socket>();
  let answered = 0;

  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    let rest: Buffer = Buffer.alloc(0);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      const other = socket === near ? far : near;
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.on('data', (chunk) => {
      far.write(chunk);
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (rest.length >= HEADER_BYTES && rest.length >= rest.readInt32LE(0)) {
        const length = rest.readInt32LE(0);
        const name = commandIn(rest.subarray(0, length));
        if (name !== null) commands.set(name, (commands.get(name) ?? 0) + 1);
        rest = rest.subarray(length);
      }
    });
    far.on('data', (chunk) => {
      answered += chunk.length;
      near.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return {
    uri: `mongodb://127.0.0.1:${address.port}/?directConnection=true`,
    commands: () => commands,
    answeredBytes: () => answered,
    reset() {
      commands.clear();
      answered = 0;
    },
    async quiet(ms) {
      const count = (): number => dataCommands(commands).reduce((sum, [, times]) => sum + times, 0);
      for (let before = -1; before !== count(); ) {
        before = count();
        await delay(ms);
      }
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
