import type { ScriptedServer } from './conformance-server.ts';

export interface Stage {
  readonly server: ScriptedServer;
  /** Resolves once the client applied something at or above the position; rejects when it takes too long. */
  reached(position: string): Promise<void>;
  /** Resolves once the server answered more subscribes than before. */
  subscribed(before: number): Promise<void>;
}

export interface Scenario {
  readonly name: string;
  /** The rule of PROTOCOL.md that it tries. */
  readonly rule: string;
  /** How many snapshots are enough. */
  readonly snapshots: number;
  play(stage: Stage): Promise<void>;
}

/** The client has its first snapshot and an event, so that it has something to resume from. */
async function begin({ server, reached, subscribed }: Stage): Promise<void> {
  await subscribed(0);
  await reached(server.number());
}

/** Frames of a replay of three events: `hello`, the events, `subscribed`. */
const REPLAY_FRAMES = [1, 2, 3, 4, 5];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'live',
    rule: 'events are applied as they come',
    snapshots: 1,
    async play(stage) {
      await begin(stage);
      stage.server.sync();
      for (let left = 5; left > 0; left -= 1) await stage.reached(stage.server.number());
    },
  },
  {
    name: 'twice',
    rule: 'an event at or below the position is a repetition (section 4, 3)',
    snapshots: 1,
    async play(stage) {
      await begin(stage);
      for (let left = 3; left > 0; left -= 1) stage.server.number({ twice: true });
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'cut',
    rule: 'after a break the client resumes from its position, and misses nothing',
    snapshots: 1,
    async play(stage) {
      await begin(stage);
      stage.server.cut();
      stage.server.number();
      await stage.reached(stage.server.number());
      await stage.reached(stage.server.number());
    },
  },
  ...REPLAY_FRAMES.map(
    (frames): Scenario => ({
      name: `cut-at-frame-${frames}`,
      rule: 'a break within the answer to a subscribe starts over from what was applied (section 4, 8)',
      snapshots: 1,
      async play(stage) {
        await begin(stage);
        stage.server.cut();
        for (let left = 3; left > 0; left -= 1) stage.server.number();
        stage.server.cut(frames);
        await stage.reached(stage.server.number());
        await stage.reached(stage.server.number());
      },
    }),
  ),
  {
    name: 'cut-before-first-ack',
    rule: 'a snapshot without its `subscribed` moves no position (section 4, 2)',
    snapshots: 2,
    async play(stage) {
      stage.server.cut(2);
      await begin(stage);
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'gap',
    rule: 'an event whose `prev` the client does not have is not applied; it asks again (section 4, 4)',
    snapshots: 1,
    async play(stage) {
      await begin(stage);
      stage.server.number({ lost: true });
      stage.server.number();
      await stage.reached(stage.server.number());
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'reset',
    rule: 'a reset voids the topic until its snapshot, which sets the position',
    snapshots: 2,
    async play(stage) {
      await begin(stage);
      stage.server.reset();
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'owed',
    rule: 'a break between a reset and its snapshot is told with `owed`, and ends with a snapshot',
    snapshots: 2,
    async play(stage) {
      await begin(stage);
      stage.server.reset({ withheld: true });
      stage.server.cut();
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'too-old',
    rule: 'what cannot be replayed is replaced by a snapshot',
    snapshots: 2,
    async play(stage) {
      await begin(stage);
      stage.server.cut();
      stage.server.number();
      stage.server.forget();
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'epoch',
    rule: 'in another epoch positions begin anew, also below the old ones (section 4, 5)',
    snapshots: 2,
    async play(stage) {
      await begin(stage);
      const before = stage.server.subscribes;
      stage.server.restore();
      await stage.subscribed(before);
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'bye',
    rule: 'an announced end is followed by a new connection after `retry_ms`, and a replay',
    snapshots: 1,
    async play(stage) {
      await begin(stage);
      stage.server.bye(4200, 100);
      stage.server.number();
      await stage.reached(stage.server.number());
    },
  },
  {
    name: 'many-cuts',
    rule: 'breaks in quick succession lose nothing',
    snapshots: 1,
    async play(stage) {
      await begin(stage);
      for (let left = 4; left > 0; left -= 1) {
        stage.server.cut();
        await stage.reached(stage.server.number());
      }
    },
  },
];
