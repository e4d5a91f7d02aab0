import type { Table } from '../client/connect.ts';
import { LastNumber, Strip } from './chip.tsx';
import { memo, usePage, useTicking } from './page.ts';
import { tableLink } from './route.ts';
import { StrategyLine } from './strategy-line.tsx';
import { freshnessOf, span } from './time.ts';
import { lastAt } from './trust.ts';

export const tableName = ({ id, nome }: Pick<Table, 'id' | 'nome'>): string => (nome === '' ? id : nome);

/** How long ago a table's last number came, in words that age by themselves; and whether it may have moved on since. */
export function Age({ table, prefix = '' }: { readonly table: Table; readonly prefix?: string }) {
  const { model, say } = usePage();
  const at = lastAt(table);
  const text = useTicking((now) => (at === null ? say('never') : say('ago', span(now - at))));
  const fresh = at === null ? 'silent' : freshnessOf(model.now() - at);
  return (
    <span class="age" data-fresh={fresh}>
      {prefix}
      {text}
      {table.stale && <span class="stale">{` · ${say('stale')}`}</span>}
    </span>
  );
}

export interface CardProps {
  readonly table: Table;
  /** Whether the page is connected and up to date. */
  readonly isLive: boolean;
  readonly landed: boolean;
  readonly pinned: boolean;
  readonly togglePin: (id: string) => void;
}

const STRIP = 15;

/** One table at a glance; the same parts lie in a card, and in one line of a dense list. */
export const Card = memo(({ table, isLive, landed, pinned, togglePin }: CardProps) => {
  const { say } = usePage();
  const name = tableName(table);
  const kinds = ['card', !isLive || table.stale ? 'doubt' : '', pinned ? 'pinned' : ''].filter(Boolean).join(' ');
  return (
    <article class={kinds} data-table={table.id}>
      <h2>
        <a href={tableLink(table.id)} title={`${name} · ${table.id}`}>
          {name}
        </a>
      </h2>
      <Age table={table} />
      <button
        type="button"
        class="pin"
        aria-pressed={pinned}
        aria-label={`${say(pinned ? 'unpin' : 'pin')}: ${name}`}
        onClick={() => togglePin(table.id)}
      />
      <LastNumber numeros={table.numeros} landed={landed} />
      <Strip numeros={table.numeros.slice(1, STRIP + 1)} label={say('lastNumbers')} />
      <StrategyLine table={table} isLive={isLive} />
    </article>
  );
});
