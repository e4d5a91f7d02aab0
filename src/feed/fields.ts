/** A document as the driver decoded it. */
export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value if it is a document, else an empty one. */
export const fieldsOr = (value: unknown): Fields => (isFields(value) ? value : {});
