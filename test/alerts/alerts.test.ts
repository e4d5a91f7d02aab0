import { describe, expect, it } from 'vitest';
import { createAlerts } from '../../src/alerts/alerts.ts';
import type { AlertMessage } from '../../src/alerts/message.ts';
import type { AlertReading } from '../../src/alerts/reading.ts';
import { LOG_EVENTS } from '../../src/log/events.ts';
import { ALERTS } from '../../src/metrics/alert-names.ts';
import { keepingLog } from '../support/gateway.ts';
import { tableReading, WELL } from './readings.ts';

const STARTED_MS = Date.parse('2026-11-24T13:00:00.000Z');
const DOWN: Partial<AlertReading> = { feed: { ...WELL.feed, phase: 'degraded', reason: 'connection refused' } };

/** Alerts over numbers that the test sets, on a clock that the test moves. */
function stage(tellsForAll = true) {
  let nowMs = 0;
  let reading: Partial<AlertReading> = {};
  const messages: AlertMessage[] = [];
  const { log, lines } = keepingLog();
  const alerts = createAlerts({
    read: () => ({ ...WELL, ...reading, atMs: nowMs }),
    send: (message) => messages.push(message),
    log,
    date: () => STARTED_MS + nowMs,
    sender: { service: 'RunCash Live', version: '0.1.0', instance: 'k3f9' },
    tellsForAll,
  });
  return {
    alerts,
    lines,
    messages,
    states: () => messages.flatMap((message) => message.alerts.map(({ key, state }) => `${key} ${state}`)),
    /** Lets time pass in steps of five seconds, as the timer does, with these numbers. */
    pass(seconds: number, numbers: Partial<AlertReading>) {
      reading = numbers;
      for (let second = 0; second < seconds; second += 5) {
        nowMs += 5_000;
        alerts.evaluate();
      }
    },
  };
}

describe('an alert', () => {
  it('is told once however long it holds, and once when it is over', () => {
    const { pass, states, messages } = stage();
    pass(60, {});
    pass(600, DOWN);
    expect(states()).toEqual(['feed_down firing']);
    pass(60, {});
    expect(states()).toEqual(['feed_down firing', 'feed_down resolved']);
    expect(messages[0]?.text).toBe(
      `RunCash Live (k3f9):\nALERT (critical) The change stream is degraded: connection refused. ${ALERTS.feed_down.remedy}`,
    );
    expect(messages[1]?.text).toContain('RESOLVED The change stream is degraded');
    expect(messages[1]?.alerts[0]?.since).toBe('2026-11-24T13:01:05.000Z');
    expect(messages[0]?.id).not.toBe(messages[1]?.id);
  });

  it('stays in the history with its begin and its end, newest first and 100 at most', () => {
    const { alerts, pass } = stage();
    pass(60, {});
    pass(60, DOWN);
    const [holding] = alerts.history();
    expect(holding).toMatchObject({ key: 'feed_down', since: '2026-11-24T13:01:05.000Z', until: null });
    pass(60, {});
    expect(alerts.active()).toEqual([]);
    expect(alerts.history()).toEqual([{ ...holding, until: '2026-11-24T13:02:10.000Z' }]);
    for (let times = 0; times < 120; times += 1) {
      pass(30, DOWN);
      pass(30, {});
    }
    expect(alerts.history()).toHaveLength(100);
    const times = alerts.history().map(({ since }) => since);
    expect(times).toEqual([...times].sort().reverse());
  });

  it('is not told when it was over before anybody had to know', () => {
    const { pass, states } = stage();
    for (let blink = 0; blink < 20; blink++) {
      pass(10, DOWN);
      pass(5, {});
    }
    expect(states()).toEqual([]);
  });

  it('that flaps is one alert: a short calm does not resolve it', () => {
    const { pass, states } = stage();
    pass(30, DOWN);
    for (let blink = 0; blink < 20; blink++) {
      pass(5, {});
      pass(5, DOWN);
    }
    expect(states()).toEqual(['feed_down firing']);
  });

  it('whose words change is still the same', () => {
    const { pass, states } = stage();
    pass(30, DOWN);
    pass(30, { feed: { ...WELL.feed, phase: 'connecting', ready: false, reason: 'no server' } });
    expect(states()).toEqual(['feed_down firing']);
  });

  it('counts what happened before the first evaluation', () => {
    const { pass, states } = stage();
    pass(5, { unauthorized: 5 });
    expect(states()).toEqual(['ingest_unauthorized firing']);
  });

  it('counts over the last minute, not since the start', () => {
    const { pass, states } = stage();
    pass(120, { unauthorized: 4 });
    expect(states()).toEqual([]);
    pass(5, { unauthorized: 105 });
    pass(50, { unauthorized: 105 });
    expect(states()).toEqual(['ingest_unauthorized firing']);
    pass(120, { unauthorized: 105 });
    expect(states()).toEqual(['ingest_unauthorized firing', 'ingest_unauthorized resolved']);
    // One attempt a minute, for an hour, is no attack.
    for (let minute = 0; minute < 60; minute++) pass(60, { unauthorized: 106 + minute });
    expect(states()).toHaveLength(2);
  });
});

