import { location } from '../errors.ts';

const MINUTE = 60_000;

/** Minutes east of UTC at a moment. */
export type Zone = (moment: number) => number;

const zones = new Map<string, Zone>();

/**
 * The offset of a timezone given as Olson name ("America/Sao_Paulo") or as offset ("+03", "-0330", "+05:45").
 *
 * @throws CommandError 40485 for an unknown one
 */
export function zoneOf(name: unknown): Zone {
  if (name === undefined || name === 'UTC' || name === 'GMT' || name === 'Z') return () => 0;
  if (typeof name !== 'string') throw location(40517, 'timezone must evaluate to a string');
  const fixed = /^([+-])(\d{2}):?(\d{2})?$/.exec(name);
  if (fixed !== null) {
    const minutes = (Number(fixed[2]) * 60 + Number(fixed[3] ?? 0)) * (fixed[1] === '-' ? -1 : 1);
    return () => minutes;
  }
  let zone = zones.get(name);
  if (zone === undefined) {
    zone = namedZone(name);
    zones.set(name, zone);
  }
  return zone;
}

function namedZone(name: string): Zone {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset', year: 'numeric' });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw location(40485, `unrecognized time zone identifier: "${name}"`);
  }
  return (moment) => {
    const text = format.formatToParts(new Date(moment)).find((part) => part.type === 'timeZoneName')?.value ?? '';
    const parts = /([+-])(\d{2}):(\d{2})(?::(\d{2}))?/.exec(text);
    if (parts === null) return 0;
    return (Number(parts[2]) * 60 + Number(parts[3])) * (parts[1] === '-' ? -1 : 1);
  };
}

/** Local wall time as a date whose UTC fields are the local ones. */
export function toLocal(date: Date, zone: Zone): Date {
  return new Date(date.getTime() + zone(date.getTime()) * MINUTE);
}

/** The moment at which a wall clock shows `local` (its UTC fields); the later reading decides around a change. */
export function fromLocal(local: number, zone: Zone): Date {
  const guess = local - zone(local) * MINUTE;
  return new Date(local - zone(guess) * MINUTE);
}
