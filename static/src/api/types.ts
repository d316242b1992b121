/** The resources of `/api/v1`, by name. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Photo = Schemas["Photo"];
export type PhotoSource = Photo["source"];
export type UploadedPhoto = Schemas["UploadedPhoto"];
export type PhotoFlag = Photo["pick"];

export type LineageEdge = Schemas["LineageEdge"];
export type LineageChanges = NonNullable<LineageEdge["changes"]>;
export type MissingSource = Schemas["MissingSource"];

export type BulkFilter = Schemas["BulkFilter"];
export type BulkAction = Schemas["BulkChange"]["action"];
export type BulkValue = Schemas["BulkChange"]["value"];

/** How far a change to many photos is; it has ended where `done` is `total`. */
export interface BulkProgress {
  id: string;
  action: BulkAction | "undo";
  done: number;
  total: number | null;
}

export type Progress = Schemas["Progress"];
export type Item = Schemas["Item"];

export type StepParameters = Schemas["Parameters"];
export type Step = Schemas["Step"];
export type NewStep = Schemas["StepCreate"];

export type Session = Schemas["Session"];

export type Album = Schemas["Album"];

export type Backend = Schemas["Backend"];
export type BackendKind = Backend["kind"];
export type BackendState = Backend["state"];
export type Pod = Schemas["Pod"];
export type PodProvider = Pod["provider"];
export type ProviderGiven = Schemas["ProviderGiven"];
export type GatewayGiven = Schemas["GatewayGiven"];
export type PodState = Pod["state"];
export type BackendLedger = Schemas["BackendLedger"];
export type Ledger = Schemas["Ledger"];
export type Reached = Schemas["Reached"];
export type QueueCounts = Schemas["QueueCounts"];

export type Model = Schemas["Model"];
export type MissingModel = Schemas["MissingModel"];
export type ModelDetail = Schemas["ModelDetail"];
export type PhotosOfModel = Schemas["PhotosOfModel"];
export type RuntimeSettings = Schemas["Values"];
export type Setting = Schemas["Setting"];
export type EnvironmentOption = Schemas["Option"];
export type Status = Schemas["Status"];
export type Ready = Schemas["Ready"];
export type Trouble = Schemas["Trouble"];
export type TaskReport = Schemas["TaskReport"];
