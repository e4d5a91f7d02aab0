import { type Goal, isReached, type Outcome } from './outcome.ts';

/**
 * What cannot be right, in words: nothing measured, a figure that is no number, a loss where none is allowed. What a
 * contender loses or repeats is its own result; `runcash-live` may lose and repeat nothing.
 */
export function saneProblems(bench: string, { samples }: Outcome): string[] {
  if (samples.length === 0) return [`${bench}: nothing was measured`];
  return samples.flatMap(({ variant, setting, figures, lost, repeated, disordered }) => {
    const where = `${bench}, ${setting}, ${variant}`;
    const found = Object.entries(figures)
      .filter(([, value]) => !Number.isFinite(value))
      .map(([name, value]) => `${where}: ${name} is ${value}`);
    const isOurs = variant.startsWith('runcash-live');
    if (isOurs && lost + repeated + disordered > 0) {
      found.push(`${where}: ${lost} lost, ${repeated} repeated, ${disordered} out of order`);
    }
    return found;
  });
}

/** The goals that are missed, in words. */
export const missed = (bench: string, goals: readonly Goal[]): string[] =>
  goals
    .filter((goal) => isReached(goal) === false)
    .map(({ words, value, limit }) => `${bench}: ${words}: ${value?.toFixed(2)} passes the limit of ${limit}`);
