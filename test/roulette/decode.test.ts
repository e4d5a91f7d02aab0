import { BSONRegExp, type Document, ObjectId, serialize } from 'bson';
import { describe, expect, it } from 'vitest';
import { decodeDocument } from '../../src/roulette/bson-value.ts';
import { numberFrom } from '../../src/roulette/number.ts';

/** The bytes of a document in which the first character of each `X...` text is no UTF-8, as Latin-1 writers store it. */
function garbled(document: Document): Uint8Array {
  const bytes = Buffer.from(serialize(document));
  for (let at = bytes.indexOf('X'); at >= 0; at = bytes.indexOf('X')) bytes[at] = 0xc1;
  return bytes;
}

const NUMBER = { _id: new ObjectId(), roleta_id: '2010165', numero: 7, timestamp: new Date() };
const read = (document: Document) => numberFrom(decodeDocument(garbled(document)) ?? {}, { kind: 'numbers' });

describe('bytes that are not UTF-8', () => {
  it('in a field that nobody reads leave the number as it is', () => {
    expect(read({ ...NUMBER, obs: 'Xgua' })).toMatchObject({ ok: true, value: { numero: 7 } });
  });

  it('in the name make it unknown, and in an id or number a document that is skipped', () => {
    expect(read({ ...NUMBER, roleta_nome: 'Xgua' })).toMatchObject({ ok: true, value: { name: null, numero: 7 } });
    expect(read({ ...NUMBER, _id: 'X1' })).toEqual({ ok: false, reason: 'bad_id' });
    expect(read({ ...NUMBER, roleta_id: 'X010165' })).toMatchObject({ ok: false });
    expect(read({ ...NUMBER, numero: 'X' })).toEqual({ ok: false, reason: 'bad_number' });
  });
});

describe('a field that the library cannot decode', () => {
  /** Options that no server takes, written as a pattern's options byte by byte. */
  function withBadOptions(document: Document): Uint8Array {
    const bytes = Buffer.from(serialize({ ...document, odd: new BSONRegExp('abc', 'i') }));
    bytes[bytes.indexOf('abc') + 4] = 'q'.charCodeAt(0);
    return bytes;
  }

  it('is an empty document, and the other fields are read', () => {
    const bytes = withBadOptions({ ...NUMBER, estrategia: { estado: 'MORTO' } });
    expect(decodeDocument(bytes)).toEqual({ ...NUMBER, estrategia: { estado: 'MORTO' }, odd: {} });
  });

  it('is no document where even its bytes do not fit together', () => {
    const bytes = Buffer.from(serialize(NUMBER));
    bytes.writeInt32LE(1_000_000, bytes.indexOf('2010165') - 4);
    expect(decodeDocument(bytes)).toBeNull();
  });
});
