/** The topic of all tables, also those that appear later. */
export const ALL_TABLES = 'roulette:*';

const PREFIX = 'roulette:';

/** The topic of one table, from its canonical id. */
export const topicOf = (tableId: string): string => PREFIX + tableId;

/**
 * What a subscriber wrote after `roulette:`: an id, prefixed id, UUID or name, not resolved yet, or `*`.
 * Null when the text is no roulette topic or names nothing.
 */
export function tableReference(topic: string): string | null {
  if (!topic.startsWith(PREFIX)) return null;
  const reference = topic.slice(PREFIX.length).trim();
  return reference === '' ? null : reference;
}
