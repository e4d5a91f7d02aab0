import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeRedact } from '../../src/log/redact.ts';

const redact = makeRedact();
const text = (value: unknown): string => JSON.stringify(redact({ value }));
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl';

describe('redaction', () => {
  it.each([
    ['an address with credentials', 'mongodb://user:hunter2@db.example:27017/?replicaSet=rs0'],
    ['an address with @ in the password', 'mongodb+srv://user:hunter2%40@db.example'],
    ['an invalid address: # in the password', 'mongodb://user:p#hunter2@db.example'],
    ['an invalid address: / in the password', 'bad address mongodb://user:p/hunter2@db.example/?a=b'],
    ['an invalid address: ? in the password', 'mongodb://user:hunter2?p@db.example,db2.example'],
    ['an invalid address: @ in the password', 'mongodb+srv://user:p@hunter2@db.example'],
    ['a password in a sentence', 'cannot log in: password=hunter2'],
    ['a token at the start', 'token=hunter2'],
    ['a token in a query', '/ws?a=1&token=hunter2&b=2'],
    ['an access token in a query', 'https://h/events?access_token=hunter2'],
    ['a Bearer header', 'Authorization: Bearer hunter2hunter2'],
    ['a Basic header', 'basic aHVudGVyMg=hunter2'],
    ['a subprotocol', 'bearer.hunter2.hunter2.hunter2'],
  ])('hides the secret of %s', (_what, value) => {
    expect(text(value)).not.toContain('hunter2');
    expect(text(value)).toContain('[redacted]');
    expect(text(new Error(value))).not.toContain('hunter2');
    expect(text({ deep: [{ url: value }] })).not.toContain('hunter2');
    expect(text(new Error('outer', { cause: new Error(value) }))).not.toContain('hunter2');
  });

  it('hides a bare JWT', () => expect(text(`got ${JWT}.`)).toBe('{"value":"got [redacted]."}'));

  it.each(['token', 'jwt', 'authorization', 'Cookie', 'password', 'api_key', 'x-api-key', 'clientSecret', 'adminKey'])(
    'hides the field %s whatever it holds',
    (name) => {
      expect(redact({ [name]: 'hunter2' })).toEqual({ [name]: '[redacted]' });
      expect(redact({ [name]: { deep: 'hunter2' } })).toEqual({ [name]: '[redacted]' });
    },
  );

  it('shows that a secret is absent', () => expect(redact({ token: null })).toEqual({ token: null }));

  it('keeps the rest of a line readable', () => {
    expect(text('mongodb://u:p@h/db')).toContain('mongodb://[redacted]@h/db');
    expect(redact({ key_name: 'scraper', tokens: 3, topic: 'roulette:*' })).toEqual({
      key_name: 'scraper',
      tokens: 3,
      topic: 'roulette:*',
    });
  });

  it('hides the secrets of the configuration wherever they stand', () => {
    const known = makeRedact(['s3cr3t-of-scraper', '']);
    expect(JSON.stringify(known({ body: 'x s3cr3t-of-scraper y' }))).toBe('{"body":"x [redacted] y"}');
  });

  it('hides a secret that the end of a long text cuts in two', () => {
    const known = makeRedact(['s3cr3t-of-scraper']);
    expect(JSON.stringify(known({ body: `${'x'.repeat(1_990)}s3cr3t-of-scraper${'x'.repeat(100)}` }))).not.toContain(
      's3cr',
    );
  });

  it('makes control characters visible, so that no text can forge a line or move a cursor', () => {
    expect(redact({ name: 'a\n{"level":"error"}\u001b[2J\u2028\u0085' })).toEqual({
      name: 'a\\u000a{"level":"error"}\\u001b[2J\\u2028\\u0085',
    });
  });

  it('bounds long texts, long lists, wide objects and depth', () => {
    const wide = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${n}`, n]));
    let deep: unknown = 'end';
    for (let n = 0; n < 10_000; n += 1) deep = { deep };
    const size = text({ long: 'x'.repeat(1_000_000), list: Array(10_000).fill(1), wide, deep }).length;
    expect(size).toBeLessThan(5000);
  });

  it('survives circles, getters that throw, and null prototypes', () => {
    const circle: Record<string, unknown> = { a: 1 };
    circle['self'] = circle;
    expect(text(circle)).toContain('[deeper]');
    const trap = Object.defineProperty({}, 'x', {
      enumerable: true,
      get: () => {
        throw new Error('trap');
      },
    });
    expect(redact({ trap })).toEqual({ not_loggable: 'trap' });
    expect(text(Object.assign(Object.create(null), { a: 1 }))).toBe('{"value":{"a":1}}');
    expect(text(new Uint8Array(5))).toContain('5 bytes');
    expect(text(12n)).toBe('{"value":"12"}');
  });

  it('gives something that JSON can write for every value', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true }), (value) => {
        expect(typeof JSON.stringify(redact({ value }))).toBe('string');
      }),
    );
  });
});
