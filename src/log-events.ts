/**
 * Every event that a log line may name, and what it says. Closed, so that alerts and searches can rely on the names; a
 * test compares this list with the calls in the code.
 */
export const LOG_EVENTS = {
  starting: 'The process begins; version, Node, configuration in brief.',
  config_note: 'Something in the configuration that an operator should read.',
  mongo_chosen: 'Which MongoDB is used, in words.',
  listening: 'The port is open.',
  ready: 'Caught up with the database; subscribers are served.',
  stopping: 'A signal asked for the end; clients are sent away over the drain time.',
  stopped: 'Everything is closed.',
  failed: 'The process cannot go on; it exits with an error.',
  log_level: 'The level of this log changed while running.',
} as const satisfies Readonly<Record<string, string>>;

export type LogEvent = keyof typeof LOG_EVENTS;
