import { z } from 'zod';
import { isTableId } from '../roulette/table.ts';
import { problemOfAddress, withoutReadPreference } from './mongo-address.ts';

/** One variable of the environment: how its text is read, what holds when it is absent, and what to tell a person. */
export interface Setting<T> {
  readonly read: z.ZodType<T, string>;
  /** The text that stands for an absent variable; empty means "not set". */
  readonly fallback: string;
  /** What the value counts in; empty where nothing is counted. */
  readonly unit: string;
  readonly about: string;
  /** Never printed, not even in part. */
  readonly secret: boolean;
  /** Whether set to nothing differs from not set: it is null then, and not the fallback. */
  readonly canBeNothing: boolean;
}

const setting = <T>(read: z.ZodType<T, string>, fallback: string, unit: string, about: string): Setting<T> =>
  Object.freeze({ read, fallback, unit, about, secret: false, canBeNothing: false });

/** Marks a setting whose value must not be shown. */
export const secret = <T>(inner: Setting<T>): Setting<T> => Object.freeze({ ...inner, secret: true });

/** An integer between `min` and `max`, both included. */
export function whole(fallback: string, unit: string, min: number, max: number, about: string): Setting<number> {
  const read = z.string().transform((text, context) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    context.addIssue({ code: 'custom', message: `must be a whole number from ${min} to ${max}, not "${text}"` });
    return z.NEVER;
  });
  return setting(read, fallback, unit, about);
}

/** `true` or `false` (also 1/0, yes/no, on/off). */
export function yesNo(fallback: 'true' | 'false', about: string): Setting<boolean> {
  const read = z.string().transform((text, context) => {
    const lower = text.toLowerCase();
    if (['true', '1', 'yes', 'on'].includes(lower)) return true;
    if (['false', '0', 'no', 'off'].includes(lower)) return false;
    context.addIssue({ code: 'custom', message: `must be true or false, not "${text}"` });
    return z.NEVER;
  });
  return setting(read, fallback, '', about);
}

/** One word of a closed list. */
export function oneOf<const W extends string>(fallback: NoInfer<W>, words: readonly W[], about: string): Setting<W> {
  return setting(
    z.string().transform((given, context) => wordIn(words, given, context)),
    fallback,
    words.join('|'),
    about,
  );
}

/** One word of a closed list, or null when absent. */
export function maybeOneOf<const W extends string>(words: readonly W[], about: string): Setting<W | null> {
  const read = z.string().transform((given, context) => (given === '' ? null : wordIn(words, given, context)));
  return setting(read, '', words.join('|'), about);
}

function wordIn<W extends string>(words: readonly W[], given: string, context: z.RefinementCtx): W {
  const word = words.find((candidate) => candidate === given.toLowerCase());
  if (word !== undefined) return word;
  context.addIssue({ code: 'custom', message: `must be one of ${words.join(', ')}, not "${given}"` });
  return z.NEVER;
}

/** Text that matches a pattern; `wanted` completes the sentence "must be ...". */
export function text(fallback: string, pattern: RegExp, wanted: string, about: string): Setting<string> {
  return setting(z.string().regex(pattern, `must be ${wanted}`), fallback, '', about);
}

/** Text that matches a pattern, or null when absent. */
export function maybe(pattern: RegExp, wanted: string, about: string): Setting<string | null> {
  const read = z
    .string()
    .refine((value) => value === '' || pattern.test(value), `must be ${wanted}`)
    .transform((value) => (value === '' ? null : value));
  return setting(read, '', '', about);
}

/** The address of a MongoDB that the driver takes, without its read preference, or null when absent. Never shown. */
export function maybeMongo(about: string): Setting<string | null> {
  const read = z.string().transform((value, context): string | null => {
    if (value === '') return null;
    const scheme = /^mongodb(\+srv)?:\/\//.test(value);
    const problem = scheme ? problemOfAddress(value) : 'must be a mongodb:// or mongodb+srv:// address';
    if (problem === null) return withoutReadPreference(value);
    context.addIssue({ code: 'custom', message: problem });
    return z.NEVER;
  });
  return secret(setting(read, '', '', about));
}

/** Text that matches a pattern, or null when it is set to nothing. */
export function orNothing(fallback: string, pattern: RegExp, wanted: string, about: string): Setting<string | null> {
  return Object.freeze({ ...maybe(pattern, wanted, about), fallback, canBeNothing: true });
}

/** A comma-separated list; empty entries are dropped. */
export function list(fallback: string, pattern: RegExp, wanted: string, about: string): Setting<readonly string[]> {
  const read = z.string().transform((value, context): readonly string[] => {
    const entries = entriesOf(value);
    for (const entry of entries.filter((candidate) => !pattern.test(candidate))) {
      context.addIssue({ code: 'custom', message: `each entry must be ${wanted}, not "${entry}"` });
    }
    return Object.freeze(entries);
  });
  return setting(read, fallback, 'list', about);
}

export interface NamedSecret {
  readonly name: string;
  readonly secret: string;
  /** Patterns of table ids (`2010165`, `2010*`, `Lightning*`) that it is good for; absent: all. */
  readonly tables?: readonly string[];
  /** Items per second of its own; absent: what holds for all. */
  readonly perSecond?: number;
}

