import { CommandError } from '../errors.ts';

/** Code 2: a value or an operator that makes no sense where it stands. */
export const badValue = (message: string): CommandError => new CommandError(2, 'BadValue', message);

/** Code 9: a specification that does not parse. */
export const failedToParse = (message: string): CommandError => new CommandError(9, 'FailedToParse', message);

/** Code 14: a value of the wrong BSON type. */
export const typeMismatch = (message: string): CommandError => new CommandError(14, 'TypeMismatch', message);

/** Errors that mongod knows only by the number of the place that raises them. */
export const location = (code: number, message: string): CommandError =>
  new CommandError(code, `Location${code}`, message);
