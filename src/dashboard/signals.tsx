import type { Table } from '../client/connect.ts';
import { CALLS, type Call, callsIn, canNotify, keepCall } from './calls.ts';
import { tableName } from './card.tsx';
import { NumberChip } from './chip.tsx';
import { coveredBy } from './coverage.ts';
import { memo, usePage, useTicking } from './page.ts';
import { tableLink } from './route.ts';
import { useDoubt } from './strategy-line.tsx';
import { span } from './time.ts';
import { isUnconfirmed, signalAt } from './trust.ts';

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

const CALL_WORDS = { sound: 'callSound', notify: 'callNotify', badge: 'callBadge' } as const;

/** How the reader wants to be told of new signals. */
function CallChoices() {
  const { memory, say, redraw } = usePage();
  const calls = callsIn(memory);
  const choose = async (call: Call, isWanted: boolean): Promise<void> => {
    const isAllowed = call !== 'notify' || !isWanted || (await Notification.requestPermission()) === 'granted';
    keepCall(memory, call, isWanted && isAllowed);
    redraw();
  };
  return (
    <details class="calls">
      <summary>{say('callMe')}</summary>
      {CALLS.map((call) => (
        <label key={call} class="check">
          <input
            type="checkbox"
            name={call}
            disabled={call === 'notify' && !canNotify()}
            checked={calls.has(call)}
            onChange={({ currentTarget }) => choose(call, currentTarget.checked)}
          />
          {say(CALL_WORDS[call])}
        </label>
      ))}
    </details>
  );
}

/** The signals of all tables, newest first, with every number that they cover. */
export function SignalBoard({ tables, isLive }: { readonly tables: readonly Table[]; readonly isLive: boolean }) {
  const { memory, say } = usePage();
  const doubted = useTicking((now) => tables.filter((table) => isUnconfirmed(table, isLive, now)).length);
  return (
    <details
      class="board"
      open={memory.get('board') !== 'closed'}
      onToggle={({ currentTarget }) => memory.set('board', currentTarget.open ? null : 'closed')}
    >
      <summary>
        <h2>
          {say('signals', tables.length - doubted)}
          {doubted > 0 && ` · ${say('doubtedSignals', doubted)}`}
        </h2>
      </summary>
      <ul>
        {tables.map((table) => (
          <Signal key={table.id} table={table} isLive={isLive} />
        ))}
      </ul>
      <CallChoices />
    </details>
  );
}