/**
 * Tables and rate at the end of an entry: digits and stars, or ids of other characters in brackets, so that few secrets
 * can be taken for them.
 */
const RIGHTS = /@(?:(\d{1,7}\*?(?:\+\d{1,7}\*?)*|\*)|\[([^[\],]+)\])(?:\/(\d{1,7}))?$/;

function namedSecretOf(entry: string): NamedSecret {
  const colon = entry.indexOf(':');
  const rights = RIGHTS.exec(entry);
  const [whole = '', digits, others, perSecond] = rights ?? [];
  const patterns = (digits ?? others ?? '*').split('+').map((pattern) => pattern.trim());
  return Object.freeze({
    name: entry.slice(0, Math.max(colon, 0)),
    secret: entry.slice(colon + 1, entry.length - whole.length),
    ...(patterns.join() === '*' ? {} : { tables: Object.freeze(patterns) }),
    ...(perSecond === undefined ? {} : { perSecond: Number(perSecond) }),
  });
}

/** Whether a pattern can match a table: an id, or how one begins and a star. */
function isPattern(pattern: string): boolean {
  const id = pattern.replace(/\*$/, '');
  return isTableId(id) && !id.includes('*');
}

/** What is wrong with the tables of an entry; null when nothing is. */
function problemOfRights(entry: string, { tables }: NamedSecret): string | null {
  if (tables?.every(isPattern) === false) return 'needs ids of tables between @[ and ], with * at their ends alone';
  // Without this, tables that were meant to limit a key would be part of its secret, and the key good for all.
  if (RIGHTS.test(entry) || !/@.*[*+]/.test(entry)) return null;
  return 'has * or + after an @: tables are written as @2010* or @[Lightning*+221]; a secret of that form needs @* after it';
}

/**
 * `name:secret` pairs, comma-separated, each with the tables and the rate that it is good for, as in
 * `a:secret@2010*+2380117/50` or `a:secret@[Lightning*+221]`. One name may come twice, with two secrets, to rotate.
 * Problems name the pair by its place, never by its text.
 */
export function namedSecrets(minLength: number, about: string): Setting<readonly NamedSecret[]> {
  const read = z.string().transform((value, context): readonly NamedSecret[] => {
    const entries = entriesOf(value);
    const pairs = entries.map(namedSecretOf);
    for (const [index, pair] of pairs.entries()) {
      const place = `entry ${index + 1}`;
      const problem = problemOfRights(entries[index] ?? '', pair);
      if (!/^[A-Za-z0-9_.-]{1,40}$/.test(pair.name)) {
        context.addIssue({ code: 'custom', message: `${place} must read name:secret (name: letters, digits, _ . -)` });
      } else if (pair.secret.length < minLength) {
        context.addIssue({ code: 'custom', message: `${place} (${pair.name}) needs at least ${minLength} characters` });
      } else if (problem !== null) {
        context.addIssue({ code: 'custom', message: `${place} (${pair.name}) ${problem}` });
      }
      if (pairs.findIndex((other) => other.name === pair.name && other.secret === pair.secret) < index) {
        context.addIssue({ code: 'custom', message: `${place} repeats the name ${pair.name}` });
      }
      if (pairs.some((other) => other.name === pair.name && sameRights(other, pair) === false)) {
        context.addIssue({ code: 'custom', message: `${place} (${pair.name}) has other rights than its namesake` });
      }
    }
    return Object.freeze(pairs);
  });
  return { ...setting(read, '', 'name:secret list', about), secret: true };
}

export interface NamedKey {
  readonly id: string;
  readonly algorithm: string;
  /** The secret of an HS algorithm, else the file of a public key. */
  readonly value: string;
}

/** `kid:algorithm:value` entries, comma-separated. Problems name the entry by its place, never by its text. */
export function namedKeys(algorithms: RegExp, about: string): Setting<readonly NamedKey[]> {
  const read = z.string().transform((value, context): readonly NamedKey[] => {
    const keys = entriesOf(value).map((entry) => {
      const [id = '', algorithm = '', ...rest] = entry.split(':');
      return Object.freeze({ id, algorithm, value: rest.join(':') });
    });
    for (const [index, { id, algorithm, value: material }] of keys.entries()) {
      if (id === '' || material === '' || !algorithms.test(algorithm)) {
        const message = `entry ${index + 1} must read kid:algorithm:secret or kid:algorithm:file`;
        context.addIssue({ code: 'custom', message });
      } else if (keys.findIndex((other) => other.id === id) < index) {
        context.addIssue({ code: 'custom', message: `entry ${index + 1} repeats the kid ${id}` });
      }
    }
    return Object.freeze(keys);
  });
  return { ...setting(read, '', 'kid:algorithm:value list', about), secret: true };
}

const sameRights = (a: NamedSecret, b: NamedSecret): boolean =>
  a.tables?.join() === b.tables?.join() && a.perSecond === b.perSecond;

const entriesOf = (value: string): string[] =>
  value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
