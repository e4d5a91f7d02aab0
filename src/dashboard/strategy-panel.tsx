import { useEffect, useState } from 'preact/hooks';
import type { Table } from '../client/connect.ts';
import { isFields } from '../client/read.ts';
import type { StrategyItem } from '../protocol/messages.ts';
import type { Pockets } from './analysis.ts';
import { NumberChip } from './chip.tsx';
import { chanceOf, coveredBy, expectedBand, houseEdge } from './coverage.ts';
import { Share } from './figures.tsx';
import { usePage } from './page.ts';
import type { StrategyChange } from './server-record.ts';
import { StrategyLine } from './strategy-line.tsx';
import { tenths } from './time.ts';

/** A bet and its second attempt, the gale. */
const ATTEMPTS = 2;
const TIMELINE = 50;

const isStrategy = (value: unknown): value is StrategyItem =>
  isFields(value) && typeof value['estado'] === 'string' && Array.isArray(value['terminais_gatilho']);

/** The states that the store has of a table, newest first; null while they are read, and where the server has none. */
function useStoredTimeline(id: string): readonly StrategyItem[] | null {
  const { model } = usePage();
  const [stored, setStored] = useState<readonly StrategyItem[] | null>(null);
  useEffect(() => {
    let isOver = false;
    const read = async (): Promise<void> => {
      const answer = await model.ask(`/api/v1/tables/${id}/strategies?limit=${TIMELINE}`);
      const list = isFields(answer) ? answer['estrategias'] : null;
      if (!isOver && Array.isArray(list)) setStored(list.filter(isStrategy));
    };
    read().catch((error: unknown) => console.warn(`no stored strategies: ${error}`));
    return () => {
      isOver = true;
    };
  }, [id, model.ask]);
  return stored;
}

/** What came live, before what the store had when the page asked. */
function timelineOf(live: readonly StrategyChange[], stored: readonly StrategyItem[]): readonly StrategyItem[] {
  const fresh = live.map(({ estrategia }) => estrategia);
  const times = new Set(fresh.map(({ timestamp }) => timestamp));
  return [...fresh, ...stored.filter(({ timestamp }) => !times.has(timestamp))].slice(0, TIMELINE);
}

/** What a strategy covers and how often it was right, beside what chance alone would give, and its past. */
export function StrategyPanel({ table, pockets }: { readonly table: Table; readonly pockets: Pockets }) {
  const { model, say, language } = usePage();
  const stored = useStoredTimeline(table.id);
  const timeline = timelineOf(model.strategyChanges(table.id), stored ?? []);
  const { estrategia } = table;
  // Between two signals the last one tells how many numbers are bet on.
  const terminals = [estrategia, ...timeline].find((each) => (each?.terminais_gatilho.length ?? 0) > 0);
  const covered = coveredBy(terminals?.terminais_gatilho ?? []);
  const active = estrategia ? coveredBy(estrategia.terminais_gatilho) : [];
  const played = (estrategia?.vitorias ?? 0) + (estrategia?.derrotas ?? 0);
  const chance = chanceOf(covered.length, ATTEMPTS, pockets);
  return (
    <>
      <StrategyLine table={table} isLive={model.isLive} />
      {!estrategia && <p class="note">{say('noStrategy')}</p>}
      {active.length > 0 && (
        <dl class="trigger-facts">
          <dt>{say('trigger')}</dt>
          <dd>
            {estrategia && estrategia.numero_gatilho >= 0 ? <NumberChip numero={estrategia.numero_gatilho} /> : '–'}
          </dd>
          <dt>{say('terminals')}</dt>
          <dd>{estrategia?.terminais_gatilho.join(', ')}</dd>
          <dt>{say('covered', active.length)}</dt>
          <dd class="covered">
            {active.map((numero) => (
              <NumberChip key={numero} numero={numero} />
            ))}
          </dd>
        </dl>
      )}
      {played > 0 && covered.length === 0 && <p>{say('rateOf', estrategia?.vitorias ?? 0, played)}</p>}
      {played > 0 && covered.length > 0 && (
        <dl class="rate">
          <Share
            label={say('rateOf', estrategia?.vitorias ?? 0, played)}
            kind="won"
            part={estrategia?.vitorias ?? 0}
            total={played}
            expected={chance}
            band={expectedBand(chance, played)}
          />
        </dl>
      )}
      {played > 0 && covered.length > 0 && (
        <p class="note">{say('rateExpected', covered.length, ATTEMPTS, tenths(100 * chance, language))}</p>
      )}
      <p class="note">{say('houseEdge', tenths(100 * houseEdge(pockets), language))}</p>
      <h3>{say(stored === null ? 'sinceOpened' : 'strategyHistory')}</h3>
      <ol class="changes">
        {timeline.length === 0 && <li class="note">{say('noChanges')}</li>}
        {timeline.map((each) => (
          <li key={`${each.timestamp} ${each.estado}`}>
            <time>{each.timestamp === null ? '–' : new Date(each.timestamp).toLocaleString(language)}</time>
            <span class={`badge ${each.estado.toLowerCase()}`}>{say(each.estado)}</span>
            <span>{each.terminais_gatilho.join(', ')}</span>
            <span>{`${say('winsShort', each.vitorias)} ${say('lossesShort', each.derrotas)}`}</span>
          </li>
        ))}
      </ol>
    </>
  );
}
