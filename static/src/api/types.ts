/** The resources of `/api/v1`; the feed carries the same objects. Times are ISO 8601, UTC. */

export type RetrievalStatus = "pending" | "retrieving" | "completed" | "failed" | "gone";
export type PhotoSource = "uploaded" | "generated" | "mirrored" | "imported";
export type StepStatus = "pending" | "processing" | "completed" | "failed" | "canceled";
export type ItemStatus = "pending" | "in_progress" | "waiting" | "completed" | "failed" | "canceled" | "gone";
export type BackendState = "connected" | "connecting" | "unreachable" | "unauthorized" | "disabled";

export interface Photo {
  id: string;
  filename: string;
  width: number;
  height: number;
  file_size: number | null;
  mime_type: string;
  created_at: string;
  is_generated: boolean;
  generation_prompt: string | null;
  generation_negative_prompt: string | null;
  generation_params: Record<string, unknown> | null;
  source_image_id: string | null;
  source: PhotoSource;
  invoke_id: string | null;
  backend_id: string | null;
  invoke_session_id: string | null;
  model_key: string | null;
  model_hash: string | null;
  model_name: string | null;
  model_base: string | null;
  loras: string[] | null;
  /** A string beyond 2^53. */
  seed: number | string | null;
  retrieval_status: RetrievalStatus;
  retrieval_attempts: number;
  last_retrieval_attempt: string | null;
  next_retrieval_attempt: string | null;
  retrieval_error: string | null;
  sha256: string | null;
  thumbhash: string | null;
  favorite: boolean;
  rating: number;
  pick: "pick" | "reject" | null;
  caption: string | null;
  tags: string[];
  deleted_at: string | null;
  url: string;
  thumbnail_url: string;
  albums: { id: string; name: string }[];
  step_id: string | null;
  session_id: string | null;
  selected: boolean;
}

export interface PhotoList {
  items: Photo[];
  total: number | null;
  limit: number;
  offset: number;
  next_cursor: string | null;
}

export interface Progress {
  /** 0–1, or null while InvokeAI does not say. */
  percentage: number | null;
  message: string;
  device: string | null;
  eta_seconds: number | null;
  preview_url: string | null;
  width: number | null;
  height: number | null;
}

export interface Item {
  backend_id: string;
  item_id: number;
  batch_id: string;
  /** Null when the work is not Darkroom's. */
  step_id: string | null;
  ordinal: number | null;
  status: ItemStatus;
  error: string | null;
  created_at: string | null;
  started_at: string | null;
  completed_at: string | null;
  progress: Progress | null;
}

export interface ItemProgress extends Progress {
  backend_id: string;
  item_id: number;
  batch_id: string;
  step_id: string | null;
}

export interface StepParameters {
  width?: number;
  height?: number;
  steps?: number;
  cfg_scale?: number;
  scheduler?: string;
  seed?: number;
  strength?: number;
  loras?: { key: string; weight: number }[];
}

export interface Step {
  id: string;
  session_id: string;
  parent_id: string | null;
  source_photo_id: string | null;
  prompt: string;
  negative_prompt: string;
  parameters: StepParameters;
  model_key: string;
  model_hash: string;
  model_name: string | null;
  backend_id: string | null;
  batch_id: string | null;
  correlation_id: string | null;
  position: number;
  batch_size: number;
  status: StepStatus;
  error_message: string | null;
  selected_image_id: string | null;
  selected_at: string | null;
  cancel_requested_at: string | null;
  created_at: string;
  submitted_at: string | null;
  started_at: string | null;
  completed_at: string | null;
  deleted_at: string | null;
  alternatives: Photo[];
  items: Item[];
}

export interface NewStep {
  prompt: string;
  negative_prompt: string;
  model_key: string;
  model_hash: string;
  model_name: string;
  parameters: StepParameters;
  batch_size: number;
  parent_id: string | null;
  backend_id: string;
  correlation_id: string;
}

export interface Session {
  id: string;
  name: string;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  step_count: number;
  cover_photo_id: string | null;
}

export interface SessionDetail extends Session {
  steps: Step[];
}

export interface SessionList {
  items: Session[];
  total: number | null;
  limit: number;
  offset: number;
  next_cursor: string | null;
}

export interface BackendLedger {
  expected: number;
  made: number;
  retrieved: number;
  waiting: number;
  failed: number;
  gone: number;
  home: boolean;
}

export interface Ledger {
  total: BackendLedger;
  backends: Record<string, BackendLedger>;
}

export interface QueueCounts {
  pending: number;
  in_progress: number;
  /** How many of these are Darkroom's. */
  ours: number;
}

export interface Backend {
  id: string;
  name: string;
  kind: "server" | "demo" | "runpod" | "command";
  url: string;
  queue_id: string;
  enabled: boolean;
  mirror: "all" | "own";
  state: BackendState;
  version: string | null;
  device: string | null;
  queue: QueueCounts;
  ledger: BackendLedger;
  created_at: string;
  last_seen_at: string | null;
  last_event_at: string | null;
  videos: number;
  error: string | null;
}

export interface Model {
  backend_id: string;
  key: string;
  hash: string;
  name: string;
  base: string;
  type: string;
  format: string | null;
  description: string | null;
  default_settings: Record<string, unknown> | null;
  seen_at: string;
}

export interface TaskReport {
  name: string;
  state: string;
  last_run: string | null;
  last_result: string | null;
  last_error: string | null;
  restarts: number;
}

export interface Status {
  version: string;
  tasks: TaskReport[];
  backends: Backend[];
  ledger: Ledger;
}
