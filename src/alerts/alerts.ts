import { randomUUID } from 'node:crypto';
import type { Log } from '../log/log.ts';
import { ALERT_NAMES, ALERTS, type AlertName } from '../metrics/alert-names.ts';
import { type AlertItem, type AlertMessage, type AlertSender, messageOf } from './message.ts';
import type { AlertReading } from './reading.ts';
import { type AlertCondition, conditionsOf, WINDOW_MS } from './rules.ts';

interface AlertDeps {
  /** Everything that the rules look at, now. */
  read(): AlertReading;
  /** Takes a message on its way; null where nobody is told. */
  readonly send: ((message: AlertMessage) => void) | null;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly date: () => number;
  readonly sender: AlertSender;
  /** Whether this process also tells what all processes of this machine see alike. */
  readonly tellsForAll: boolean;
}

/** An alert from its begin to its end. */
export interface PastAlert extends Omit<AlertItem, 'state'> {
  /** ISO-8601; null while it holds. */
  readonly until: string | null;
}

/** The alerts of one process; counting begins when they are made. */
export interface Alerts {
  /** Looks at the numbers once: what began is told once, what ended is told as resolved. */
  evaluate(): void;
  /** What holds now and was told, oldest first. */
  active(): readonly AlertItem[];
  /** What holds and what held, newest first, 100 at most. */
  history(): readonly PastAlert[];
  /** How many hold, by alert; every alert is named. */
  counts(): readonly (readonly [AlertName, number])[];
}

const MAX_PAST = 100;

/** One condition over time. Monotonic milliseconds. */
interface Episode {
  condition: AlertCondition;
  readonly beganMs: number;
  /** ISO-8601, for people. */
  readonly since: string;
  lastMs: number;
  told: boolean;
}

export function createAlerts(deps: AlertDeps): Alerts {
  const episodes = new Map<string, Episode>();
  // The first reading is taken at once, or what happens before the first evaluation would count for nothing.
  const readings: AlertReading[] = [deps.read()];
  const past = createPast();

  const itemOf = ({ condition, since }: Episode, state: 'firing' | 'resolved'): AlertItem => {
    const { alert, key, words } = condition;
    const { severity, remedy } = ALERTS[alert];
    return { key, alert, severity, state, since, summary: words, remedy };
  };

  /** The reading that counts are compared with: the youngest that is a whole window old, else the oldest. */
  const remember = (now: AlertReading): AlertReading => {
    readings.push(now);
    while (readings[1] !== undefined && now.atMs - readings[1].atMs >= WINDOW_MS) readings.shift();
    return readings[0] ?? now;
  };

  const began = (now: AlertReading, conditions: readonly AlertCondition[]): AlertItem[] => {
    const items: AlertItem[] = [];
    for (const condition of conditions) {
      const known = episodes.get(condition.key);
      const since = new Date(deps.date()).toISOString();
      const episode = known ?? { condition, beganMs: now.atMs, since, lastMs: now.atMs, told: false };
      episode.condition = condition;
      episode.lastMs = now.atMs;
      episodes.set(condition.key, episode);
      if (episode.told || now.atMs - episode.beganMs < ALERTS[condition.alert].holdMs) continue;
      episode.told = true;
      items.push(itemOf(episode, 'firing'));
    }
    return items;
  };

  const ended = (now: AlertReading, conditions: readonly AlertCondition[]): AlertItem[] => {
    const holding = new Set(conditions.map(({ key }) => key));
    const items: AlertItem[] = [];
    for (const [key, episode] of episodes) {
      if (holding.has(key)) continue;
      // Nobody was told: there is nothing to take back, and the next time starts from zero.
      const calmMs = episode.told ? ALERTS[episode.condition.alert].calmMs : 0;
      if (now.atMs - episode.lastMs < calmMs) continue;
      episodes.delete(key);
      if (episode.told) items.push(itemOf(episode, 'resolved'));
    }
    past.add(items, new Date(deps.date()).toISOString());
    return items;
  };

  const tell = (items: readonly AlertItem[]): void => {
    for (const { alert, key, state, summary, severity } of items) {
      if (state === 'resolved') deps.log.info('alert_resolved', { alert, key });
      else if (severity === 'critical') deps.log.error('alert_firing', { alert, key, words: summary });
      else deps.log.warn('alert_firing', { alert, key, words: summary });
    }
    if (items.length === 0) return;
    // What changed together goes together: 39 tables that fall silent are one message.
    deps.send?.(messageOf(deps.sender, randomUUID(), new Date(deps.date()).toISOString(), items));
  };

  const active = (): AlertItem[] =>
    [...episodes.values()].filter(({ told }) => told).map((one) => itemOf(one, 'firing'));

  return {
    evaluate() {
      const now = deps.read();
      const conditions = conditionsOf(now, remember(now)).filter(
        ({ alert }) => deps.tellsForAll || ALERTS[alert].of === 'process',
      );
      tell([...began(now, conditions), ...ended(now, conditions)]);
    },
    active,
    history: () => past.with(active()),
    counts() {
      const holding = active();
      return ALERT_NAMES.map((name) => [name, holding.filter(({ alert }) => alert === name).length]);
    },
  };
}

/** The last alerts that ended. */
function createPast() {
  const pastOf = ({ state: _, ...item }: AlertItem, until: string | null): PastAlert => ({ ...item, until });
  let ended: readonly PastAlert[] = [];
  return {
    add(items: readonly AlertItem[], until: string): void {
      ended = [...items.map((item) => pastOf(item, until)), ...ended].slice(0, MAX_PAST);
    },
    with: (holding: readonly AlertItem[]): readonly PastAlert[] =>
      [...holding.map((item) => pastOf(item, null)), ...ended]
        .sort((a, b) => (a.since < b.since ? 1 : -1))
        .slice(0, MAX_PAST),
  };
}