describe('alerts that begin together', () => {
  it('are one message, which does not list forty tables', () => {
    const { pass, messages, alerts } = stage();
    const tables = Array.from({ length: 39 }, (_, index) => tableReading(600_000, 30_000, String(2_010_000 + index)));
    pass(60, { tables });
    expect(messages).toHaveLength(1);
    expect(messages[0]?.alerts).toHaveLength(39);
    expect(messages[0]?.text.split('\n')).toHaveLength(12);
    expect(messages[0]?.text).toContain('... and 29 more.');
    expect(alerts.active()).toHaveLength(39);
    expect(alerts.counts()).toContainEqual(['table_silent', 39]);
  });

  it('end one by one', () => {
    const { pass, states } = stage();
    const [first, second] = [tableReading(600_000, 30_000, '2010001'), tableReading(600_000, 30_000, '2010002')];
    pass(60, { tables: [first, second] });
    pass(5, { tables: [{ ...first, silentMs: 0 }, second] });
    expect(states().slice(2)).toEqual(['table_silent 2010001 resolved']);
  });

  it('name tables of any id, and take none for another', () => {
    const { pass, states } = stage();
    const ids = ['LightningRoulette00001@evolution', 'a/b', '50%', '🎰', '__proto__', 'constructor', '221', '0221'];
    pass(60, { tables: ids.map((id) => tableReading(600_000, 30_000, id)) });
    expect(states().sort()).toEqual(ids.map((id) => `table_silent ${id} firing`).sort());
    pass(5, { tables: ids.map((id) => tableReading(id === '221' ? 0 : 600_000, 30_000, id)) });
    expect(states().slice(ids.length)).toEqual(['table_silent 221 resolved']);
  });
});

describe('several processes on one port', () => {
  it('tell once what they all see, and each what it alone sees', () => {
    const numbers = { ...DOWN, databaseUp: false, slowConsumers: 50 };
    const [first, second] = [stage(), stage(false)];
    first.pass(60, numbers);
    second.pass(60, numbers);
    expect(first.states()).toEqual(['slow_consumers firing', 'database_down firing', 'feed_down firing']);
    expect(second.states()).toEqual(['slow_consumers firing', 'feed_down firing']);
  });
});

describe('the log', () => {
  it('has every alert too, under names of the closed list', () => {
    const { pass, lines } = stage();
    pass(60, DOWN);
    pass(60, {});
    const events = lines.map((line) => JSON.parse(line));
    expect(events).toMatchObject([
      { level: 'error', event: 'alert_firing', alert: 'feed_down' },
      { level: 'info', event: 'alert_resolved', alert: 'feed_down' },
    ]);
    for (const { event } of events) expect(LOG_EVENTS).toHaveProperty(event);
  });
});
