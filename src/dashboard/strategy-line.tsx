import type { Table } from '../client/connect.ts';
import { usePage, useTicking } from './page.ts';
import { span } from './time.ts';
import { isSignal, isUnconfirmed, signalAt } from './trust.ts';

export interface StrategyLineProps {
  readonly table: Table;
  readonly isLive: boolean;
}

/** What is known of a signal that nothing confirms: how old it is. */
export function useDoubt({ table, isLive }: StrategyLineProps): string | null {
  const { say } = usePage();
  return useTicking((now) => {
    if (!isSignal(table) || !isUnconfirmed(table, isLive, now)) return null;
    const at = signalAt(table);
    return at === null ? say('unconfirmedUndated') : say('unconfirmed', span(now - at));
  });
}

/** The state of a strategy with its suggestion and score; struck when nothing says that it still holds. */
export function StrategyLine({ table, isLive }: StrategyLineProps) {
  const { say } = usePage();
  const doubt = useDoubt({ table, isLive });
  const { estrategia } = table;
  if (!estrategia) return <p class="strategy none" />;
  const { estado, sugestao_display: suggestion, vitorias, derrotas } = estrategia;
  return (
    <p class={`strategy ${isSignal(table) ? 'signal' : ''} ${doubt === null ? '' : 'doubt'}`}>
      <span class={`badge ${estado.toLowerCase()}`}>{say(estado)}</span>
      {doubt === null ? (
        <span class="suggestion">{isSignal(table) ? suggestion : ''}</span>
      ) : (
        <>
          <s class="suggestion">{suggestion}</s>
          <span class="unconfirmed">{doubt}</span>
        </>
      )}
      <span class="score">
        <span class="won" title={say('wins')}>
          {say('winsShort', vitorias)}
        </span>{' '}
        <span class="lost" title={say('losses')}>
          {say('lossesShort', derrotas)}
        </span>
      </span>
    </p>
  );
}
