import { WebSocket } from 'ws';
import { z } from 'zod';

const hello = z.object({ type: z.literal('hello'), epoch: z.string(), position: z.string() });

/** Where the service at `port` stands: the epoch and position of its `hello`. */
export function positionOf(port: number): Promise<{ readonly epoch: string; readonly position: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    socket.once('error', reject);
    socket.once('message', (data) => {
      socket.terminate();
      const read = hello.safeParse(JSON.parse(data.toString()));
      if (read.success) resolve(read.data);
      else reject(read.error);
    });
  });
}
