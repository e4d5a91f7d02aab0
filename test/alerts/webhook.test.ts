import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { testMessage } from '../../src/alerts/message.ts';
import { createWebhook, post, type WebhookOptions } from '../../src/alerts/webhook.ts';
import { keepingLog } from '../support/gateway.ts';
import { type Receiver, startReceiver } from './receiver.ts';

const SECRET = 'a secret of the webhook';
const DATE_MS = Date.parse('2026-11-24T13:00:00.000Z');
const sender = { service: 'RunCash Live', version: '0.1.0', instance: 'k3f9' };
const message = (id: string) => testMessage(sender, id, new Date(DATE_MS).toISOString());

const receivers: Receiver[] = [];
afterEach(async () => {
  for (const receiver of receivers.splice(0)) await receiver.stop();
});

async function receiver(...answer: Parameters<typeof startReceiver>): Promise<Receiver> {
  const started = await startReceiver(...answer);
  receivers.push(started);
  return started;
}

/** A webhook whose own pauses are short; those that a receiver asks for are noted and not waited for. */
function hook(url: string, overrides: Partial<WebhookOptions> = {}) {
  const pauses: number[] = [];
  const results: string[] = [];
  const { log, lines } = keepingLog();
  const webhook = createWebhook({
    url,
    secret: SECRET,
    clock: {
      date: () => DATE_MS,
      pause(ms) {
        pauses.push(ms);
        return Promise.resolve();
      },
    },
    firstPauseMs: 1,
    log,
    ended: (result) => results.push(result),
    ...overrides,
  });
  return { webhook, pauses, results, lines };
}

describe('an alert message', () => {
  it('is JSON with a text for chats, and signed over its time and body', async () => {
    const to = await receiver((res) => res.writeHead(204).end());
    const { webhook, results } = hook(to.url);
    webhook.send(message('m1'));
    await webhook.idle();
    const [{ headers, body } = { headers: {}, body: '' }] = to.deliveries;
    expect(headers['content-type']).toBe('application/json');
    expect(headers['user-agent']).toBe('RunCash-Live/0.1.0');
    expect(headers['x-runcash-timestamp']).toBe(String(DATE_MS / 1000));
    const mac = createHmac('sha256', SECRET)
      .update(`${DATE_MS / 1000}.${body}`)
      .digest('hex');
    expect(headers['x-runcash-signature']).toBe(`sha256=${mac}`);
    expect(JSON.parse(body)).toMatchObject({
      id: 'm1',
      ...sender,
      text: expect.stringContaining('TEST (warning) This is a test'),
      alerts: [{ alert: 'test', state: 'test' }],
    });
    expect(results).toEqual(['delivered']);
  });

  it('without a secret is sent unsigned', async () => {
    const to = await receiver((res) => res.writeHead(200).end('ok'));
    const { webhook } = hook(to.url, { secret: null });
    webhook.send(message('m1'));
    await webhook.idle();
    expect(to.deliveries[0]?.headers).not.toHaveProperty('x-runcash-signature');
  });
});

describe('a receiver that fails', () => {
  it('is asked again with the same id, and later messages wait their turn', async () => {
    const to = await receiver((res, count) => res.writeHead(count < 4 ? 500 : 200).end());
    const { webhook, pauses, results } = hook(to.url);
    webhook.send(message('first'));
    webhook.send(message('second'));
    await webhook.idle();
    expect(to.deliveries.map(({ headers }) => headers['x-runcash-id'])).toEqual([
      ...['first', 'first', 'first', 'first'],
      'second',
    ]);
    expect(pauses).toEqual([]);
    expect(results).toEqual(['delivered', 'delivered']);
  });

  it('is given up after eight attempts; the log says so and does not say the address', async () => {
    const to = await receiver((res) => res.writeHead(503).end());
    const { webhook, results, lines } = hook(to.url);
    webhook.send(message('m1'));
    await webhook.idle();
    expect(to.deliveries).toHaveLength(8);
    expect(results).toEqual(['failed']);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { event: 'alert_undelivered', id: 'm1', attempts: 8, last: { kind: 'answer', status: 503 } },
    ]);
    expect(lines.join()).not.toContain('secret-of-the-address');
  });

  it('that says when to come back is believed, within bounds', async () => {
    const to = await receiver((res, count) => {
      res.writeHead(count === 3 ? 200 : 429, { 'Retry-After': count === 1 ? '7' : '99999' }).end();
    });
    const { webhook, pauses } = hook(to.url);
    webhook.send(message('m1'));
    await webhook.idle();
    expect(pauses).toEqual([7_000, 300_000]);
  });

  it('that refuses the message is not asked twice, and a redirect is a refusal', async () => {
    const elsewhere = await receiver((res) => res.writeHead(200).end());
    const to = await receiver((res, count) => {
      if (count === 1) res.writeHead(403).end();
      else res.writeHead(302, { Location: elsewhere.url }).end();
    });
    const { webhook, pauses, results } = hook(to.url);
    webhook.send(message('m1'));
    webhook.send(message('m2'));
    await webhook.idle();
    expect([to.deliveries.length, pauses, results]).toEqual([2, [], ['failed', 'failed']]);
    expect(elsewhere.deliveries).toEqual([]);
  });

  it('that is not there, or hangs up, counts as failing', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const { webhook, results, lines } = hook(`http://127.0.0.1:${port}/`);
    webhook.send(message('m1'));
    await webhook.idle();
    server.close();
    await once(server, 'close');
    webhook.send(message('m2'));
    await webhook.idle();
    expect(results).toEqual(['failed', 'failed']);
    expect(lines.join()).toContain('ECONNREFUSED');
  });

  it('does not let messages pile up without bound: the oldest are dropped', async () => {
    const gate: { open?: () => void } = {};
    const opened = new Promise<void>((resolve) => {
      gate.open = resolve;
    });
    const to = await receiver((res) => void opened.then(() => res.writeHead(200).end()));
    const { webhook, results } = hook(to.url);
    for (let id = 0; id < 111; id++) webhook.send(message(String(id)));
    gate.open?.();
    await webhook.idle();
    expect(results.filter((result) => result === 'dropped')).toHaveLength(10);
    expect(to.deliveries.map(({ headers }) => headers['x-runcash-id']).slice(0, 2)).toEqual(['0', '11']);
    expect(to.deliveries).toHaveLength(101);
  });
});

describe('stopping', () => {
  it('ends an attempt that hangs, and sends nothing more', async () => {
    const arrived: { now?: () => void } = {};
    const arrival = new Promise<void>((resolve) => {
      arrived.now = resolve;
    });
    const to = await receiver(() => arrived.now?.());
    const { webhook, results } = hook(to.url);
    webhook.send(message('m1'));
    webhook.send(message('m2'));
    await arrival;
    webhook.stop();
    await webhook.idle();
    webhook.send(message('m3'));
    await webhook.idle();
    expect(results).toEqual(['failed']);
    expect(to.deliveries).toHaveLength(1);
  });

  it('gives up on a receiver that never answers', async () => {
    const silent = await receiver(() => undefined);
    const to = { url: silent.url, secret: SECRET, clock: { date: () => DATE_MS, pause: () => Promise.resolve() } };
    const attempt = await post(to, message('m9'), new AbortController().signal, 50);
    expect(attempt).toEqual({ kind: 'failure', words: 'TimeoutError' });
  });
});
