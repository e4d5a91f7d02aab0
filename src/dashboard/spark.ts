import { s } from './dom.ts';

const WIDTH = 240;
const HEIGHT = 48;

/** A line of the last values, scaled to the largest; newest right. */
export function createSpark(label: string) {
  const line = s('path', { class: 'spark-line' });
  const area = s('path', { class: 'spark-area' });
  const element = s(
    'svg',
    {
      class: 'spark',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': label,
    },
    area,
    line,
  );
  return {
    element,
    update(given: readonly number[]): void {
      // One value is a level line.
      const values = given.length === 1 ? [...given, ...given] : given;
      const most = Math.max(1, ...values);
      const step = WIDTH / Math.max(1, values.length - 1);
      const points = values.map(
        (value, at) =>
          `${(at * step).toFixed(1)} ${(HEIGHT - 3 - (Math.max(0, value) / most) * (HEIGHT - 8)).toFixed(1)}`,
      );
      line.setAttribute('d', points.length === 0 ? '' : `M${points.join('L')}`);
      area.setAttribute('d', points.length === 0 ? '' : `M0 ${HEIGHT}L${points.join('L')}L${WIDTH} ${HEIGHT}Z`);
    },
  };
}
