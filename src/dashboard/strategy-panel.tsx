import { useEffect, useState } from 'preact/hooks';
import type { Table } from '../client/connect.ts';
import { isFields } from '../client/read.ts';
import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import type { Pockets } from './analysis.ts';
import { NumberChip } from './chip.tsx';
import { chanceOfBets, coveredBy, expectedBand, houseEdge, ratedSince } from './coverage.ts';
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

/** As many states as the store has of a table, newest first; null while they are read, and where the server has none. */
function useStoredTimeline(id: string, wanted: number): readonly StrategyItem[] | null {
  const { model } = usePage();
  const [stored, setStored] = useState<readonly StrategyItem[] | null>(null);
  useEffect(() => {
    let isOver = false;
    const read = async (): Promise<void> => {
      const answer = await model.ask(`/api/v1/tables/${encodeURIComponent(id)}/strategies?limit=${wanted}`);
      const list = isFields(answer) ? answer['estrategias'] : null;
      if (!isOver && Array.isArray(list)) setStored(list.filter(isStrategy));
    };
    read().catch((error: unknown) => console.warn(`no stored strategies: ${error}`));
    return () => {
      isOver = true;
    };
  }, [id, wanted, model.ask]);
  return stored;
}

/** What came live, before what the store had when the page asked. */
function timelineOf(live: readonly StrategyChange[], stored: readonly StrategyItem[]): readonly StrategyItem[] {
  const fresh = live.map(({ estrategia }) => estrategia);
  const times = new Set(fresh.map(({ timestamp }) => timestamp));
  return [...fresh, ...stored.filter(({ timestamp }) => !times.has(timestamp))];
}

interface HitRateProps {
  readonly timeline: readonly StrategyItem[];
  readonly estrategia: StrategyItem;
  readonly pockets: Pockets;
  /** The time of the oldest number of the window, ms since 1970. */
  readonly sinceMs: number;
}

/** How often a strategy was right over the window, beside what chance alone gives; over its whole life where the window has no bet. */
function HitRate({ timeline, estrategia, pockets, sinceMs }: HitRateProps) {
  const { say, language } = usePage();
  const { won, lost } = ratedSince(timeline, sinceMs);
  const isOfWindow = won + lost > 0;
  const hits = isOfWindow ? won : estrategia.vitorias;
  const played = isOfWindow ? won + lost : estrategia.vitorias + estrategia.derrotas;
  const label = say(isOfWindow ? 'rateOfWindow' : 'rateOf', hits, played);
  // Every bet of the window covers its own numbers; where there is none, the last one stands for them.
  const bets = (timeline.length > 0 ? timeline : [estrategia]).filter(
    ({ terminais_gatilho: terminals }) => terminals.length > 0,
  );
  const ofWindow = bets.filter(
    ({ estado, timestamp }) => estado === 'TRIGGER' && Date.parse(timestamp ?? '') >= sinceMs,
  );
  const counted = ofWindow.length > 0 ? ofWindow : bets.slice(0, 1);
  const covered = counted.map(({ terminais_gatilho: terminals }) => coveredBy(terminals).length);
  if (played === 0) return null;
  if (covered.length === 0) return <p>{label}</p>;
  const { numbers, chance } = chanceOfBets(covered, ATTEMPTS, pockets);
  return (
    <>
      <dl class="rate">
        <Share
          label={label}
          kind="won"
          part={hits}
          total={played}
          expected={chance}
          band={expectedBand(chance, played)}
        />
      </dl>
      <p class="note">{say('rateExpected', tenths(numbers, language), ATTEMPTS, tenths(100 * chance, language))}</p>
    </>
  );
}

interface StrategyPanelProps {
  readonly table: Table;
  readonly pockets: Pockets;
  /** The numbers of the window, newest first. */
  readonly numeros: readonly NumberItem[];
  /** How many numbers the window has room for: states come no oftener. */
  readonly wanted: number;
}

/** What a strategy covers and how often it was right, beside what chance alone would give, and its past. */
export function StrategyPanel({ table, pockets, numeros, wanted }: StrategyPanelProps) {
  const { model, say, language } = usePage();
  const stored = useStoredTimeline(table.id, wanted);
  const timeline = timelineOf(model.record.strategyChanges(table.id), stored ?? []);
  const { estrategia } = table;
  const active = estrategia ? coveredBy(estrategia.terminais_gatilho) : [];
  const sinceMs = Date.parse(numeros.at(-1)?.timestamp ?? '');
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
      {estrategia && <HitRate {...{ timeline, estrategia, pockets, sinceMs }} />}
      <p class="note">{say('houseEdge', tenths(100 * houseEdge(pockets), language))}</p>
      <h3>{say(stored === null ? 'sinceOpened' : 'strategyHistory')}</h3>
      <ol class="changes">
        {timeline.length === 0 && <li class="note">{say('noChanges')}</li>}
        {timeline.slice(0, TIMELINE).map((each) => (
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
