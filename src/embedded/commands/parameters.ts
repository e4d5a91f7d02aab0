import { type Document, Int32, Long } from 'bson';
import { MECHANISMS } from '../auth/scram.ts';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { badValue, CommandError } from '../errors.ts';
import { toNumber } from '../values/numbers.ts';
import { type Command, fields } from './command.ts';
import { isGeneric } from './fields.ts';

/** All that getParameter shows; those that `setParameter` changes are in SETTABLE. */
function parameters(engine: Engine): Document {
  return {
    featureCompatibilityVersion: { version: engine.options.compat },
    enableTestCommands: true,
    authenticationMechanisms: [...MECHANISMS],
    requireApiVersion: false,
    transactionLifetimeLimitSeconds: engine.settings.transactionLifetimeLimitSeconds,
    periodicNoopIntervalSecs: new Int32(10),
    logicalSessionRefreshMillis: new Int32(300_000),
    localLogicalSessionTimeoutMinutes: new Int32(30),
    cursorTimeoutMillis: Long.fromNumber(600_000),
    ttlMonitorSleepSecs: engine.ttl.sleepSecs,
  };
}

interface Settable {
  /** The bound as the server words it. */
  readonly bound: 'greater than 0' | 'greater than or equal to 1';
  readonly set: (engine: Engine, value: number) => void;
}

/** Whole numbers of seconds that take effect at once. */
const SETTABLE: ReadonlyMap<string, Settable> = new Map([
  [
    'transactionLifetimeLimitSeconds',
    {
      bound: 'greater than or equal to 1',
      // Of transactions that begin from now on, as on the server.
      set: ({ settings }, value) => {
        settings.transactionLifetimeLimitSeconds = value;
      },
    },
  ],
  [
    'ttlMonitorSleepSecs',
    {
      bound: 'greater than 0',
      set: ({ ttl }, value) => {
        ttl.sleepSecs = value;
      },
    },
  ],
]);

const MAX_INT = 2 ** 31 - 1;

function settable(name: string, known: Document): Settable {
  const found = SETTABLE.get(name);
  if (found !== undefined) return found;
  if (Object.hasOwn(known, name))
    throw new CommandError(CODES.IllegalOperation, `not allowed to change [${name}] at runtime`);
  throw new CommandError(
    CODES.InvalidOptions,
    `attempted to set unrecognized parameter [${name}], use help:true to see options `,
  );
}

function seconds(name: string, given: unknown, { bound }: Settable): number {
  const number = toNumber(given);
  if (number === undefined || Number.isNaN(number))
    throw badValue(`Invalid value for parameter ${name}: it must be a number`);
  const whole = Math.trunc(number);
  if (whole < 1) throw badValue(`Invalid value for parameter ${name}: ${whole} is not ${bound}`);
  if (whole > MAX_INT) throw badValue(`Invalid value for parameter ${name}: ${whole} is out of range`);
  return whole;
}

export const getParameter: Command = {
  name: 'getParameter',
  fields: fields(),
  always: true,
  adminOnly: true,
  run({ engine, body }) {
    const known = parameters(engine);
    if (body['getParameter'] === '*') return known;
    const asked = Object.keys(body).filter((name) => Object.hasOwn(known, name));
    if (asked.length === 0) throw new CommandError(CODES.InvalidOptions, 'no option found to get');
    return Object.fromEntries(asked.map((name) => [name, known[name]]));
  },
};

/** Sets all or none. */
export const setParameter: Command = {
  name: 'setParameter',
  fields: fields(),
  always: true,
  adminOnly: true,
  run({ engine, body }) {
    const known = parameters(engine);
    const names = Object.keys(body).filter((name) => name !== 'setParameter' && !isGeneric(name));
    const [first] = names;
    if (first === undefined)
      throw new CommandError(CODES.InvalidOptions, 'no option found to set, use help:true to see options ');
    const changes = names.map((name) => {
      const parameter = settable(name, known);
      return { parameter, value: seconds(name, body[name], parameter) };
    });
    for (const { parameter, value } of changes) parameter.set(engine, value);
    return { was: known[first] };
  },
};
