import { EVERYONE, type SubscriberLink } from '../protocol/delivery.ts';
import { ALL_TABLES, topicOf } from '../protocol/messages.ts';
import type { TableId } from '../roulette/table.ts';

/** The topics of one connection. */
export interface Membership {
  readonly tables: ReadonlySet<TableId>;
  /** Hears `roulette:*`, and no single table then. */
  readonly all: boolean;
  add(table: TableId): void;
  addAll(): void;
  /** False when it was not heard. */
  remove(table: TableId): boolean;
  removeAll(): boolean;
  /** What goes to every subscribed connection is heard from the first topic on, until none is left or waited for. */
  settle(isWaiting: boolean): void;
  /** Leaves everything, on a link that is gone. */
  end(): void;
}

/** Who hears which topic: whom resets and fresh snapshots must reach. */
interface Audience {
  /** The topics that anyone hears. */
  topics(): Iterable<string>;
  has(topic: string): boolean;
  /** How many connections hear it. */
  hearing(topic: string): number;
  /** Topics that connections hear: single tables, each as often as it is heard, and all tables at once. */
  subscriptions(): { readonly table: number; readonly all: number };
  member(link: SubscriberLink): Membership;
}

/** What all connections hear together. */
interface Heard {
  /** How many connections hear a topic that any does. */
  readonly topics: Map<string, number>;
  /** Single tables, each as often as it is heard. */
  tables: number;
}

/** One per connection, with methods that all of them share: closures would cost an idle one more than all else. */
class Member implements Membership {
  readonly tables = new Set<TableId>();
  readonly #heard: Heard;
  readonly #link: SubscriberLink;
  #all = false;
  #everyone = false;

  constructor(heard: Heard, link: SubscriberLink) {
    this.#heard = heard;
    this.#link = link;
  }

  get all(): boolean {
    return this.#all;
  }

  add(table: TableId): void {
    if (this.#all || this.tables.has(table)) return;
    this.tables.add(table);
    this.#heard.tables++;
    this.#join(topicOf(table));
  }

  addAll(): void {
    this.#clear();
    if (!this.#all) this.#join(ALL_TABLES);
    this.#all = true;
  }

  remove(table: TableId): boolean {
    if (!this.tables.delete(table)) return false;
    this.#heard.tables--;
    this.#leave(topicOf(table));
    return true;
  }

  removeAll(): boolean {
    if (!this.#all) return false;
    this.#all = false;
    this.#leave(ALL_TABLES);
    return true;
  }

  settle(isWaiting: boolean): void {
    const wanted = isWaiting || this.#all || this.tables.size > 0;
    if (wanted === this.#everyone) return;
    this.#everyone = wanted;
    if (wanted) this.#join(EVERYONE);
    else this.#leave(EVERYONE);
  }

  end(): void {
    this.#clear();
    this.removeAll();
    this.settle(false);
  }

  #clear(): void {
    for (const table of this.tables) this.#leave(topicOf(table));
    this.#heard.tables -= this.tables.size;
    this.tables.clear();
  }

  #join(topic: string): void {
    this.#link.join(topic);
    const { topics } = this.#heard;
    topics.set(topic, (topics.get(topic) ?? 0) + 1);
  }

  #leave(topic: string): void {
    this.#link.leave(topic);
    const { topics } = this.#heard;
    const left = (topics.get(topic) ?? 1) - 1;
    if (left === 0) topics.delete(topic);
    else topics.set(topic, left);
  }
}

export function createAudience(): Audience {
  const heard: Heard = { topics: new Map(), tables: 0 };
  return {
    topics: () => [...heard.topics.keys()].filter((topic) => topic !== EVERYONE),
    has: (topic) => heard.topics.has(topic),
    hearing: (topic) => heard.topics.get(topic) ?? 0,
    subscriptions: () => ({ table: heard.tables, all: heard.topics.get(ALL_TABLES) ?? 0 }),
    member: (link) => new Member(heard, link),
  };
}
