import { ALERTS, type AlertName, type Severity } from '../metrics/alert-names.ts';

/** One alert in a message, as receivers get it. Times are ISO-8601 UTC. */
export interface AlertItem {
  readonly key: string;
  readonly alert: AlertName | 'test';
  readonly severity: Severity;
  readonly state: 'firing' | 'resolved' | 'test';
  readonly since: string;
  /** What is, or was, wrong. */
  readonly summary: string;
  readonly remedy: string;
}

/** The body of one post to ALERT_WEBHOOK_URL. */
export interface AlertMessage {
  /** The same in every attempt to deliver this message. */
  readonly id: string;
  /** Everything in words: chat webhooks (Slack, Mattermost, Teams, Google Chat) show this field. */
  readonly text: string;
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly sent: string;
  readonly alerts: readonly AlertItem[];
}

/** Who speaks. */
export interface AlertSender {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
}

/** Lines of a text; a chat is no list of all tables. */
const MAX_LINES = 10;

const MARKS = { firing: 'ALERT', resolved: 'RESOLVED', test: 'TEST' } as const;

const lineOf = ({ state, severity, summary, remedy }: AlertItem): string =>
  state === 'resolved' ? `${MARKS[state]} ${summary}` : `${MARKS[state]} (${severity}) ${summary} ${remedy}`;

/** One message about alerts that changed together. */
export function messageOf(sender: AlertSender, id: string, sent: string, alerts: readonly AlertItem[]): AlertMessage {
  const lines = alerts.slice(0, MAX_LINES).map(lineOf);
  const rest = alerts.length - lines.length;
  const text = [
    `${sender.service} (${sender.instance}):`,
    ...lines,
    ...(rest > 0 ? [`... and ${rest} more.`] : []),
  ].join('\n');
  return { id, text, ...sender, sent, alerts };
}

/** What `runcash-live alerts-test` sends. */
export function testMessage(sender: AlertSender, id: string, sent: string): AlertMessage {
  return messageOf(sender, id, sent, [
    {
      key: 'test',
      alert: 'test',
      severity: 'warning',
      state: 'test',
      since: sent,
      summary: 'This is a test: alerts of this service arrive here.',
      remedy: `It will tell of: ${Object.keys(ALERTS).join(', ')}.`,
    },
  ]);
}
