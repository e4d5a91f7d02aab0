import type { Address } from './address.ts';

/** How many connections of plain HTTP may be open. */
interface SocketLimits {
  /** Of one address; 0 is no limit. */
  readonly perAddress: number;
  /** Of all addresses together, and the WebSockets that are open beside them: these need descriptors too. */
  readonly all: number;
  readonly beside: { readonly websocket: number };
  /** Of these, the last ones answer only what operators ask: health, metrics, status. */
  readonly reserved: number;
}

/** Why a connection was cut before its first request. */
export type Cut = 'capacity' | 'address_capacity';

/** One request's connection, as far as its answer is concerned. */
export interface RequestSocket {
  /** Its address or the service has so many connections that this one ends with its answer. */
  readonly last: boolean;
  /** Only what operators ask is answered. */
  readonly reserved: boolean;
  /** The connection ends: it was closed with its answer, or its client left. Counted once. */
  ended(): void;
  /** It became a WebSocket, which is counted elsewhere. */
  upgraded(): void;
}

/**
 * Counts the connections of plain HTTP, from before their first request. The network says of each connection whose it is
 * when it opens, and only that some connection was closed when one closes. Closings that nobody knows are taken off all
 * addresses in proportion, which is right on average, and corrected by time: a connection that asks nothing for ten
 * seconds is closed by the network, so that an address never counts for more than it lately opened and asked.
 */
export interface Sockets {
  /** Null when the connection may stay, else why it is to be cut now; in a dry run it stays nevertheless. */
  opened(address: Address, dryRun?: boolean): Cut | null;
  closed(): void;
  request(address: Address): RequestSocket;
  /**
   * To be called about once a second; `now` is monotonic milliseconds. Gives the addresses that opened connections again
   * and again, and asked nothing that could be read: uWebSockets.js answers HTTP/1.0 itself, and tells nobody.
   */
  sweep(now: number): readonly string[];
  /** Open now, in all. */
  size(): number;
}

/** The connections of one address. */
interface Share {
  /** Open now, as far as that is known. */
  open: number;
  /** Of this period: openings, and requests that could be read. */
  opened: number;
  asked: number;
  /** Openings and requests, of this period and the one before. */
  recent: number;
  before: number;
}

/** Longer than the network waits for a request, with the coarseness of its timers. */
const PERIOD_MS = 16_000;

/** More than a balancer that only looks whether the port is open makes in a period. */
const MUTE_OPENINGS = 8;

/** From this part of its limit on, connections of an address end with their answers, so that they come to be known. */
const KEEP_ALIVE_SHARE = 0.75;

function release(share: Share): void {
  share.open = Math.max(0, share.open - 1);
}

/** Takes closings that nobody knows off all addresses, in proportion. */
function takeOff(shares: ReadonlyMap<string, Share>, closings: number): void {
  let total = 0;
  for (const share of shares.values()) total += share.open;
  const left = total === 0 ? 0 : Math.max(0, 1 - closings / total);
  for (const share of shares.values()) share.open *= left;
}

/** Begins to count anew, and forgets who has none any more. Gives those who only opened connections. */
function endPeriod(shares: Map<string, Share>): string[] {
  const mute: string[] = [];
  for (const [key, share] of shares) {
    share.open = Math.min(share.open, share.recent + share.before);
    if (share.opened >= MUTE_OPENINGS && share.asked === 0) mute.push(key);
    share.opened = 0;
    share.asked = 0;
    share.before = share.recent;
    share.recent = 0;
    if (share.open < 0.5 && share.before === 0) shares.delete(key);
  }
  return mute;
}

/** `isExempt` tells proxies, whose connections are those of many visitors. */
export function createSockets(limits: SocketLimits, isExempt: (address: Address) => boolean, started: number): Sockets {
  const shares = new Map<string, Share>();
  let open = 0;
  /** Closings that belong to nobody yet; below zero while known ones are still to be reported. */
  let unknown = 0;
  let periodAt = started;
  const room = (): number => limits.all - limits.beside.websocket;

  function shareOf(key: string): Share {
    const share = shares.get(key) ?? { open: 0, opened: 0, asked: 0, recent: 0, before: 0 };
    shares.set(key, share);
    return share;
  }

  function settle(): void {
    if (unknown <= 0) return;
    takeOff(shares, unknown);
    unknown = 0;
  }

  function isFull(share: Share): boolean {
    if (limits.perAddress === 0 || share.open <= limits.perAddress) return false;
    settle();
    share.open = Math.min(share.open, share.recent + share.before);
    return share.open > limits.perAddress;
  }

  return {
    opened(address, dryRun = false) {
      open += 1;
      const share = shareOf(address.key);
      share.open += 1;
      share.opened += 1;
      share.recent += 1;
      const cut = open > room() ? 'capacity' : !isExempt(address) && isFull(share) ? 'address_capacity' : null;
      if (cut !== null && !dryRun) {
        release(share);
        unknown -= 1;
      }
      return cut;
    },
    closed() {
      open -= 1;
      unknown += 1;
    },
    request(address) {
      const share = shareOf(address.key);
      share.asked += 1;
      share.recent += 1;
      const crowded = limits.perAddress > 0 && share.open > limits.perAddress * KEEP_ALIVE_SHARE;
      const reserved = open > room() - limits.reserved;
      let over = false;
      return {
        last: reserved || (crowded && !isExempt(address)),
        reserved,
        ended() {
          if (over) return;
          over = true;
          release(share);
          unknown -= 1;
        },
        upgraded() {
          if (over) return;
          over = true;
          open -= 1;
          release(share);
        },
      };
    },
    sweep(now) {
      settle();
      if (now - periodAt < PERIOD_MS) return [];
      periodAt = now;
      return endPeriod(shares);
    },
    size: () => open,
  };
}

/** Where nobody counts: routes without a gateway around them. */
export const UNCOUNTED: Pick<Sockets, 'request'> = {
  request: () => ({ last: false, reserved: false, ended: () => undefined, upgraded: () => undefined }),
};
