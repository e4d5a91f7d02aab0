import { EVERYONE, type SubscriberLink } from '../protocol/delivery.ts';
import { ALL_TABLES, topicOf } from '../protocol/topic.ts';
import type { TableId } from '../roulette/table.ts';

/** The topics of one connection. */
export interface Membership {
  readonly tables: ReadonlySet<TableId>;
  /** Holds `roulette:*`, and no single table then. */
  readonly all: boolean;
  add(table: TableId): void;
  addAll(): void;
  /** False when it was not held. */
  remove(table: TableId): boolean;
  removeAll(): boolean;
  /** What goes to every subscribed connection is heard from the first topic on, until none is left. */
  settle(): void;
  /** Leaves everything, on a link that is gone. */
  end(): void;
}

/** Who hears which topic: whom resets and fresh snapshots must reach. */
export interface Audience {
  /** The topics that anyone hears. */
  topics(): Iterable<string>;
  has(topic: string): boolean;
  member(link: SubscriberLink): Membership;
}

export function createAudience(): Audience {
  const heard = new Map<string, number>();
  return {
    topics: () => [...heard.keys()].filter((topic) => topic !== EVERYONE),
    has: (topic) => heard.has(topic),
    member(link) {
      const tables = new Set<TableId>();
      let all = false;
      let everyone = false;
      const join = (topic: string): void => {
        link.join(topic);
        heard.set(topic, (heard.get(topic) ?? 0) + 1);
      };
      const leave = (topic: string): void => {
        link.leave(topic);
        const left = (heard.get(topic) ?? 1) - 1;
        if (left === 0) heard.delete(topic);
        else heard.set(topic, left);
      };
      const clear = (): void => {
        for (const table of tables) leave(topicOf(table));
        tables.clear();
      };
      const removeAll = (): boolean => {
        if (!all) return false;
        all = false;
        leave(ALL_TABLES);
        return true;
      };
      const settle = (): void => {
        const wanted = all || tables.size > 0;
        if (wanted === everyone) return;
        everyone = wanted;
        if (wanted) join(EVERYONE);
        else leave(EVERYONE);
      };
      return {
        tables,
        get all() {
          return all;
        },
        add(table) {
          if (all || tables.has(table)) return;
          tables.add(table);
          join(topicOf(table));
        },
        addAll() {
          clear();
          if (!all) join(ALL_TABLES);
          all = true;
        },
        remove(table) {
          if (!tables.delete(table)) return false;
          leave(topicOf(table));
          return true;
        },
        removeAll,
        settle,
        end() {
          clear();
          removeAll();
          settle();
        },
      };
    },
  };
}
