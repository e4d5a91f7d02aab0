import { createHmac } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { runAlertsTest } from '../../src/cli/alerts-test.ts';
import { type Receiver, startReceiver } from './receiver.ts';

const SECRET = 'a secret of the webhook';
const receivers: Receiver[] = [];
afterEach(async () => {
  for (const receiver of receivers.splice(0)) await receiver.stop();
});

async function run(url: string | null, secret: string | null = SECRET, args: string[] = []) {
  const lines: string[] = [];
  const config = { ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_SECRET: secret };
  const print = (line: string): void => void lines.push(line);
  const code = await runAlertsTest(args, { config, version: '0.1.0', print, note: print });
  return { code, text: lines.join('\n') };
}

async function receiver(status: number): Promise<Receiver> {
  const started = await startReceiver((res) => res.writeHead(status).end());
  receivers.push(started);
  return started;
}

describe('alerts-test', () => {
  it('delivers one signed message and tells how to check the signature', async () => {
    const to = await receiver(200);
    const { code, text } = await run(to.url);
    expect(code).toBe(0);
    expect(text).toContain('It answered 200: taken.');
    const [{ headers, body } = { headers: {}, body: '' }] = to.deliveries;
    const hmac = (signed: string) => createHmac('sha256', SECRET).update(signed).digest('hex');
    expect(headers['x-runcash-signature']).toBe(`sha256=${hmac(`${headers['x-runcash-timestamp']}.${body}`)}`);
    expect(text).toContain(`begins ${hmac('1700000000.{}').slice(0, 16)}`);
    expect(JSON.parse(body)).toMatchObject({ alerts: [{ alert: 'test' }], text: expect.stringContaining('TEST') });
  });

  it('keeps the path of the address, which is a secret, to itself', async () => {
    const { text } = await run((await receiver(200)).url);
    expect(text).not.toContain('secret-of-the-address');
  });

  it('says what the receiver answered when it did not take the message', async () => {
    expect(await run((await receiver(403)).url)).toMatchObject({
      code: 1,
      text: expect.stringContaining('It answered 403: not taken.'),
    });
  });

  it('says why nobody could be asked', async () => {
    expect(await run('http://127.0.0.1:1/')).toMatchObject({ code: 1, text: expect.stringContaining('could not be') });
    expect(await run(null)).toMatchObject({ code: 1, text: expect.stringContaining('ALERT_WEBHOOK_URL is not set') });
  });

  it('takes no arguments', async () => {
    expect(await run(null, null, ['now'])).toMatchObject({ code: 2 });
    expect(await run(null, null, ['--help'])).toMatchObject({ code: 0 });
  });
});
