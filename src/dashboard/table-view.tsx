import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { NumberItem, Subscription, Table } from '../client/connect.ts';
import { DOUBLE_ZERO } from '../roulette/wheel.ts';
import { joinHistory, neighboursOf, type Pockets } from './analysis.ts';
import { Age, tableName } from './card.tsx';
import { LastNumber, Strip } from './chip.tsx';
import { Choice } from './choice.tsx';
import { NoTables } from './connection-bar.tsx';
import { coveredBy } from './coverage.ts';
import { downloadCsv, downloadPng } from './download.ts';
import { Figures } from './figures.tsx';
import { replaceQuery, usePage, useTitle } from './page.ts';
import { type PageRoute, tableLink } from './route.ts';
import { StrategyPanel } from './strategy-panel.tsx';
import { Layout, Wheel } from './wheel.tsx';

const WINDOWS = [50, 100, 200, 500, 1000] as const;
const MOST = 1000;
const FALLBACK_WINDOW = 200;
/** What the connection itself keeps of a table; more is read over HTTP. */
const LIVE_HISTORY = 200;
/** So many neighbours of a number on either side. */
const NEIGHBOURS = 2;

const Panel = ({ title, kind, children }: { title: string; kind: string; children: ComponentChildren }) => (
  <section class={`panel ${kind}`}>
    <h2>{title}</h2>
    {children}
  </section>
);

/** Follows what the address names: an id in any spelling, a UUID, or a name. Null when that is no reference at all. */
function useFollowed(reference: string): Subscription | null {
  const { model } = usePage();
  const followed = useMemo(() => model.follow(reference), [model, reference]);
  useEffect(() => () => followed?.unsubscribe(), [followed]);
  return followed;
}

/** The last numbers of a table, `wanted` of them where there are so many; older ones are read once, and kept. */
function useHistory(table: Table, wanted: number) {
  const [older, setOlder] = useState<readonly NumberItem[]>([]);
  const kept = useRef<readonly NumberItem[]>([]);
  const latest = useRef(table);
  latest.current = table;
  const lacks = wanted > LIVE_HISTORY && table.numeros.length >= LIVE_HISTORY && older.length < wanted - LIVE_HISTORY;
  useEffect(() => {
    if (!lacks) return;
    let isOver = false;
    const read = async (): Promise<void> => {
      for await (const page of latest.current.older(wanted)) {
        if (!isOver) setOlder(page);
        return;
      }
    };
    read().catch((error: unknown) => console.warn(`no older numbers: ${error}`));
    return () => {
      isOver = true;
    };
  }, [lacks, wanted]);
  return useMemo(() => {
    // Numbers that the live list has dropped since stay in the middle.
    kept.current = joinHistory(table.numeros, joinHistory(kept.current, older)).slice(0, MOST);
    return kept.current.slice(0, wanted);
  }, [table.numeros, older, wanted]);
}

interface HeadProps {
  readonly table: Table;
  /** What is seen of its numbers, newest first. */
  readonly numeros: readonly NumberItem[];
  readonly wanted: number;
}

/** The last number of a table, its name, the window that is looked at, and what hands it out. */
function TableHead({ table, numeros, wanted }: HeadProps) {
  const { model, say, language, announce } = usePage();
  const name = tableName(table);
  const landed = model.record.hasLanded(table);
  const [newest] = table.numeros;
  useTitle(name);
  const told = landed && newest ? say('newNumber', name, newest.rotulo ?? newest.numero, say(newest.cor)) : '';
  useEffect(() => {
    if (told !== '') announce(told);
  }, [told, announce]);
  return (
    <header class="table-head">
      <LastNumber numeros={table.numeros} landed={landed} />
      <div>
        <h1>{name}</h1>
        <Age table={table} prefix={`${table.id} · `} />
      </div>
      <Choice
        id="window"
        label={say('window')}
        value={String(wanted)}
        choose={(value) => replaceQuery({ n: value })}
        options={WINDOWS.map((each) => [String(each), each.toLocaleString(language)])}
      />
      <button type="button" onClick={() => downloadCsv(name, numeros)}>
        CSV
      </button>
      <button type="button" onClick={() => downloadPng(`${name} · ${say('historyOf', numeros.length)}`, numeros)}>
        PNG
      </button>
    </header>
  );
}

