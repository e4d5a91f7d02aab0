import { useEffect, useRef, useState } from 'preact/hooks';
import type { Table } from '../client/connect.ts';
import { Card, tableName } from './card.tsx';
import { Choice } from './choice.tsx';
import { NoTables } from './connection-bar.tsx';
import { OverallHeat } from './overall-heat.tsx';
import { replaceQuery, useKeptFocus, usePage, useTitle } from './page.ts';
import type { PageRoute } from './route.ts';
import { SignalBoard } from './signals.tsx';
import { isSignal, lastAt, signalsOf } from './trust.ts';

const ORDERS = ['name', 'recent', 'activity'] as const;
type Order = (typeof ORDERS)[number];
const ORDER_WORDS = { name: 'sortName', recent: 'sortRecent', activity: 'sortActivity' } as const;

/** Cards change their places at most this often, and never under the pointer or the focus. */
const REORDER_MS = 4_000;
const ACTIVITY_MS = 600_000;
/** Narrower screens begin with one line per table. */
const PHONE = '(max-width: 46rem)';

/** Letters without accents, so that `turkce` finds `Türkçe`. */
const plain = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

const activityOf = (table: Table, now: number): number =>
  table.numeros.filter((item) => now - Date.parse(item.timestamp) < ACTIVITY_MS).length;

/** The ids of all tables in the order to show them; moved only when nobody is about to click one in `cells`. */
function useOrder(order: Order, pins: ReadonlySet<string>) {
  const { model, language } = usePage();
  const cells = useRef<HTMLDivElement>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (order === 'name') return;
    const timer = setInterval(() => {
      const { current } = cells;
      if (!current?.matches(':hover') && !current?.contains(document.activeElement)) setTurn((turns) => turns + 1);
    }, REORDER_MS);
    return () => clearInterval(timer);
  }, [order]);
  const tables = [...model.tables.values()];
  const known = tables.map(({ id, nome }) => `${id} ${nome}`);
  const key = [language, order, turn, ...pins, '', ...known].join('\n');
  const sorted = useRef({ key: '', ids: [] as readonly string[] });
  if (sorted.current.key !== key) sorted.current = { key, ids: idsInOrder(tables, order, pins, language, model.now()) };
  return { ids: sorted.current.ids, cells };
}

/** Pinned tables first, then by the wanted order, then by name as people count: 2 before 10. */
function idsInOrder(
  tables: readonly Table[],
  order: Order,
  pins: ReadonlySet<string>,
  language: string,
  now: number,
): string[] {
  const { compare } = new Intl.Collator(language, { numeric: true, sensitivity: 'base' });
  const rank: Readonly<Record<Order, (table: Table) => number>> = {
    name: () => 0,
    recent: (table) => -(lastAt(table) ?? 0),
    activity: (table) => -activityOf(table, now),
  };
  return tables
    .map((table) => ({
      id: table.id,
      name: tableName(table),
      first: pins.has(table.id) ? 0 : 1,
      at: rank[order](table),
    }))
    .sort((a, b) => a.first - b.first || a.at - b.at || compare(a.name, b.name) || (a.id < b.id ? -1 : 1))
    .map(({ id }) => id);
}

/** Tables that the reader pinned; kept between visits. */
function usePins(): [ReadonlySet<string>, (id: string) => void] {
  const { memory } = usePage();
  const [pins, setPins] = useState<ReadonlySet<string>>(
    // An id may contain anything but spaces.
    () => new Set((memory.get('pins') ?? '').split(' ').filter((id) => id !== '')),
  );
  const toggle = useRef((id: string): void =>
    setPins((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      memory.set('pins', [...next].join(' '));
      return next;
    }),
  );
  return [pins, toggle.current];
}

interface ToolbarProps extends Pick<PageRoute, 'query'> {
  readonly order: Order;
  readonly density: string;
  /** How many tables are shown, of how many. */
  readonly count: string;
}

