import { CODES } from './codes.ts';

/** An error that the built-in server answers to a command: `{ok: 0, errmsg, code, codeName}`. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: number;
  /** Further fields of the reply, e.g. `keyPattern` of a duplicate key or `errorLabels`. */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: number, message: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.code = code;
    this.extra = extra;
  }
}

/** A value or an operator that makes no sense where it stands. */
export const badValue = (message: string): CommandError => new CommandError(CODES.BadValue, message);

/** A specification that does not parse. */
export const failedToParse = (message: string): CommandError => new CommandError(CODES.FailedToParse, message);

/** A value of the wrong BSON type. */
export const typeMismatch = (message: string): CommandError => new CommandError(CODES.TypeMismatch, message);

/** Errors that mongod knows only by the number of the place that raises them: their name is `Location` + number. */
export const location = (code: number, message: string): CommandError => new CommandError(code, message);
