import type { Document } from 'bson';
import { addRule, applyTree, newTree } from './projection-tree.ts';

/** Sets a dotted path, as `$addFields` would. */
export function fieldSetter(path: string): (document: Document, value: unknown) => Document {
  let current: unknown;
  const tree = newTree();
  addRule(tree, path, { kind: 'compute', expression: () => current });
  return (document, value) => {
    current = value;
    return applyTree(tree, document, 'keep', { root: document, current: document, slots: [] });
  };
}
