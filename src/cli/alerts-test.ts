import { randomUUID } from 'node:crypto';
import { testMessage } from '../alerts/message.ts';
import { webhookClock } from '../alerts/watch.ts';
import { post, signatureOf } from '../alerts/webhook.ts';
import type { Config } from '../config/load.ts';
import { HTTP_DEFAULTS } from '../gateway/http/options.ts';

export const ALERTS_TEST_USAGE = `runcash-live alerts-test

Sends one test message to ALERT_WEBHOOK_URL, signed with ALERT_WEBHOOK_SECRET as real alerts are, and says what the
receiver answered. Exit 0 when it took the message, 1 when not.`;

export interface AlertsTestDeps {
  readonly config: Pick<Config, 'ALERT_WEBHOOK_URL' | 'ALERT_WEBHOOK_SECRET'>;
  readonly version: string;
  readonly print: (line: string) => void;
  readonly note: (line: string) => void;
}

/** The `alerts-test` command. Returns the exit code: 1 when the message was not taken, 2 for a wrong command line. */
export async function runAlertsTest(args: readonly string[], deps: AlertsTestDeps): Promise<number> {
  const { print, note, config, version } = deps;
  if (args.length > 0) {
    print(ALERTS_TEST_USAGE);
    return args.includes('--help') ? 0 : 2;
  }
  const { ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_SECRET: secret } = config;
  if (url === null) {
    note('ALERT_WEBHOOK_URL is not set: alerts go to the log alone.');
    return 1;
  }
  const sender = { service: HTTP_DEFAULTS.service, version, instance: 'alerts-test' };
  const message = testMessage(sender, randomUUID(), new Date().toISOString());
  // The path and query of a chat's webhook are its secret.
  print(`Posting to ${new URL(url).origin}: ${message.text}`);
  if (secret === null) print('Unsigned: ALERT_WEBHOOK_SECRET is not set.');
  else {
    const example = signatureOf(secret, '1700000000', '{}').slice(0, 16);
    print('Signed: X-RunCash-Signature is sha256=<hex>, the HMAC-SHA256 of X-RunCash-Timestamp, a dot and the body;');
    print(`for the time 1700000000 and the body {} it begins ${example}.`);
  }
  const attempt = await post({ url, secret, clock: webhookClock }, message, new AbortController().signal);
  if (attempt.kind === 'failure') {
    note(`It could not be reached: ${attempt.words}.`);
    return 1;
  }
  const taken = attempt.status >= 200 && attempt.status < 300;
  (taken ? print : note)(`It answered ${attempt.status}: ${taken ? 'taken' : 'not taken'}.`);
  return taken ? 0 : 1;
}
