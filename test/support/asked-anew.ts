import { get } from 'node:http';
import { json } from 'node:stream/consumers';

/** Asked on a connection of its own, which the system gives to any of the workers. */
export const askedAnew = (url: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    get(url, { agent: false }, (answer) => json(answer).then(resolve, reject)).on('error', reject);
  });
