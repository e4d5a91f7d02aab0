import type { Collection } from 'mongodb';
import { z } from 'zod';
import { toProtocolError } from './errors.ts';
import type { Databases } from './places.ts';

/** A subject or a token whose holders are not to be let in, as it is stored. */
interface StoredDenial {
  readonly kind: 'sub' | 'jti';
  readonly value: string;
  readonly reason: string | null;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  readonly untilMs: number | null;
}

/** What operators have ordered, for every instance: who is denied, and when whose connections were to be closed. */
interface StandingOrders {
  readonly denials: readonly StoredDenial[];
  /** By subject: connections opened before this time are closed, milliseconds since 1970. */
  readonly removals: ReadonlyMap<string, number>;
}

/** The orders in the database; every change of them comes back by the stream. All reject with ProtocolError. */
export interface OrderStore {
  readOrders(): Promise<StandingOrders>;
  deny(denial: StoredDenial): Promise<void>;
  /** False when nothing was denied by this name. */
  allow(kind: StoredDenial['kind'], value: string): Promise<boolean>;
  orderRemoval(subject: string, atMs: number): Promise<void>;
}

/** Beside the epoch, in the one collection of this service that the stream watches. */
const META = '_rt_meta';
const DENY = 'deny:';
const REMOVE = 'remove:';

/** Past this an order to close has been followed by everybody who is there to follow it. */
const REMOVAL_KEPT_MS = 3600_000;

const denialDocument = z.object({
  kind: z.enum(['sub', 'jti']),
  value: z.string(),
  reason: z.string().nullable(),
  since: z.date(),
  until: z.date().nullable(),
});
const removalDocument = z.object({ value: z.string(), at: z.date() });

interface OrderDocument {
  readonly _id: string;
}

/** Text ids from `prefix` on and below its successor: a range of the `_id` index, without a regular expression. */
const beginningWith = (prefix: string) => ({ $gte: prefix, $lt: `${prefix.slice(0, -1)};` });

export function createOrders({ shared }: Databases): OrderStore {
  const orders: Collection<OrderDocument> = shared.collection<OrderDocument>(META, {
    readConcern: { level: 'majority' },
    readPreference: 'primary',
    writeConcern: { w: 'majority', j: true },
  });
  const mapped =
    (kind: 'read' | 'write') =>
    (cause: unknown): never => {
      throw toProtocolError(cause, kind);
    };
  const documents = async (prefix: string): Promise<unknown[]> =>
    await orders.find({ _id: beginningWith(prefix) }).toArray();

  return {
    async readOrders() {
      const [denied, removed] = await Promise.all([documents(DENY), documents(REMOVE)]).catch(mapped('read'));
      const denials = denied.flatMap((document): StoredDenial[] => {
        // Somebody else's document is no order.
        const { data } = denialDocument.safeParse(document);
        if (data === undefined) return [];
        const { since, until, ...rest } = data;
        return [{ ...rest, sinceMs: since.getTime(), untilMs: until?.getTime() ?? null }];
      });
      const removals = removed.flatMap((document): [string, number][] => {
        const { data } = removalDocument.safeParse(document);
        return data === undefined ? [] : [[data.value, data.at.getTime()]];
      });
      return { denials, removals: new Map(removals) };
    },
    async deny({ kind, value, reason, sinceMs, untilMs }) {
      const until = untilMs === null ? null : new Date(untilMs);
      await orders
        .updateOne(
          { _id: `${DENY}${kind}:${value}` },
          { $set: { kind, value, reason, since: new Date(sinceMs), until } },
          { upsert: true },
        )
        .catch(mapped('write'));
    },
    async allow(kind, value) {
      const { deletedCount } = await orders.deleteOne({ _id: `${DENY}${kind}:${value}` }).catch(mapped('write'));
      return deletedCount > 0;
    },
    async orderRemoval(subject, atMs) {
      const at = new Date(atMs);
      await orders
        .updateOne({ _id: `${REMOVE}${subject}` }, { $set: { value: subject, at } }, { upsert: true })
        .catch(mapped('write'));
      const old = new Date(atMs - REMOVAL_KEPT_MS);
      await orders.deleteMany({ _id: beginningWith(REMOVE), at: { $lt: old } }).catch(mapped('write'));
    },
  };
}
