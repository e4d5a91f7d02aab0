import { MongoServerError } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { isUnauthorized, toProtocolError } from '../../src/store/errors.ts';

const server = (code: number): MongoServerError => new MongoServerError({ ok: 0, code, errmsg: 'as the server says' });

describe('an error of the server', () => {
  it.each([91, 189, 10107, 11600, 11602, 13435, 13436, 14031])(
    '%i is a database that is away: nothing was done',
    (code) => {
      expect(toProtocolError(server(code), 'write').code).toBe('database_unavailable');
    },
  );

  it.each([6, 7, 24, 43, 50, 64, 89, 112, 134, 175, 246, 262, 11601])('%i leaves a write unknown', (code) => {
    expect(toProtocolError(server(code), 'write').code).toBe('write_unknown');
    expect(toProtocolError(server(code), 'read').code).toBe('database_unavailable');
  });

  it.each([
    [13, 'may not do this'],
    [18, 'user or the password'],
    [148, 'majority reads turned off'],
    [8000, 'Atlas'],
    [121, 'validator'],
    [166, 'view'],
    [20, 'time series'],
    [10003, 'capped'],
  ])('%i is a setting, in words: %s', (code, words) => {
    const error = toProtocolError(server(code), 'read');
    expect(error.code).toBe('database_refused');
    expect(error.message).toContain(words);
    expect(error.cause).toBeInstanceOf(MongoServerError);
  });

  it('says of a refused privilege that it is one, also on Atlas', () => {
    expect([13, 8000, 11000].map((code) => isUnauthorized(server(code)))).toEqual([true, true, false]);
  });
});
