const WIDTH = 240;
const HEIGHT = 48;

interface SparkProps {
  readonly label: string;
  /** Newest last, evenly spaced; or with a place between 0 (left) and 1 (right) each. */
  readonly values: readonly number[];
  readonly places?: readonly number[];
}

/** A line of values, scaled to the largest; newest right. */
export function Spark({ label, values, places }: SparkProps) {
  // One value is a level line.
  const drawn = values.length === 1 ? [...values, ...values] : values;
  const most = Math.max(1, ...drawn);
  const placeOf = (at: number): number => (values.length === 1 ? at : (places?.[at] ?? at / (drawn.length - 1)));
  const points = drawn.map(
    (value, at) =>
      `${(placeOf(at) * WIDTH).toFixed(1)} ${(HEIGHT - 3 - (Math.max(0, value) / most) * (HEIGHT - 8)).toFixed(1)}`,
  );
  const left = (placeOf(0) * WIDTH).toFixed(1);
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path
        class="spark-area"
        d={points.length === 0 ? '' : `M${left} ${HEIGHT}L${points.join('L')}L${WIDTH} ${HEIGHT}Z`}
      />
      <path class="spark-line" d={points.length === 0 ? '' : `M${points.join('L')}`} />
    </svg>
  );
}
