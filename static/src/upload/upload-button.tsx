import { isPhone } from "../app/responsive";
import { Icon, IconButton } from "../shell/icon";
import { FolderUp, Upload } from "../shell/icons";
import { pickFiles, pickFolder } from "./pick";

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
