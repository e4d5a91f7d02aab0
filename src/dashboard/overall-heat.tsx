import { useState } from 'preact/hooks';
import type { Table } from '../client/connect.ts';
import { statsOf } from '../roulette/stats.ts';
import { Ranked } from './figures.tsx';
import { usePage } from './page.ts';
import { tenths } from './time.ts';

const SHOWN = 8;

/** Numbers that came most and least often on all tables together, as far as each is known here. */
function Heat({ tables }: { readonly tables: ReadonlyMap<string, Table> }) {
  const { say, language } = usePage();
  const { numeros, total, casas } = statsOf(
    [...tables.values()].flatMap((table) => table.numeros.map(({ numero }) => numero)),
    null,
    null,
  );
  const hottest = [...numeros].sort((a, b) => b.vezes - a.vezes);
  const list = (ranked: typeof hottest) => (
    <ul class="ranked">
      {ranked.slice(0, SHOWN).map(({ numero, vezes }) => (
        <Ranked key={numero} numero={numero} note={`${vezes}×`} />
      ))}
    </ul>
  );
  return (
    <>
      <h3>{say('hot')}</h3>
      {list(hottest)}
      <h3>{say('cold')}</h3>
      {list(hottest.reverse())}
      <p class="note">{say('heatExpected', total.toLocaleString(language), tenths(total / casas, language))}</p>
    </>
  );
}

/** Hot and cold numbers over all tables; counted only while somebody looks. */
export function OverallHeat({ tables }: { readonly tables: ReadonlyMap<string, Table> }) {
  const { say } = usePage();
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="board overall" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        <h2>{say('overallHeat')}</h2>
      </summary>
      {isOpen && <Heat tables={tables} />}
    </details>
  );
}
