interface ChoiceProps {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly choose: (value: string) => void;
  readonly options: readonly (readonly [value: string, words: string])[];
}

/** One of several, by name. */
export const Choice = ({ id, label, value, choose, options }: ChoiceProps) => (
  <span class="pair">
    <label for={id}>{label}</label>
    <select id={id} value={value} onChange={({ currentTarget }) => choose(currentTarget.value)}>
      {options.map(([each, words]) => (
        <option key={each} value={each}>
          {words}
        </option>
      ))}
    </select>
  </span>
);
