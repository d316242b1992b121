import type { PhotoFlag } from "../api/types";
import { IconButton } from "../shell/icon";
import { Flag, FlagOff } from "../shell/icons";

interface FlagsProps {
  flag: PhotoFlag;
  onFlag: (flag: PhotoFlag) => void;
}

/** Picked, rejected or neither; a press on the one that is set takes it away again. */
export function Flags({ flag, onFlag }: FlagsProps) {
  return (
    <div class="flags" role="group" aria-label="Flag">
      <IconButton
        icon={Flag}
        class="flag pick"
        label="Pick"
        keys="p"
        pressed={flag === "pick"}
        onClick={() => onFlag(flag === "pick" ? null : "pick")}
      />
      <IconButton
        icon={FlagOff}
        class="flag reject"
        label="Reject"
        keys="x"
        pressed={flag === "reject"}
        onClick={() => onFlag(flag === "reject" ? null : "reject")}
      />
    </div>
  );
}
