import type { Table } from '../client/connect.ts';
import { tableName } from './card.tsx';
import { NumberChip } from './chip.tsx';
import { coveredBy } from './coverage.ts';
import { memo, usePage, useTicking } from './page.ts';
import { tableLink } from './route.ts';
import { useDoubt } from './strategy-line.tsx';
import { span } from './time.ts';
import { isSignal, signalAt } from './trust.ts';

/** Newest first; those without a time last. */
export const signalsOf = (tables: Iterable<Table>): Table[] =>
  [...tables].filter(isSignal).sort((a, b) => (signalAt(b) ?? 0) - (signalAt(a) ?? 0) || (a.id < b.id ? -1 : 1));

const Signal = memo(({ table, isLive }: { readonly table: Table; readonly isLive: boolean }) => {
  const { say } = usePage();
  const at = signalAt(table);
  const age = useTicking((now) => (at === null ? '' : say('ago', span(now - at))));
  const doubt = useDoubt({ table, isLive });
  const { estrategia } = table;
  if (!estrategia) return null;
  const covered = coveredBy(estrategia.terminais_gatilho).map((numero) => <NumberChip key={numero} numero={numero} />);
  return (
    <li class={`signal ${doubt === null ? '' : 'doubt'}`} data-signal={table.id}>
      <span class={`badge ${estrategia.estado.toLowerCase()}`}>{say(estrategia.estado)}</span>
      <a href={tableLink(table.id)}>{tableName(table)}</a>
      <span class="age">{doubt ?? age}</span>
      {doubt === null ? <span class="covered">{covered}</span> : <s class="covered">{covered}</s>}
    </li>
  );
});

/** The signals of all tables, newest first, with every number that they cover. */
export function SignalBoard({ tables, isLive }: { readonly tables: readonly Table[]; readonly isLive: boolean }) {
  const { memory, say } = usePage();
  if (tables.length === 0) return null;
  return (
    <details
      class="board"
      open={memory.get('board') !== 'closed'}
      onToggle={({ currentTarget }) => memory.set('board', currentTarget.open ? null : 'closed')}
    >
      <summary>
        <h2>{say('signals', tables.length)}</h2>
      </summary>
      <ul>
        {tables.map((table) => (
          <Signal key={table.id} table={table} isLive={isLive} />
        ))}
      </ul>
    </details>
  );
}
