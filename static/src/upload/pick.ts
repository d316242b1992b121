import { isHidden } from "./entries";
import { upload } from "./uploads";

/** A phone turns pictures that are in a format of its own into one of these. */
const TYPES = "image/png,image/jpeg,image/webp,image/avif,image/gif,image/tiff";

/** Asks for files, and uploads them. */
export function pickFiles(): void {
  pick((input) => (input.accept = TYPES));
}

/** Asks for a folder, and uploads what is in it. */
export function pickFolder(): void {
  pick((input) => (input.webkitdirectory = true));
}

function pick(prepare: (input: HTMLInputElement) => void): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.hidden = true;
  prepare(input);
  input.onchange = () => {
    upload([...(input.files ?? [])].filter((file) => !file.webkitRelativePath.split("/").some(isHidden)));
    input.remove();
  };
  input.oncancel = () => input.remove();
  // Some browsers forget one that stands nowhere.
  document.body.append(input);
  input.click();
}