/** How often each number came, by number. */
function countsOf(numbers: readonly number[], pockets: Pockets): readonly number[] {
  const counts: number[] = Array(pockets).fill(0);
  for (const numero of numbers) counts[numero] = (counts[numero] ?? 0) + 1;
  return counts.slice(0, pockets);
}

interface TableProps {
  readonly table: Table;
  readonly query: URLSearchParams;
}

const NONE: readonly number[] = [];

/** One table in full: its last numbers, where they fell, and its strategy. */
function WholeTable({ table, query }: TableProps) {
  const { model, say } = usePage();
  const wanted = WINDOWS.find((each) => String(each) === query.get('n')) ?? FALLBACK_WINDOW;
  const numeros = useHistory(table, wanted);
  const numbers = useMemo(() => numeros.map(({ numero }) => numero), [numeros]);
  const pockets: Pockets = table.duploZero || numbers.includes(DOUBLE_ZERO) ? 38 : 37;
  const counts = useMemo(() => countsOf(numbers, pockets), [numbers, pockets]);
  const terminals = table.estrategia?.terminais_gatilho;
  const covered = useMemo(() => coveredBy(terminals ?? []), [terminals]);
  const [asked, ask] = useState<number | null>(null);
  const last = table.numeros[0]?.numero ?? null;
  const around = asked ?? last;
  const near = useMemo(() => (around === null ? NONE : neighboursOf(around, NEIGHBOURS, pockets)), [around, pockets]);
  const places = { counts, last, covered, pockets };
  return (
    <div class={!model.isLive || table.stale ? 'doubt' : ''}>
      <TableHead {...{ table, numeros, wanted }} />
      <div class="table-panels">
        <Panel title={say('wheel')} kind="on-wheel">
          <Wheel {...places} near={asked === null ? NONE : near} />
        </Panel>
        <Panel title={say('strategy')} kind="of-strategy">
          <StrategyPanel {...{ table, pockets, numeros, wanted }} />
        </Panel>
        <Panel title={say('layout')} kind="on-layout">
          <Layout {...places} ask={ask} />
          <p class="note">{say('askNeighbours')}</p>
        </Panel>
        <Panel title={say('summary')} kind="in-figures">
          <Figures {...{ numbers, pockets, around, near }} />
        </Panel>
        <Panel title={say('history')} kind="as-history">
          <p class="note">{say('historyOf', numbers.length)}</p>
          <Strip numeros={numeros} label={say('history')} />
        </Panel>
      </div>
    </div>
  );
}

/** What the address names: one table, a choice between several of one name, or nothing that this server has. */
export function TableView({ reference, query }: Pick<PageRoute, 'reference' | 'query'>) {
  const { model, say } = usePage();
  const followed = useFollowed(reference);
  const tables = [...(followed?.tables.values() ?? [])];
  const [table] = tables;
  return (
    <section class="table-view" aria-label={say('table')}>
      <p class="back">
        <a href="#/">{`← ${say('back')}`}</a>
      </p>
      {table !== undefined && tables.length === 1 && <WholeTable key={table.id} table={table} query={query} />}
      {tables.length > 1 && (
        <>
          <h1>{say('severalTables', reference)}</h1>
          <ul class="several">
            {tables.map((each) => (
              <li key={each.id}>
                <a href={tableLink(each.id)}>{`${tableName(each)} · ${each.id}`}</a>
              </li>
            ))}
          </ul>
        </>
      )}
      {table === undefined &&
        (model.isLive || followed === null ? (
          <div class="empty">
            <h1>{say('unknownTable')}</h1>
            <p>{reference}</p>
          </div>
        ) : (
          <NoTables />
        ))}
    </section>
  );
}
