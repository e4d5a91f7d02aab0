import { connectWebsocket, createInbox, type Inbox, type Message, parseMessage } from './inbox.ts';

export const TRANSPORTS = ['websocket', 'sse', 'poll'] as const;
export type TransportName = (typeof TRANSPORTS)[number];

export interface SubscribeOptions {
  readonly topics: readonly string[];
  /** `epoch.position`, with or without `~`. */
  readonly after?: string | null;
  readonly history?: number;
  readonly token?: string;
}

/** One subscriber over any transport; errors of HTTP answers come as `error` messages too. */
export interface TestSubscriber extends Inbox {
  /** Where to resume: `epoch.position`, null for a fresh start. */
  stand(): string | null;
  /** Ends from the client's side. */
  stop(): void;
  /** Resolves when it is over, from whichever side. */
  readonly over: Promise<void>;
}

/** Subscribes; resolves as soon as the request is on its way. */
export async function subscribe(name: TransportName, url: string, options: SubscribeOptions): Promise<TestSubscriber> {
  switch (name) {
    case 'websocket':
      return subscribeWebsocket(url, options);
    case 'sse':
      return subscribeEvents(url, options);
    case 'poll':
      return subscribePoll(url, options);
    default:
      return name satisfies never;
  }
}

async function subscribeWebsocket(url: string, options: SubscribeOptions): Promise<TestSubscriber> {
  const client = await connectWebsocket(url, {
    ...(options.token === undefined ? {} : { headers: { authorization: `Bearer ${options.token}` } }),
  });
  const dot = options.after?.lastIndexOf('.') ?? -1;
  const owed = options.after?.endsWith('~') === true;
  client.send({
    type: 'subscribe',
    id: 1,
    topics: options.topics.map((topic) => ({ topic, ...(owed ? { owed } : {}) })),
    ...(options.history === undefined ? {} : { history: options.history }),
    ...(options.after == null
      ? {}
      : {
          after: options.after.slice(dot + 1).replace('~', ''),
          ...(dot < 0 ? {} : { epoch: options.after.slice(0, dot) }),
        }),
  });
  return Object.assign(client, {
    stand: () => positionOf(client.all),
    stop: () => client.socket.terminate(),
    over: client.closed.then(() => undefined),
  });
}

const MOVING = new Set<unknown>(['subscribed', 'sync', 'new_number']);

function positionOf(messages: readonly Message[]): string | null {
  const moved = messages.filter((message) => MOVING.has(message['type'])).at(-1);
  const epoch = messages.filter((message) => message['type'] === 'subscribed').at(-1)?.['epoch'];
  return moved === undefined || epoch === undefined ? null : `${String(epoch)}.${String(moved['position'])}`;
}

function queryOf(options: SubscribeOptions, after: string | null | undefined, wait?: number): string {
  const parts = [`topics=${options.topics.map(encodeURIComponent).join(',')}`];
  if (after != null) parts.push(`after=${encodeURIComponent(after)}`);
  if (options.history !== undefined) parts.push(`history=${options.history}`);
  if (wait !== undefined) parts.push(`wait=${wait}`);
  return parts.join('&');
}

const headersOf = ({ token }: SubscribeOptions): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

/** Splits a stream of Server-Sent Events; `event` gets each with its fields. */
export function eventSplitter(event: (fields: ReadonlyMap<string, string>) => void): (chunk: string) => void {
  let pending = '';
  return (chunk) => {
    pending += chunk;
    for (let end = pending.indexOf('\n\n'); end >= 0; end = pending.indexOf('\n\n')) {
      const fields = new Map<string, string>();
      for (const line of pending.slice(0, end).split('\n')) {
        const colon = line.indexOf(':');
        fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart());
      }
      event(fields);
      pending = pending.slice(end + 2);
    }
  };
}

async function subscribeEvents(url: string, options: SubscribeOptions): Promise<TestSubscriber> {
  const inbox = createInbox();
  const abort = new AbortController();
  let id: string | null = options.after ?? null;
  const split = eventSplitter((fields) => {
    const given = fields.get('id');
    if (given !== undefined) id = given === '' ? null : given;
    const data = fields.get('data');
    if (data !== undefined) inbox.push(parseMessage(data));
  });
  const over = (async () => {
    const response = await fetch(`http://${url}/events?${queryOf(options, options.after)}`, {
      signal: abort.signal,
      headers: headersOf(options),
    });
    if (!response.ok) inbox.push({ ...parseMessage(await response.text()), type: 'error' });
    else {
      const decoder = new TextDecoder();
      for await (const chunk of response.body ?? []) split(decoder.decode(chunk, { stream: true }));
    }
  })()
    .catch((error: unknown) => inbox.push({ type: 'broken', error: String(error) }))
    .then(() => inbox.end('the stream ended'));
  return Object.assign(inbox, { stand: () => id, stop: () => abort.abort(), over });
}

async function subscribePoll(url: string, options: SubscribeOptions): Promise<TestSubscriber> {
  const inbox = createInbox();
  const abort = new AbortController();
  let next: string | null = options.after ?? null;
  const over = (async () => {
    for (;;) {
      const response = await fetch(`http://${url}/poll?${queryOf(options, next, 25)}`, {
        signal: abort.signal,
        headers: headersOf(options),
      });
      const body = parseMessage(await response.text());
      if (!response.ok) {
        inbox.push({ ...body, type: 'error' });
        return;
      }
      const { frames } = body;
      if (!Array.isArray(frames)) throw new Error('no frames');
      const messages = frames.map((frame: unknown) => parseMessage(JSON.stringify(frame)));
      next = typeof body['next'] === 'string' ? body['next'] : null;
      for (const message of messages) inbox.push(message);
      if (messages.some((message) => message['type'] === 'bye')) return;
    }
  })()
    .catch((error: unknown) => inbox.push({ type: 'broken', error: String(error) }))
    .then(() => inbox.end('the polling ended'));
  return Object.assign(inbox, { stand: () => next, stop: () => abort.abort(), over });
}