/** Order, density and filter; the first two are remembered. */
function OptionFields({ query, order, density }: Omit<ToolbarProps, 'count'>) {
  const { memory, say } = usePage();
  const keep = (name: string, key: string) => (value: string) => {
    memory.set(key, value);
    replaceQuery({ [name]: value });
  };
  return (
    <>
      <Choice
        id="sort"
        label={say('sort')}
        value={order}
        choose={keep('ordem', 'order')}
        options={ORDERS.map((each) => [each, say(ORDER_WORDS[each])])}
      />
      <Choice
        id="density"
        label={say('density')}
        value={density}
        choose={keep('ver', 'density')}
        options={[
          ['cartoes', say('asCards')],
          ['linhas', say('asRows')],
        ]}
      />
      <label class="check" for="signals">
        <input
          type="checkbox"
          id="signals"
          checked={query.get('sinal') === '1'}
          onChange={({ currentTarget }) => replaceQuery({ sinal: currentTarget.checked ? '1' : '' })}
        />
        {say('onlySignals')}
      </label>
    </>
  );
}

/** Search, order, density and filter: what is chosen is in the address. Phones show all but the search when asked. */
function Toolbar({ query, order, density, count }: ToolbarProps) {
  const { say } = usePage();
  const [isOpen, setOpen] = useState(false);
  return (
    <div class="toolbar">
      <input
        type="search"
        id="search"
        placeholder={say('search')}
        aria-label={say('search')}
        autocomplete="off"
        value={query.get('q') ?? ''}
        onInput={({ currentTarget }) => replaceQuery({ q: currentTarget.value })}
      />
      <button
        type="button"
        class="more"
        aria-expanded={isOpen}
        aria-controls="options"
        onClick={() => setOpen(!isOpen)}
      >
        {say('options')}
      </button>
      <div id="options" class={`options ${isOpen ? 'open' : ''}`}>
        <OptionFields {...{ query, order, density }} />
      </div>
      <span class="count" role="status">
        {count}
      </span>
    </div>
  );
}

/** All tables at a glance. Search, filter, order and density are in the address. */
export function Grid({ query }: Pick<PageRoute, 'query'>) {
  const { model, memory, say } = usePage();
  useTitle(say('tables'));
  const [pins, togglePin] = usePins();
  useKeptFocus();
  const wanted = query.get('ordem') ?? memory.get('order');
  const order = ORDERS.find((each) => each === wanted) ?? 'name';
  const density = query.get('ver') ?? memory.get('density') ?? (matchMedia(PHONE).matches ? 'linhas' : 'cartoes');
  const asked = plain((query.get('q') ?? '').trim());
  const onlySignals = query.get('sinal') === '1';
  const { ids, cells } = useOrder(order, pins);

  const { tables, isLive } = model;
  const shown = ids
    .flatMap((id) => tables.get(id) ?? [])
    .filter((table) => asked === '' || plain(table.nome).includes(asked) || plain(table.id).includes(asked))
    .filter((table) => !onlySignals || isSignal(table));

  return (
    <section class="grid-view" aria-label={say('tables')}>
      <h1 class="unseen">{say('tables')}</h1>
      <Toolbar query={query} order={order} density={density} count={`${shown.length}/${tables.size}`} />
      {tables.size > 0 && (
        <>
          <SignalBoard tables={signalsOf(tables.values())} isLive={isLive} />
          <OverallHeat tables={tables} />
        </>
      )}
      {tables.size === 0 ? <NoTables /> : shown.length === 0 && <p class="empty">{say('noMatch')}</p>}
      <div class={density === 'linhas' ? 'rows' : 'cards'} ref={cells}>
        {shown.map((table) => (
          <Card
            key={table.id}
            table={table}
            isLive={isLive}
            landed={model.record.hasLanded(table)}
            pinned={pins.has(table.id)}
            togglePin={togglePin}
          />
        ))}
      </div>
    </section>
  );
}
