import type { Document } from 'bson';
import type { CursorSource } from '../cursors.ts';
import type { Collection } from '../storage/collection.ts';
import type { CommandContext } from './command.ts';
import type { FindRequest } from './find-source.ts';
import { pipelineSource } from './pipeline.ts';

/** A find over a view, as the aggregation that it stands for. */
export function viewSource(context: CommandContext, view: Collection, request: FindRequest): Promise<CursorSource> {
  const stages: Document[] = [{ $match: request.filter }];
  if (request.sort !== undefined) stages.push({ $sort: request.sort });
  if (request.skip > 0) stages.push({ $skip: request.skip });
  if (Number.isFinite(request.limit)) stages.push({ $limit: request.limit });
  if (request.projection !== undefined && Object.keys(request.projection).length > 0)
    stages.push({ $project: request.projection });
  return pipelineSource(context, view.name, stages);
}
