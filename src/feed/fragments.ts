import { type Fields, isFields } from './fields.ts';

/** Joins the fragments that `$changeStreamSplitLargeEvent` makes of one event; other events pass as they are. */
export interface FragmentJoiner {
  /** The whole event, or null while fragments of it are missing. Fragments of an event that was cut off are dropped. */
  add(event: Fields): Fields | null;
}

export function createFragmentJoiner(): FragmentJoiner {
  let parts: Fields[] = [];
  return {
    add(event) {
      const split = event['splitEvent'];
      if (!isFields(split)) {
        if (parts.length > 0) parts = [];
        return event;
      }
      const fragment = Number(split['fragment']);
      if (fragment !== parts.length + 1) parts = [];
      if (fragment === parts.length + 1) parts.push(event);
      if (fragment !== Number(split['of']) || parts.length !== fragment) return null;
      // The first fragment's token stands for the event: all of them name the same place.
      const whole = Object.assign({}, ...parts, { _id: parts[0]?.['_id'] });
      parts = [];
      return isFields(whole) ? whole : null;
    },
  };
}
