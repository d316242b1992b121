// Picking files and folders.

import { Icon, IconButton } from "../components/icon";
import { FolderUp, Upload } from "../components/icons";
import { isPhone } from "../lib/responsive";
import { isHidden } from "./entries";
import { upload } from "./uploads";

/** A phone turns pictures that are in a format of its own into one of these. */
const TYPES = "image/png,image/jpeg,image/webp,image/avif,image/gif,image/tiff";

/** Asks for files, and uploads them. */
export function pickFiles(): void {
  pick((input) => (input.accept = TYPES));
}

/** Asks for one picture. */
export function pickPicture(take: (file: File) => void): void {
  pick(
    (input) => {
      input.accept = TYPES;
      input.multiple = false;
    },
    ([file]) => file && take(file),
  );
}

/** Asks for a folder, and uploads what is in it. */
function pickFolder(): void {
  pick((input) => (input.webkitdirectory = true));
}

function pick(prepare: (input: HTMLInputElement) => void, take: (files: File[]) => void = upload): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.hidden = true;
  prepare(input);
  input.onchange = () => {
    take([...(input.files ?? [])].filter((file) => !file.webkitRelativePath.split("/").some(isHidden)));
    input.remove();
  };
  input.oncancel = () => input.remove();
  // Some browsers forget one that stands nowhere.
  document.body.append(input);
  input.click();
}

/** Where there are no folders to speak of, files alone. */
export function UploadButtons() {
  if (isPhone.value) return <IconButton icon={Upload} label="Upload" onClick={pickFiles} />;
  return (
    <div class="upload-buttons">
      <button type="button" class="button" title="Upload files (Shift+U)" onClick={pickFiles}>
        <Icon of={Upload} />
        <span>Upload</span>
      </button>
      <IconButton icon={FolderUp} label="Upload a folder" onClick={pickFolder} />
    </div>
  );
}
