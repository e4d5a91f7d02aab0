import { useEffect, useRef } from 'preact/hooks';
import type { Table } from '../client/connect.ts';
import { callsIn, canNotify, keepCall } from './calls.ts';
import { tableName } from './card.tsx';
import { coveredBy } from './coverage.ts';
import type { PageParts } from './page.ts';
import type { Say } from './text.ts';
import { isUnconfirmed, signalsOf } from './trust.ts';

const TONE_HZ = 880;
const TONE_S = 0.25;

/** A sound that the browser held back until somebody touched the page is no news by then. */
const LATE_MS = 2_000;

let speaker: AudioContext | null = null;

async function playTone(): Promise<void> {
  speaker ??= new AudioContext();
  const context = speaker;
  const askedAt = performance.now();
  await context.resume();
  if (performance.now() - askedAt > LATE_MS) return;
  const tone = context.createOscillator();
  const volume = context.createGain();
  tone.frequency.value = TONE_HZ;
  volume.gain.setValueAtTime(0.15, context.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, context.currentTime + TONE_S);
  tone.connect(volume).connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + TONE_S);
}

/** Android's Chrome has the constructor, and throws: there only a service worker may notify. False where none came. */
function notify(table: Table, say: Say): boolean {
  try {
    const body = coveredBy(table.estrategia?.terminais_gatilho ?? []).join(' ');
    new Notification(`${tableName(table)}: ${say(table.estrategia?.estado ?? 'TRIGGER')}`, { body, tag: table.id });
    return true;
  } catch (error) {
    console.warn(`no notification: ${error}`);
    return false;
  }
}

const keyOf = ({ id, estrategia }: Table): string => `${id} ${estrategia?.estado} ${estrategia?.timestamp}`;

/** Tells of signals that begin while the page is open. Returns how many there are for the badge; 0 where it is not wanted. */
export function useSignalCalls({ model, memory, say, redraw }: PageParts): number {
  const known = useRef<ReadonlySet<string> | null>(null);
  const now = model.now();
  const signals = model.isLive
    ? signalsOf(model.tables.values()).filter((table) => !isUnconfirmed(table, true, now))
    : [];
  const latest = useRef(signals);
  latest.current = signals;
  const keys = signals.map(keyOf).join('\n');
  const isKnown = model.isLive && model.tables.size > 0;
  useEffect(() => {
    if (!isKnown) return;
    const before = known.current;
    known.current = new Set(keys.split('\n'));
    // What was there when the page opened is no news.
    const fresh = before === null ? [] : latest.current.filter((table) => !before.has(keyOf(table)));
    if (fresh.length === 0) return;
    const calls = callsIn(memory);
    if (calls.has('sound')) playTone().catch((error: unknown) => console.warn(`no sound: ${error}`));
    if (!calls.has('notify') || !canNotify() || Notification.permission !== 'granted') return;
    // What cannot be is no longer promised.
    if (fresh.every((table) => notify(table, say))) return;
    keepCall(memory, 'notify', false);
    redraw();
  }, [keys, isKnown, memory, say, redraw]);
  return callsIn(memory).has('badge') ? signals.length : 0;
}
