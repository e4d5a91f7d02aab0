import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressOfBytes, parseAddress, trustedProxies, visitorOf } from '../../../src/gateway/door/address.ts';

const address = (text: string) => {
  const parsed = parseAddress(text);
  if (parsed === null) throw new Error(`no address: ${text}`);
  return parsed;
};

describe('an address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:4711', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['[2001:db8::1]:443', '2001:db8::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::/64'],
    ['64:ff9b::192.0.2.33', '64:ff9b::/64'],
  ])('of %s counts as %s', (text, key) => {
    expect(parseAddress(text)?.key).toBe(key);
  });

  it.each(['', 'unknown', '_hidden', '999.1.1.1', '1.2.3', '2001:db8', '1.2.3.4.5', '<script>'])(
    'is not %j',
    (text) => {
      expect(parseAddress(text)).toBeNull();
    },
  );

  it('is the same from its bytes', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const bytes = Uint8Array.from(text.split('.').map(Number));
        const mapped = Uint8Array.from([...new Array<number>(10).fill(0), 255, 255, ...bytes]);
        expect(addressOfBytes(bytes)).toEqual(address(text));
        expect(addressOfBytes(mapped)).toEqual(address(text));
      }),
    );
    const bytes = Uint8Array.from([0x20, 1, 0x0d, 0xb8, ...new Array<number>(11).fill(0), 1]);
    expect(addressOfBytes(bytes)).toEqual(address('2001:db8::1'));
  });

  it('never throws on what a header may hold', () => {
    const trusted = trustedProxies(['10.0.0.0/8']);
    fc.assert(
      fc.property(fc.string(), fc.ipV6(), (header, peer) => {
        parseAddress(peer);
        visitorOf(address('10.0.0.1'), header, trusted);
      }),
    );
  });
});

describe('the visitor behind proxies', () => {
  const trusted = trustedProxies(['10.0.0.0/8', '192.0.2.1', '2001:db8:ffff::/48']);
  const visitor = (peer: string, header: string): string => visitorOf(address(peer), header, trusted).text;

  it('is the first entry from the right that no trusted proxy wrote', () => {
    expect(visitor('10.0.0.1', '203.0.113.7')).toBe('203.0.113.7');
    expect(visitor('10.0.0.1', '6.6.6.6, 203.0.113.7, 192.0.2.1')).toBe('203.0.113.7');
    expect(visitor('10.0.0.1', '6.6.6.6, 203.0.113.7')).toBe('203.0.113.7');
  });

  it('is the peer itself when that is no trusted proxy', () => {
    expect(visitor('203.0.113.9', '6.6.6.6')).toBe('203.0.113.9');
  });

  it('stops at what is no address', () => {
    expect(visitor('10.0.0.1', '203.0.113.7, unknown')).toBe('10.0.0.1');
  });

  it('knows IPv6 ranges', () => {
    expect(visitor('2001:db8:ffff::5', '2001:db8:1::1')).toBe('2001:db8:1::1');
  });

  it.each(['10.0.0.0/33', 'proxy.example', '10.0.0.0/', '10.0.0.0/8/8', '::/129'])(
    'refuses the range %s by name',
    (entry) => {
      expect(() => trustedProxies([entry])).toThrow(entry);
    },
  );
});
