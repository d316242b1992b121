/** The resources of `/api/v1`, by name. What the schema leaves open (raw JSON) is given its shape here. */
import type { components } from "./schema";

type Schemas = components["schemas"];
type Settings = Record<string, unknown>;

export type Photo = Omit<Schemas["Photo"], "generation_params"> & { generation_params: Settings | null };
export type PhotoSource = Photo["source"];
export type PhotoList = Omit<Schemas["PhotoList"], "items"> & { items: Photo[] };

export type BulkChanged = Schemas["BulkChanged"];

export type Progress = Schemas["Progress"];
export type Item = Schemas["Item"];
export type ItemStatus = Item["status"];

export type StepParameters = Schemas["Parameters"];
export type Step = Omit<Schemas["Step"], "parameters" | "alternatives"> & { parameters: StepParameters; alternatives: Photo[] };
export type NewStep = Schemas["StepCreate"];

export type Session = Schemas["Session"];
export type SessionList = Schemas["SessionList"];
export type SessionDetail = Omit<Schemas["SessionDetail"], "steps"> & { steps: Step[] };

export type Backend = Schemas["Backend"];
export type BackendState = Backend["state"];
export type BackendLedger = Schemas["BackendLedger"];
export type Ledger = Schemas["Ledger"];
export type QueueCounts = Schemas["QueueCounts"];
export type Reached = Schemas["Reached"];

export type Model = Omit<Schemas["Model"], "default_settings"> & { default_settings: Settings | null };
export type ModelsRefreshed = Schemas["ModelsRefreshed"];
export type RuntimeSettings = Schemas["Values"];
export type Status = Schemas["Status"];
export type Ready = Schemas["Ready"];
export type Trouble = Schemas["Trouble"];
export type TaskReport = Schemas["TaskReport"];
