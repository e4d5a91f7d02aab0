import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** Where a connection comes from. */
export interface Address {
  /** As text, IPv4-mapped addresses as IPv4: for logs. */
  readonly text: string;
  /** What limits count by: the IPv4 address, or the /64 of an IPv6 address, since one visitor owns a whole /64. */
  readonly key: string;
}

const MAPPED = /^::ffff:(?:0:)?(\d+\.\d+\.\d+\.\d+)$/i;

/** The eight groups of an IPv6 address that `isIPv6` accepts. */
function groupsOf(text: string): string[] {
  const bare = text.split('%', 1)[0] ?? text;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  const whole = dotted
    ? `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
    : bare;
  const [head = '', tail] = whole.split('::', 2);
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...middle, ...right].map((group) => Number.parseInt(group, 16).toString(16));
}

/** Reads an address as a proxy writes it, with or without brackets or an IPv4 port; null when it is none. */
export function parseAddress(raw: string): Address | null {
  const text = raw.trim().replace(/^\[([^\]]*)\](?::\d+)?$/, '$1');
  const v4 = MAPPED.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/.exec(text)?.[1];
  if (v4 !== undefined) return isIPv4(v4) ? { text: v4, key: v4 } : null;
  if (!isIPv6(text)) return null;
  const groups = groupsOf(text);
  return { text: groups.join(':'), key: `${groups.slice(0, 4).join(':')}::/64` };
}

/** The address of a socket from its 4 or 16 bytes, as uWebSockets hands them out. */
export function addressOfBytes(bytes: Uint8Array): Address {
  if (bytes.length === 4) {
    const text = bytes.join('.');
    return { text, key: text };
  }
  const mapped = bytes.length === 16 && bytes.subarray(0, 12).every((byte, at) => byte === (at < 10 ? 0 : 255));
  if (mapped) return addressOfBytes(bytes.subarray(12));
  const groups: string[] = [];
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  }
  return parseAddress(groups.join(':')) ?? { text: 'unknown', key: 'unknown' };
}

/** The addresses and CIDR ranges of `TRUSTED_PROXIES`; throws RangeError naming the entry that is neither. */
export function trustedProxies(entries: readonly string[]): (address: Address) => boolean {
  const list = new BlockList();
  for (const entry of entries) {
    const [base = '', bits, extra] = entry.trim().split('/');
    const family = isIP(base) === 4 ? 'ipv4' : 'ipv6';
    const width = family === 'ipv4' ? 32 : 128;
    const prefix = bits === undefined ? width : Number(bits);
    const whole = Number.isInteger(prefix) && prefix >= 0 && prefix <= width && bits !== '';
    if (isIP(base) === 0 || extra !== undefined || !whole) {
      throw new RangeError(`"${entry}" is neither an address nor a range like 10.0.0.0/8`);
    }
    list.addSubnet(base, prefix, family);
  }
  return ({ text }) => isIP(text) !== 0 && list.check(text, isIPv4(text) ? 'ipv4' : 'ipv6');
}

/**
 * The visitor behind the proxies: `X-Forwarded-For` is read from its right end, and an entry counts only while
 * everything to its right is a trusted proxy. Anyone can write the rest of that header.
 */
export function visitorOf(peer: Address, forwardedFor: string, trusted: (address: Address) => boolean): Address {
  let visitor = peer;
  if (forwardedFor === '') return visitor;
  for (const entry of forwardedFor.split(',').reverse()) {
    if (!trusted(visitor)) return visitor;
    const next = parseAddress(entry);
    if (next === null) return visitor;
    visitor = next;
  }
  return visitor;
}
