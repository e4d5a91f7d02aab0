import { WebSocket } from 'ws';

/** A message as a test looks at it: parsed, nothing promised about its fields. */
export type Message = Readonly<Record<string, unknown>>;

/** What a connection brought, in order, with promises for what it will bring. */
export interface Inbox {
  readonly all: readonly Message[];
  push(message: Message): void;
  /** The next message not taken yet that fits; those before it stay in `all` and count as taken. Rejects at the end. */
  next(fits?: string | ((message: Message) => boolean)): Promise<Message>;
  /** Nothing more comes. */
  end(why: string): void;
}

export function parseMessage(text: string): Message {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error(`no message: ${text}`);
  return Object.fromEntries(Object.entries(value));
}

export function createInbox(): Inbox {
  const all: Message[] = [];
  let taken = 0;
  let ended: string | null = null;
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    const woken = waiting;
    waiting = [];
    for (const resume of woken) resume();
  };
  return {
    all,
    push(message) {
      all.push(message);
      wake();
    },
    async next(fits = () => true) {
      const test = typeof fits === 'string' ? (message: Message) => message['type'] === fits : fits;
      for (;;) {
        for (let message = all[taken]; message !== undefined; message = all[taken]) {
          taken += 1;
          if (test(message)) return message;
        }
        if (ended !== null) {
          throw new Error(`ended (${ended}) before ${String(fits)}; got ${all.map((one) => one['type']).join(' ')}`);
        }
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    end(why) {
      ended = why;
      wake();
    },
  };
}

/** A WebSocket client that keeps what it gets. */
export interface WebsocketClient extends Inbox {
  readonly socket: WebSocket;
  send(frame: unknown): void;
  /** Resolves with the close code and reason. */
  readonly closed: Promise<{ code: number; reason: string }>;
}

/** Connects and waits for the upgrade; rejects with `Unexpected server response: <status>` when it is refused. */
export async function connectWebsocket(
  url: string,
  options: {
    protocols?: string[];
    headers?: Record<string, string>;
    origin?: string;
    path?: string;
    localAddress?: string;
  } = {},
): Promise<WebsocketClient> {
  const { protocols = [], path = '/ws', headers, origin, localAddress } = options;
  const socket = new WebSocket(`ws://${url}${path}`, protocols, {
    perMessageDeflate: false,
    ...(headers === undefined ? {} : { headers }),
    ...(origin === undefined ? {} : { origin }),
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  const inbox = createInbox();
  socket.on('message', (data) => inbox.push(parseMessage(String(data))));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => {
      inbox.end(`close ${code}`);
      resolve({ code, reason: String(reason) });
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  socket.on('error', (error) => inbox.end(error.message));
  return Object.assign(inbox, {
    socket,
    closed,
    send: (frame: unknown) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
  });
}
